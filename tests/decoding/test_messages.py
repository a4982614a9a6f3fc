"""The message classes of records."""

import gc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from a20_parquet.decoding import messages


def test_threads_that_begin_at_once_share_the_classes() -> None:
    """A message of one class is no field of another's, though both have its name."""
    for _ in range(20):
        messages._make_messages.cache_clear()  # noqa: SLF001 - as in a new process
        barrier = Barrier(8)

        def load(_: int, barrier: Barrier = barrier) -> messages.Messages:
            barrier.wait()
            return messages.load_messages()

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(load, range(8)))
        assert len({id(each) for each in found}) == 1


@pytest.mark.slow
def test_classes_of_parts_stay() -> None:
    """None is collected and made anew: a thread that asks for it meanwhile would crash."""

    def part_classes() -> set[type]:
        example, tensor = messages.load_messages().example(), messages.load_messages().tensor()
        entry = example.features.feature.add()
        lists = (entry.value.bytes_list, entry.value.float_list, entry.value.int64_list)
        shape = tensor.tensor_shape
        return set(
            map(type, (example.features, entry, entry.value, *lists, shape, shape.dim.add()))
        )

    before = set(map(id, part_classes()))
    assert len(before) == 8
    for _ in range(3):
        gc.collect()
        assert set(map(id, part_classes())) == before

"""Counting different names: exact while they are few, near when they are many, in any division."""

from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.windows.name_sketch import MOST_HASHES, NameSketch

NAMES = st.lists(st.integers(0, 50).map(lambda number: str(number).encode()), max_size=40)


def test_few_names_are_counted() -> None:
    """Up to the limit each name counts once."""
    names = [str(number).encode() for number in range(MOST_HASHES - 1)]
    sketch = NameSketch.of(names * 2)
    assert (sketch.count, sketch.is_exact) == (MOST_HASHES - 1, True)
    assert NameSketch().count == 0


def test_many_names_are_estimated() -> None:
    """Beyond it the count is near, and the sketch grows no more."""
    sketch = NameSketch.of(str(number).encode() for number in range(60_000))
    assert not sketch.is_exact
    assert len(sketch.hashes) == MOST_HASHES
    assert abs(sketch.count - 60_000) < 3_000


@given(st.lists(NAMES, max_size=5))
def test_merging_is_counting_together(parts: list[list[bytes]]) -> None:
    """However names are divided, and in any order, the sketch is that of all of them."""
    together = NameSketch.of(name for part in parts for name in part)
    assert NameSketch.merged(map(NameSketch.of, parts)) == together
    assert NameSketch.merged(map(NameSketch.of, reversed(parts))) == together
    assert together.count == len({name for part in parts for name in part})

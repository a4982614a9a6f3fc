"""Located runs: the embeddings of the shards, or an error that names the shard."""

# ruff: noqa: S311 - random rows, the same each time

import errno
import os
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.errors import DatasetError, SourceError
from a20_parquet.runs import shard_reader
from a20_parquet.runs.locations import LOCATION
from a20_parquet.runs.shard_reader import ShardFiles
from a20_parquet.runs.stored_run import StoredRun, write_run
from a20_parquet.tfrecord.resync import MAX_PAYLOAD_BYTES
from tests.helpers.located import DIMS, read_all, write


@given(seed=st.integers(0, 2**32), page=st.sampled_from([1, 2, 5, 1000]), limit=st.integers(1, 9))
def test_a_located_run_equals_one_in_memory(seed: int, page: int, limit: int) -> None:
    """Any positions and order of windows, float16 among them, and pages of any size."""
    with TemporaryDirectory() as folder, _most_open(limit):
        written = write(Path(folder), random.Random(seed), records=seed % 5 + 1)
        if written.keyed is None:
            return
        expected = written.in_memory()
        with ShardFiles(written.paths) as files:
            run = written.located(files)
            assert read_all(run, page) == read_all(expected, page)
            assert run.read_metadata(0, len(run)) == expected.read_metadata(0, len(run))
            assert run.partitions.site == expected.partitions.site


@contextmanager
def _most_open(count: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_reader, "_MOST_OPEN", count)
        yield


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - as fast as can be


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_many_threads_and_shards_share_few_files(tmp_path: Path) -> None:
    """Files are closed and opened again while others are read, and all are closed at the end."""
    written = write(tmp_path, random.Random(1), shards=300, records=3)
    expected = read_all(written.in_memory(), 10**6)
    before = _open_files()
    with _most_open(20), ShardFiles(written.paths) as files, ThreadPoolExecutor(8) as pool:
        run = written.located(files)
        most = []

        def read(page: int) -> bytes:
            found = read_all(run, page)
            most.append(_open_files())
            return found

        assert set(pool.map(read, [1, 2, 7, 50, 10**6] * 4)) == {expected}
        assert max(most) <= before + 20 + 8
    assert _open_files() == before


def test_each_record_is_read_once_for_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if windows of several records alternate, as those of two recorders of a site do."""
    written = write(tmp_path, random.Random(2), shards=2, records=2, most_windows=50)
    reads = []
    preadv = os.preadv

    def note(*values: Any) -> int:
        reads.append(values[2])
        return preadv(*values)

    monkeypatch.setattr(os, "preadv", note)
    with ShardFiles(written.paths) as files:
        assert read_all(written.located(files), 10**6)
    assert len(reads) == 4


def test_offsets_of_more_than_4_gib(tmp_path: Path) -> None:
    """A shard may be larger than any number of 32 bits."""
    written = write(tmp_path, random.Random(3), shards=1, first_offset=5 << 30)
    with ShardFiles(written.paths) as files:
        assert read_all(written.located(files), 2) == read_all(written.in_memory(), 2)


def test_numbers_of_the_largest_payload_fit() -> None:
    """No frame has a longer payload, and positions in it are smaller than its length."""
    longest = np.array([(0, 2**62, MAX_PAYLOAD_BYTES, 2**32 - 1, MAX_PAYLOAD_BYTES, 4)], LOCATION)
    assert longest.tolist() == [(0, 2**62, MAX_PAYLOAD_BYTES, 2**32 - 1, MAX_PAYLOAD_BYTES, 4)]


@given(seed=st.integers(0, 2**32), page=st.sampled_from([1, 1000]))
def test_a_flipped_bit_is_an_error(seed: int, page: int) -> None:
    """Any bit of the payload of any window."""
    with TemporaryDirectory() as folder:
        draw = random.Random(seed)
        written = write(Path(folder), draw)
        if written.keyed is None:
            return
        place = written.locations[draw.randrange(len(written.locations))]
        path = Path(written.paths[int(place["shard"])])
        content = bytearray(path.read_bytes())
        content[int(place["payload"]) + draw.randrange(int(place["payload_bytes"]))] ^= (
            1 << draw.randrange(8)
        )
        path.write_bytes(content)
        with (
            ShardFiles(written.paths) as files,
            pytest.raises(SourceError, match=f"{path}: the record whose payload starts at byte"),
        ):
            read_all(written.located(files), page)


def _raise(*_: Any) -> int:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _at_most(count: int) -> Callable[..., int]:
    preadv = os.preadv

    def read(file: int, pieces: Sequence[Any], offset: int, flags: int = 0) -> int:
        some = next(piece for piece in pieces if len(piece))
        at = offset + sum(len(piece) for piece in pieces[: pieces.index(some)])
        return preadv(file, [some[:count]], at, flags)

    return read


def test_read_errors_name_the_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the device is no change of the shard, but no less final."""
    written = write(tmp_path, random.Random(4))
    monkeypatch.setattr(os, "preadv", _raise)
    with (
        ShardFiles(written.paths) as files,
        pytest.raises(SourceError, match=r"shard-\d: cannot be read again: .*put/output error"),
    ):
        read_all(written.located(files), 5)


@pytest.mark.parametrize("count", [1, 3, 10])
def test_short_reads_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """The system may return fewer bytes than it was asked for."""
    written = write(tmp_path, random.Random(5))
    monkeypatch.setattr(os, "preadv", _at_most(count))
    with ShardFiles(written.paths) as files:
        assert read_all(written.located(files), 5) == read_all(written.in_memory(), 5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shard", 9),
        ("shard", -1),
        ("payload", -1),
        ("payload_bytes", 2**31 - 1),
        ("payload_bytes", -5),
        ("at", -1),
        ("at", 1 << 20),
        ("item_bytes", 8),
        ("item_bytes", 0),
    ],
)
def test_stored_locations_are_not_trusted(tmp_path: Path, field: str, value: int) -> None:
    """A file of locations that no run of these shards can have is an error."""
    written = write(tmp_path, random.Random(3))
    with ShardFiles(written.paths) as files:
        run = written.located(files)
        stored = StoredRun(write_run(run, tmp_path / "run", 2), files)
        expected, found = (np.empty((len(run), DIMS), np.float32) for _ in range(2))
        run.read_embeddings(0, expected)
        stored.read_embeddings(0, found)
        np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))
        path = tmp_path / "run.embeddings"
        places = np.fromfile(path, LOCATION)
        places[field][-1] = value
        places.tofile(path)
        with pytest.raises(DatasetError, match=r"run\.embeddings has been cut short or changed"):
            stored.read_embeddings(0, found)

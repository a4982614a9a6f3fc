"""Reads embeddings where they are in the shards, a second time.

The whole payload of a record is read, and compared with the checksum that the first pass has
verified.
"""

import os
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from threading import Lock, local
from typing import Any, NamedTuple, Self

import crc32c
import numpy as np
import numpy.typing as npt

from a20_parquet.errors import SourceError
from a20_parquet.resources import open_files_limit
from a20_parquet.runs.run import Rows
from a20_parquet.storage.locate import check_regular

LOCATION = np.dtype(
    [
        ("shard", "<i4"),
        ("payload", "<i8"),
        ("payload_bytes", "<i4"),
        ("checksum", "<u4"),
        ("at", "<i4"),
        ("item_bytes", "<i4"),
    ]
)
"""Where a window's embedding is: position of the shard; offset of the record's payload in the file,
its bytes and its CRC32C; offset of the embedding in the payload; bytes of a float, 4 or 2."""


class _Record(NamedTuple):
    """Where a record and one of its windows are; a row of ``LOCATION``."""

    shard: int
    payload: int
    size: int
    checksum: int
    at: int
    item_bytes: int


Locations = npt.NDArray[np.void]
"""Shape ``(windows,)``, dtype ``LOCATION``."""

Numbers = npt.NDArray[np.int64]

_FLOATS: dict[int, Any] = {4: np.dtype("<f4"), 2: np.dtype("<f2")}
_MOST_OPEN = 256
_AHEAD_BYTES = 4 << 20
MOST_LOCATED_BYTES = 1 << 20
"""Of a payload. It is read as a whole for each page that has windows of it."""


class ShardFiles:
    """The shards' files, opened when something is read of them; thread-safe, a context manager."""

    def __init__(self, paths: Mapping[int, str]) -> None:
        """Open nothing yet.

        Args:
            paths: of local uncompressed shards, by their position.
        """
        self._paths = paths
        self._lock = Lock()
        self._open: OrderedDict[int, _OpenFile] = OrderedDict()
        self._most_open = min(_MOST_OPEN, open_files_limit() // 4)

    def __enter__(self) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[Mapping[int, str]]]:
        """Leave the open files behind: another process opens them itself."""
        return type(self), (self._paths,)

    def __exit__(self, *_: object) -> None:
        for file in self._open.values():
            os.close(file.number)
        self._open.clear()

    @property
    def shards(self) -> Collection[int]:
        """Positions of the shards."""
        return self._paths.keys()

    @contextmanager
    def borrow(self, shard: int) -> Iterator[int]:
        """Lend the file descriptor of a shard.

        Raises:
            SourceError: it cannot be opened.
        """
        with self._lock:
            file = self._open.get(shard)
            if file is None:
                self._close_some()
                file = self._open[shard] = _OpenFile(self._open_file(shard))
            file.users += 1
            self._open.move_to_end(shard)
        try:
            yield file.number
        finally:
            with self._lock:
                file.users -= 1

    def _open_file(self, shard: int) -> int:
        path = self._paths[shard]
        try:
            check_regular(path)
            return os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise self.changed(shard, f"cannot be read again: {error}") from error

    def changed(self, shard: int, how: str) -> SourceError:
        """Return the error that says how a shard is not as the first pass has read it."""
        return SourceError(
            f"{self._paths[shard]}: {how}. Embeddings are read a second time when they are "
            "written: put the shard back as it was, or give --embeddings copied."
        )

    def _close_some(self) -> None:
        """Make room for one more; those used least recently are closed first."""
        unused = [shard for shard, file in self._open.items() if not file.users]
        for shard in unused[: max(0, len(self._open) + 1 - self._most_open)]:
            os.close(self._open.pop(shard).number)


class _OpenFile:
    def __init__(self, number: int) -> None:
        self.number = number
        self.users = 0


class ShardReader:
    """Reads embeddings of one run from the shards; any number of threads may use it."""

    def __init__(self, files: ShardFiles, dims: int) -> None:
        """Prepare to read embeddings of ``dims`` floats."""
        self._files = files
        self._dims = dims
        self._local = local()
        self.ahead_rows = _AHEAD_BYTES // (dims * 4) + 1

    def read(self, places: Locations, out: Rows, start: int) -> None:
        """Read embeddings, and ask the system for those that are needed next.

        Args:
            places: of the embeddings, and of up to ``ahead_rows`` that follow in the run.
            out: filled with the embeddings, shape ``(rows, dims)``, one row or more.
            start: number of the first row in the run.

        Raises:
            SourceError: a shard cannot be read, or is not as the first pass has read it.
        """
        found, following = places[: len(out)], places[len(out) :]
        order = _by_record(found)
        found = found[order]
        firsts = _first_of_records(found)
        records = [_Record(*fields) for fields in found[firsts].tolist()]
        bounds = [*firsts.tolist(), len(found)]
        is_one_piece = self._are_one_piece(found, order, firsts).tolist()
        for record, (first, end), whole in zip(
            records, pairwise(bounds), is_one_piece, strict=True
        ):
            with self._files.borrow(record.shard) as file:
                if whole and record.item_bytes == out.itemsize:
                    row = int(order[first])
                    self._read_floats(file, record, out[row : row + end - first])
                else:
                    ats = found["at"][first:end].tolist()
                    self._copy_floats(file, record, ats, out, order[first:end].tolist())
        self._advise(following, start + len(out))

    def are_possible(self, places: Locations) -> bool:
        """Whether places from a file are in payloads of shards that there are."""
        names = ("payload", "payload_bytes", "at", "item_bytes")
        payload, size, at, item_bytes = (places[name].astype(np.int64) for name in names)
        return bool(
            np.isin(places["shard"], list(self._files.shards)).all()
            and np.isin(item_bytes, list(_FLOATS)).all()
            and (payload >= 0).all()
            and (at >= 0).all()
            and (at + self._dims * item_bytes <= size).all()
            and (size <= MOST_LOCATED_BYTES).all()
        )

    def _are_one_piece(
        self, found: Locations, order: Numbers, firsts: Numbers
    ) -> npt.NDArray[np.bool_]:
        """Whether each record's windows follow each other in the shard and in the run."""
        follows = np.ones(len(found), np.bool_)
        follows[1:] = np.diff(found["at"]) == found["item_bytes"][1:] * self._dims
        follows[1:] &= np.diff(order) == 1
        follows[firsts] = True
        return np.logical_and.reduceat(follows, firsts)

    def _advise(self, following: Locations, start: int) -> None:
        """Ask the system to read rows ahead, from number ``start`` on, half of them at a time."""
        known = getattr(self._local, "advised", 0)
        is_known = start <= known <= start + self.ahead_rows
        if not hasattr(os, "posix_fadvise") or (is_known and known > start + self.ahead_rows // 2):
            return
        self._local.advised = start + len(following)
        wanted = following[known - start :] if is_known else following
        wanted = wanted[_by_record(wanted)]
        for shard, payload, size, *_ in wanted[_first_of_records(wanted)].tolist():
            with self._files.borrow(shard) as file, suppress(OSError):
                os.posix_fadvise(file, payload, size, os.POSIX_FADV_WILLNEED)

    def _read_floats(self, file: int, record: "_Record", out: Rows) -> None:
        """Read windows that are stored as they are needed, without a copy."""
        buffer = self._buffer(record.size)
        floats = memoryview(out.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # a buffer
        end = record.at + len(floats)
        self._read(file, record, [buffer[: record.at], floats, buffer[end : record.size]])

    def _copy_floats(
        self, file: int, record: "_Record", ats: list[int], out: Rows, rows: list[int]
    ) -> None:
        """Read windows at any positions ``ats`` of a payload into any ``rows`` of ``out``."""
        buffer = self._buffer(record.size)[: record.size]
        self._read(file, record, [buffer])
        for row, at in zip(rows, ats, strict=True):
            out[row] = np.ndarray(self._dims, _FLOATS[record.item_bytes], buffer, at)

    def _read(self, file: int, record: "_Record", pieces: list[memoryview]) -> None:
        """Read a whole payload, and compare its checksum."""
        try:
            count = os.preadv(file, pieces, record.payload)
            if 0 < count < record.size:
                count = _read_rest(file, pieces, record.payload, count)
        except OSError as error:
            raise self._files.changed(record.shard, f"cannot be read again: {error}") from error
        found = 0
        for piece in pieces:
            found = crc32c.crc32c(piece, found)
        if count != record.size or found != record.checksum:
            raise self._files.changed(
                record.shard,
                f"the record whose payload starts at byte {record.payload} has changed",
            )

    def _buffer(self, size: int) -> memoryview:
        """Return memory for a payload, of this thread."""
        held: memoryview | None = getattr(self._local, "buffer", None)
        if held is None or len(held) < size:
            held = self._local.buffer = memoryview(bytearray(size))
        return held


def _read_rest(file: int, pieces: list[memoryview], offset: int, count: int) -> int:
    """Read what one call has not read; return the number of all bytes read."""
    at = 0
    for piece in pieces:
        done = min(max(count - at, 0), len(piece))
        while done < len(piece):
            more = os.preadv(file, [piece[done:]], offset + at + done)
            if not more:
                return count
            done += more
            count += more
        at += len(piece)
    return count


def _by_record(places: Locations) -> Numbers:
    """Return the rows, those of a record one after the other."""
    order: Numbers = np.lexsort((places["payload"], places["shard"]))
    return order


def _first_of_records(places: Locations) -> Numbers:
    """Return the rows that are in another record than the row before."""
    shard, payload = places["shard"], places["payload"]
    differs = np.ones(len(places), np.bool_)
    differs[1:] = (shard[1:] != shard[:-1]) | (payload[1:] != payload[:-1])
    return np.flatnonzero(differs)

"""Reads embeddings where they are in the shards, a second time.

The whole payload of a record is read, and compared with the checksum that the first pass has
verified.
"""

import os
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Lock, local
from typing import Any, NamedTuple, Self

import crc32c
import numpy as np

from a20_parquet.errors import SourceError
from a20_parquet.resources import open_files_limit
from a20_parquet.runs.locations import Locations, Pieces
from a20_parquet.runs.run import Rows
from a20_parquet.storage.cached import read_cached
from a20_parquet.storage.locate import check_regular


class _Piece(NamedTuple):
    """Windows of a record that follow each other: a row of ``LOCATION``, and their rows."""

    shard: int
    payload: int
    size: int
    checksum: int
    at: int
    item_bytes: int
    row: int
    end: int


_FLOATS: dict[int, Any] = {4: np.dtype("<f4"), 2: np.dtype("<f2")}
_MOST_OPEN = 256
_AHEAD_BYTES = 4 << 20
_COLD_READS = 64
CAN_ADVISE = hasattr(os, "posix_fadvise") and hasattr(os, "RWF_NOWAIT")
"""Whether the system says what it has to wait for, and takes advice."""
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
        self.most_borrowed = max(1, self._most_open // 16)

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
    def borrow(self, shards: Collection[int]) -> Iterator[Mapping[int, int]]:
        """Lend the file descriptors of ``most_borrowed`` shards at the most.

        Raises:
            SourceError: one cannot be opened.
        """
        files: dict[int, _OpenFile] = {}
        try:
            with self._lock:
                for shard in shards:
                    file = files[shard] = self._opened(shard)
                    file.users += 1
            yield {shard: file.number for shard, file in files.items()}
        finally:
            with self._lock:
                for file in files.values():
                    file.users -= 1

    def _opened(self, shard: int) -> "_OpenFile":
        file = self._open.get(shard)
        if file is None:
            self._close_some()
            file = self._open[shard] = _OpenFile(self._open_file(shard))
        self._open.move_to_end(shard)
        return file

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
        self._local = _ThreadState()
        self.ahead_rows = _AHEAD_BYTES // (dims * 4) + 1

    def read(self, pieces: Pieces, out: Rows, start: int, first: int = 0) -> None:
        """Read embeddings, and ask the system for those that are needed next.

        Args:
            pieces: of the embeddings, and of those that follow in the run.
            out: filled with the embeddings, shape ``(rows, dims)``, one row or more.
            start: number of the first row in the run.
            first: number in the run of the first row of ``pieces``.

        Raises:
            SourceError: a shard cannot be read, or is not as the first pass has read it.
        """
        found = pieces.within(start - first, start - first + len(out))
        # A payload is read once for all its pieces of a page.
        by_record: dict[tuple[int, int], list[_Piece]] = {}
        for piece in _pieces(found):
            by_record.setdefault((piece.shard, piece.payload), []).append(piece)
        for some, files in self._borrow(list(by_record.values())):
            for parts in some:
                piece = parts[0]
                if len(parts) == 1 and piece.item_bytes == out.itemsize:
                    self._read_floats(files[piece.shard], piece, out)
                else:
                    self._copy_floats(files[piece.shard], parts, out)
        if self._local.cold_reads:
            self._local.cold_reads -= 1
            self._advise(pieces, first, start + len(out))

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

    def _advise(self, pieces: Pieces, first: int, start: int) -> None:
        """Ask the system to read the rows from ``start`` on, half of ``ahead_rows`` at a time."""
        end = min(start + self.ahead_rows, first + int(pieces.rows[-1]))
        known = self._local.advised
        is_known = start <= known <= end
        if is_known and known > start + self.ahead_rows // 2:
            return
        self._local.advised = end
        wanted = pieces.within((known if is_known else start) - first, end - first)
        records = {(piece.shard, piece.payload): [piece] for piece in _pieces(wanted)}
        for some, files in self._borrow(list(records.values())):
            for (piece,) in some:
                with suppress(OSError):
                    os.posix_fadvise(
                        files[piece.shard], piece.payload, piece.size, os.POSIX_FADV_WILLNEED
                    )

    def _borrow(
        self, records: "Sequence[list[_Piece]]"
    ) -> "Iterator[tuple[Sequence[list[_Piece]], Mapping[int, int]]]":
        """Yield the pieces of some records at a time, and the descriptors of their shards."""
        most = self._files.most_borrowed
        for start in range(0, len(records), most):
            some = records[start : start + most]
            with self._files.borrow({parts[0].shard for parts in some}) as files:
                yield some, files

    def _read_floats(self, file: int, piece: "_Piece", out: Rows) -> None:
        """Read windows that are stored as they are needed, without a copy."""
        buffer = self._local.buffer(piece.size)
        floats = out[piece.row : piece.end].data.cast("B")
        end = piece.at + len(floats)
        self._read(file, piece, [buffer[: piece.at], floats, buffer[end : piece.size]])

    def _copy_floats(self, file: int, parts: "Sequence[_Piece]", out: Rows) -> None:
        """Read windows at any positions of a payload into any rows of ``out``."""
        buffer = self._local.buffer(parts[0].size)[: parts[0].size]
        self._read(file, parts[0], [buffer])
        for part in parts:
            rows = out[part.row : part.end]
            rows[:] = np.ndarray(rows.shape, _FLOATS[part.item_bytes], buffer, part.at)

    def _read(self, file: int, piece: "_Piece", buffers: list[memoryview]) -> None:
        """Read a whole payload, and compare its checksum."""
        try:
            count = self._read_cached(file, buffers, piece)
            count = count or os.preadv(file, buffers, piece.payload)
            if 0 < count < piece.size:
                count = _read_rest(file, buffers, piece.payload, count)
        except OSError as error:
            raise self._files.changed(piece.shard, f"cannot be read again: {error}") from error
        found = 0
        for buffer in buffers:
            # A payload is short: releasing the GIL for it would cost more than it gains.
            found = crc32c.crc32c(buffer, found, gil_release_mode=0)
        if count != piece.size or found != piece.checksum:
            raise self._files.changed(
                piece.shard,
                f"the record whose payload starts at byte {piece.payload} has changed",
            )

    def _read_cached(self, file: int, buffers: list[memoryview], piece: "_Piece") -> int:
        """Read what is in the system's cache; if that is not all, advise for some time.

        Advice costs one call a record, and is of use only where the disk has to be waited for.
        """
        if not CAN_ADVISE:
            return 0
        # If the system cannot tell, the disk may have to be waited for.
        count = read_cached(file, buffers, piece.payload) or 0
        if count < piece.size:
            self._local.cold_reads = _COLD_READS
        return count


class _ThreadState(local):
    """What each thread keeps between two reads."""

    def __init__(self) -> None:
        self.cold_reads = 0
        """How many of the next reads are followed by advice."""
        self.advised = 0
        """Number of the run's first row that no advice was given for."""
        self._buffer = memoryview(bytearray())

    def buffer(self, size: int) -> memoryview:
        """Return memory for a payload, valid until the next call."""
        if len(self._buffer) < size:
            self._buffer = memoryview(bytearray(size))
        return self._buffer


def _pieces(pieces: Pieces) -> Iterator[_Piece]:
    rows = pieces.rows.tolist()
    for fields, row, end in zip(pieces.first.tolist(), rows, rows[1:], strict=False):
        yield _Piece._make((*fields, row, end))


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

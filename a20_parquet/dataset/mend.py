"""Mends data files whose footers call UTC timestamps milliseconds, see ``mark_instants``.

What a file says before and after differs in single bytes of its footer, so that its checksum tells
both ways which of the two it was written as. That needs no memory of what was done already:
whoever is killed finds each file old, new or between the two, and all of them can be mended.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import crc32c

from a20_parquet.dataset.manifest import FileSummary
from a20_parquet.errors import DatasetError
from a20_parquet.parquet import MAGIC, TIMESTAMP_MICROS, TIMESTAMP_MILLIS, mark_instants
from a20_parquet.storage.files import NewFile, file_size, open_no_link, path_errors, read_range
from a20_parquet.storage.path import AnyPath, StorePath

_LENGTH_BYTES = 4
_TAIL_BYTES = _LENGTH_BYTES + len(MAGIC)
# Most footers are shorter: then one request to a store gets all of one.
_FIRST_READ = 32 << 10
_PIECE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Footer:
    """A data file's footer as it is."""

    start: int
    """Its first byte in the file."""
    content: bytes
    """``FileMetaData``."""
    tail: bytes
    """Its length and the magic, which end the file."""

    @classmethod
    def read(cls, place: AnyPath, size: int) -> Self:
        """Read the footer of a file of ``size`` bytes.

        Raises:
            DatasetError: the file does not end as Parquet does.
            OSError: it cannot be read, or is shorter.
        """
        begin = max(0, size - _FIRST_READ)
        end = read_range(place, begin, size)
        tail = end[-_TAIL_BYTES:]
        start = size - _TAIL_BYTES - int.from_bytes(tail[:_LENGTH_BYTES], "little")
        if len(tail) < _TAIL_BYTES or tail[_LENGTH_BYTES:] != MAGIC or start < len(MAGIC):
            raise DatasetError(f"{place} does not end as a Parquet file does")
        if start < begin:
            end = read_range(place, start, begin) + end
        return cls(start, end[max(0, start - begin) : -_TAIL_BYTES], tail)

    @property
    def right(self) -> bytes:
        """What ``content`` should be.

        Raises:
            DatasetError: it is no footer.
        """
        return mark_instants(self.content, TIMESTAMP_MICROS)

    @property
    def is_right(self) -> bool:
        """Whether it calls no timestamp milliseconds.

        Raises:
            DatasetError: it is no footer.
        """
        return self.content == self.right


@dataclass(frozen=True)
class Mend:
    """A data file that was read whole, and what it should be."""

    place: AnyPath
    file: FileSummary
    """As the dataset lists it now."""
    footer: Footer
    pages_sum: int
    """CRC32C of all bytes before the footer."""

    @classmethod
    def of(cls, place: AnyPath, file: FileSummary, advance: Callable[[int], None]) -> Self:
        """Read a file.

        Args:
            place: of the file.
            file: what the dataset says of it.
            advance: called with the number of bytes that were read.

        Raises:
            DatasetError: it has another size, or does not end as Parquet does.
            OSError: it cannot be read.
        """
        if (size := file_size(place)) != file.bytes:
            raise DatasetError(f"{place} has {size:,} bytes, expected {file.bytes:,}")
        footer = Footer.read(place, file.bytes)
        value = 0
        for piece in _pieces(place, footer.start):
            value = crc32c.crc32c(piece, value)
            advance(len(piece))
        advance(file.bytes - footer.start)
        return cls(place, file, footer, value)

    @cached_property
    def checksum(self) -> str:
        """CRC32C of the whole file as it should be."""
        return self._sum(self.footer.right)

    @property
    def is_sound(self) -> bool:
        """Whether the file is what the dataset wrote, whichever of the two its footer says."""
        wrong = mark_instants(self.footer.content, TIMESTAMP_MILLIS)
        return self.file.checksum in {self.checksum, self._sum(wrong)}

    def apply(self) -> FileSummary:
        """Mend the file, where it is not right yet; it must be sound.

        Returns:
            What the dataset should say of it.

        Raises:
            OSError: it cannot be written.
        """
        if not self.footer.is_right:
            if isinstance(self.place, StorePath):
                self._put()
            else:
                self._patch(self.place)
            if read_range(self.place, self.footer.start, self.file.bytes) != self._end:
                raise OSError(f"{self.place}: what was written cannot be read back")
        return self.file.model_copy(update={"checksum": self.checksum})

    @property
    def _end(self) -> bytes:
        return self.footer.right + self.footer.tail

    def _sum(self, footer: bytes) -> str:
        return f"{crc32c.crc32c(footer + self.footer.tail, self.pages_sum):08x}"

    def _patch(self, path: Path) -> None:
        # Only bytes that differ: what may be cut by a crash is the same before and after.
        now, right = self.footer.content, self.footer.right
        with path_errors(path), open(path, "r+b", buffering=0, opener=open_no_link) as file:
            for place in (i for i in range(len(now)) if now[i] != right[i]):
                file.seek(self.footer.start + place)
                file.write(right[place : place + 1])

    def _put(self) -> None:
        # A store takes files whole.
        with NewFile(self.place) as new:
            for piece in _pieces(self.place, self.footer.start):
                new.file.write(piece)
            new.file.write(self._end)
            new.expect(self.file.bytes, int(self.checksum, 16))


def _pieces(place: AnyPath, stop: int) -> Iterator[bytes]:
    """Read a file up to a byte."""
    for start in range(0, stop, _PIECE_BYTES):
        yield read_range(place, start, min(start + _PIECE_BYTES, stop))

"""Mends data files whose footers call UTC timestamps milliseconds, see ``mark_instants``.

The wrong and the right footer differ in single bytes, and each can be computed from the other. So
the checksum of a file can be verified in both states, and in any state between them. A repair that
was killed needs no record of its progress: it checks and mends each file again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import crc32c

from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.errors import DatasetError
from a20_parquet.parquet import MAGIC, TAIL_BYTES, TIMESTAMP_MICROS, TIMESTAMP_MILLIS, mark_instants
from a20_parquet.storage.files import NewFile, file_size, open_no_link, path_errors, read_range
from a20_parquet.storage.path import AnyPath, StorePath

# Most footers are shorter, and are read with one request to a store.
_FIRST_READ = 32 << 10
_PIECE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Footer:
    """A data file's footer as stored."""

    start: int
    """Offset in the file."""
    content: bytes
    """``FileMetaData``."""
    tail: bytes
    """The footer's length and the magic bytes, which end the file."""

    @classmethod
    def read(cls, path: AnyPath, size: int) -> Self:
        """Read the footer of a file of ``size`` bytes.

        Raises:
            DatasetError: the file does not end as a Parquet file does.
            OSError: it cannot be read, or is shorter.
        """
        begin = max(0, size - _FIRST_READ)
        end = read_range(path, begin, size)
        tail = end[-TAIL_BYTES:]
        start = size - TAIL_BYTES - int.from_bytes(tail[: -len(MAGIC)], "little")
        if len(tail) < TAIL_BYTES or tail[-len(MAGIC) :] != MAGIC or start < len(MAGIC):
            raise DatasetError(f"{path} does not end as a Parquet file does")
        if start < begin:
            end = read_range(path, start, begin) + end
        return cls(start, end[max(0, start - begin) : -TAIL_BYTES], tail)

    @property
    def right(self) -> bytes:
        """The corrected ``content``.

        Raises:
            DatasetError: ``content`` is not a footer.
        """
        return mark_instants(self.content, TIMESTAMP_MICROS)

    @property
    def is_right(self) -> bool:
        """Whether ``content`` needs no correction.

        Raises:
            DatasetError: ``content`` is not a footer.
        """
        return self.content == self.right


@dataclass(frozen=True)
class Mend:
    """A data file that was read completely, and its corrected state."""

    path: AnyPath
    file: FileSummary
    """Its summary in the dataset as listed now."""
    footer: Footer
    pages_sum: int
    """CRC32C of all bytes before the footer."""

    @classmethod
    def of(cls, path: AnyPath, file: FileSummary, advance: Callable[[int], None]) -> Self:
        """Read a file; ``advance`` is called with the number of bytes that were read.

        Raises:
            DatasetError: it has another size, or does not end as a Parquet file does.
            OSError: it cannot be read.
        """
        if (size := file_size(path)) != file.bytes:
            raise DatasetError(f"{path} has {size:,} bytes, expected {file.bytes:,}")
        footer = Footer.read(path, file.bytes)
        value = 0
        for piece in _pieces(path, footer.start):
            value = crc32c.crc32c(piece, value)
            advance(len(piece))
        advance(file.bytes - footer.start)
        return cls(path, file, footer, value)

    @cached_property
    def checksum(self) -> str:
        """CRC32C of the whole corrected file."""
        return self._sum(self.footer.right)

    @property
    def is_sound(self) -> bool:
        """Whether the file is undamaged: its checksum is right for one of both footers."""
        wrong = mark_instants(self.footer.content, TIMESTAMP_MILLIS)
        return self.file.checksum in {self.checksum, self._sum(wrong)}

    def apply(self) -> FileSummary:
        """Mend the file if necessary; it must be sound.

        Returns:
            Its corrected summary.

        Raises:
            OSError: it cannot be written.
        """
        path, start = self.path, self.footer.start
        now, right = self.footer.content, self.footer.right
        if now == right:
            return self.file.model_copy(update={"checksum": self.checksum})
        end = right + self.footer.tail
        if isinstance(path, StorePath):
            # Stores cannot change parts of a file.
            with NewFile(path) as new:
                for piece in _pieces(path, start):
                    new.file.write(piece)
                new.file.write(end)
                new.expect(self.file.bytes, int(self.checksum, 16))
        else:
            # Only bytes that differ are written, so a crash leaves each byte old or new.
            with path_errors(path), open(path, "r+b", buffering=0, opener=open_no_link) as file:
                for offset in (i for i in range(len(now)) if now[i] != right[i]):
                    file.seek(start + offset)
                    file.write(right[offset : offset + 1])
        if read_range(path, start, self.file.bytes) != end:
            raise OSError(f"{path}: what was written cannot be read back")
        return self.file.model_copy(update={"checksum": self.checksum})

    def _sum(self, footer: bytes) -> str:
        return f"{crc32c.crc32c(footer + self.footer.tail, self.pages_sum):08x}"


def _pieces(path: AnyPath, stop: int) -> Iterator[bytes]:
    """Read the first ``stop`` bytes of a file."""
    for start in range(0, stop, _PIECE_BYTES):
        yield read_range(path, start, min(start + _PIECE_BYTES, stop))

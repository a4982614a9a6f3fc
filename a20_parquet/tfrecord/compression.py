"""Decompresses shards, and returns the stored bytes that cannot be decompressed."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from a20_parquet.errors import SourceError
from a20_parquet.storage.read_ahead import BlockStream, Prefetch
from a20_parquet.tfrecord.shard import (
    HEADER_BYTES,
    WINDOW_BITS,
    Codec,
    Shard,
    detect_codec,
    read_errors,
)

LOOK = Prefetch(1 << 16, blocks=0)
"""Reads the start of a shard in a store with one small request."""

_STORED_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class StreamDamage:
    """Damage after which a compressed stream cannot be decompressed."""

    offset: int
    """Offset of the first byte that could not be used, in the stored shard."""
    message: str


class Content(Protocol):
    """A shard's decompressed bytes, read once from start to end."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from its start; return the number of bytes, fewer only at the end.

        Raises:
            SourceError: the shard cannot be read, or its size has changed since it was found.
        """
        ...

    @property
    def codec(self) -> Codec:
        """How the shard is compressed."""
        ...

    @property
    def stored_bytes(self) -> int:
        """Bytes of the stored shard that have been read."""
        ...

    @property
    def damage(self) -> StreamDamage | None:
        """The damage at which reading has ended; None if there is none."""
        ...

    def rest(self) -> Iterator[bytes]:
        """Read the stored bytes from the damage to the end."""
        ...


class _StoredContent:
    """The stored bytes of a shard, whose size is checked at the end."""

    codec = Codec.NONE
    damage: StreamDamage | None = None

    def __init__(self, file: Any, shard: Shard) -> None:
        self.stored_bytes = 0
        self._file = file
        self._shard = shard

    def readinto(self, buffer: memoryview) -> int:
        filled = 0
        while filled < len(buffer):
            with read_errors(self._shard.url):
                count: int = self._file.readinto(buffer[filled:])
            self._count(count)
            if not count:
                break
            filled += count
        return filled

    def read(self) -> bytes:
        with read_errors(self._shard.url):
            stored: bytes = self._file.read(_STORED_BYTES)
        self._count(len(stored))
        return stored

    def rest(self) -> Iterator[bytes]:
        yield from ()

    def _count(self, count: int) -> None:
        self.stored_bytes += count
        if not count and self.stored_bytes != self._shard.size:
            raise SourceError(
                f"{self._shard.url}: it ends after {self.stored_bytes} bytes, expected "
                f"{self._shard.size} as when it was found: it changed while it was read. Start "
                "again when nothing writes to it."
            )


class _InflatedContent:
    """Implements ``Content`` for a GZIP or ZLIB shard; GZIP may have several members."""

    def __init__(self, file: _StoredContent, codec: Codec) -> None:
        self.codec = codec
        self.damage: StreamDamage | None = None
        self._file = file
        self._window_bits = WINDOW_BITS[codec]
        self._inflater = zlib.decompressobj(self._window_bits)
        self._member_offset = 0
        self._stored = b""
        # Bytes of ``_stored`` that have been decompressed.
        self._used = 0

    @property
    def stored_bytes(self) -> int:
        return self._file.stored_bytes

    def readinto(self, buffer: memoryview) -> int:
        filled = 0
        while filled < len(buffer) and self.damage is None:
            if self._inflater.eof and not self._next_member():
                break
            data = self._inflate(len(buffer) - filled)
            buffer[filled : filled + len(data)] = data
            filled += len(data)
            if not data and not self._inflater.eof:
                self._read_more()
        return filled

    def rest(self) -> Iterator[bytes]:
        if self.damage is not None:
            yield self._stored[self.damage.offset - self._stored_offset :]
            while stored := self._file.read():
                yield stored

    @property
    def _stored_offset(self) -> int:
        return self._file.stored_bytes - len(self._stored)

    def _inflate(self, room: int) -> bytes:
        """Decompress the rest of the stored bytes into at most ``room`` bytes."""
        before = self._inflater.copy()
        left = self._stored[self._used :]
        try:
            data: bytes = self._inflater.decompress(left, room)
        except zlib.error as error:
            self._stop(f"can't be inflated ({error})")
            return _salvage(before, left, room)
        behind = self._inflater.unconsumed_tail or self._inflater.unused_data
        self._used = len(self._stored) - len(behind)
        return data

    def _read_more(self) -> None:
        if self.damage is not None:
            return
        if stored := self._file.read():
            self._stored, self._used = stored, 0
        else:
            self._stop("is cut: it ends before its end mark")

    def _stop(self, message: str) -> None:
        offset = max(self._member_offset, self._stored_offset)
        self.damage = StreamDamage(
            offset,
            f"the compressed stream {message}; its bytes from {offset} on, in the shard as it is "
            "stored, are kept as they are",
        )

    def _next_member(self) -> bool:
        """Begin the next member, if any, after zeros that tapes and block devices append."""
        while True:
            left = self._stored[self._used :].lstrip(b"\0")
            self._used = len(self._stored) - len(left)
            if left:
                self._inflater = zlib.decompressobj(self._window_bits)
                self._member_offset = self._stored_offset + self._used
                return True
            self._stored, self._used = self._file.read(), 0
            if not self._stored:
                return False


def _salvage(inflater: Any, stored: bytes, room: int) -> bytes:
    """Decompress all bytes before an error: a call of zlib that fails returns none of them."""
    salvaged = b""
    # Even without further input, output of earlier input may be pending.
    good, failing = -1, len(stored)
    while failing - good > 1:
        middle = (good + failing) // 2
        try:
            salvaged = inflater.copy().decompress(stored[:middle], room)
            good = middle
        except zlib.error:
            failing = middle
    return salvaged


@contextmanager
def open_content(shard: Shard, ahead: Prefetch | None = None) -> Iterator[Content]:
    """Open a shard's decompressed bytes; ``ahead`` is for shards in a store.

    Raises:
        SourceError: the shard cannot be opened or read.
    """
    with read_errors(shard.url):
        opened = _open(shard, ahead)
    with opened as file:
        with read_errors(shard.url):
            codec = detect_codec(file.read(HEADER_BYTES))
            file.seek(0)
        stored = _StoredContent(file, shard)
        yield stored if codec is Codec.NONE else _InflatedContent(stored, codec)


def _open(shard: Shard, ahead: Prefetch | None) -> Any:
    if shard.is_local:
        return shard.filesystem.open(shard.path, "rb")

    def read_range(start: int, stop: int) -> bytes:
        content: bytes = shard.filesystem.cat_file(shard.path, start=start, end=stop)
        return content

    return BlockStream(shard.url, shard.size, read_range, ahead)

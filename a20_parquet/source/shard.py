"""One shard: where it lies, what it is called, and its bytes as they were before compression."""

import enum
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import crc32c

from a20_parquet.errors import SourceError

HEADER_BYTES = 12
_CRC_MASK_DELTA = 0xA282EAD8
_MAGIC_BYTES = 2
_INFLATE_INPUT_BYTES = 1 << 18


class Codec(enum.StrEnum):
    """How a whole shard is compressed, named as TensorFlow's ``TFRecordOptions`` does."""

    NONE = ""
    GZIP = "GZIP"
    ZLIB = "ZLIB"


@dataclass(frozen=True, slots=True)
class Shard:
    """One TFRecord file, not yet opened."""

    label: str
    """Its file name; where two shards share one, the shortest path tail that tells them apart."""
    url: str
    """Where it lies, for messages and the manifest."""
    position: int
    """Its place in shard order, from 0."""
    path: str
    """Where it lies, as ``filesystem`` calls it."""
    size: int
    """Stored size in bytes."""
    filesystem: Any = field(compare=False, repr=False)
    """The fsspec filesystem that holds it."""


# What zlib calls the two formats.
_WINDOW_BITS = {Codec.GZIP: 31, Codec.ZLIB: 15}


class Content(Protocol):
    """A shard's decompressed bytes, read once from start to end."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill ``buffer`` from its start; fewer bytes than it holds mean the end was reached."""
        ...

    @property
    def stored_bytes(self) -> int:
        """How many bytes of the shard as it is stored have been read."""
        ...


class _StoredContent:
    """Bytes of an uncompressed shard."""

    def __init__(self, file: Any, url: str) -> None:
        self.stored_bytes = 0
        self._file = file
        self._url = url

    def readinto(self, buffer: memoryview) -> int:
        filled = 0
        while filled < len(buffer):
            with reading(self._url):
                count = self._file.readinto(buffer[filled:])
            if not count:
                break
            filled += count
            self.stored_bytes += count
        return filled


class _InflatedContent:
    """Bytes of a GZIP or ZLIB shard, inflated as they are asked for; GZIP may have members."""

    def __init__(self, file: Any, codec: Codec, url: str) -> None:
        self.stored_bytes = 0
        self._file = file
        self._window_bits = _WINDOW_BITS[codec]
        self._url = url
        self._inflater = zlib.decompressobj(self._window_bits)
        self._stored = b""

    def readinto(self, buffer: memoryview) -> int:
        filled = 0
        while filled < len(buffer):
            if self._inflater.eof:
                self._stored = self._next_member()
                if not self._stored:
                    break
                self._inflater = zlib.decompressobj(self._window_bits)
            self._stored = self._stored or self._read_stored()
            try:
                data = self._inflater.decompress(self._stored, len(buffer) - filled)
            except zlib.error as error:
                raise SourceError(
                    f"{self._url}: the compressed stream is damaged ({error}). Fetch it again."
                ) from error
            if not (self._stored or data or self._inflater.eof):
                raise SourceError(
                    f"{self._url}: the compressed stream ends before its end mark: the shard is "
                    "truncated. Fetch it again."
                )
            self._stored = self._inflater.unconsumed_tail
            buffer[filled : filled + len(data)] = data
            filled += len(data)
        return filled

    def _next_member(self) -> bytes:
        """Skip the zeros that tapes and block devices leave behind a member."""
        stored: bytes = self._inflater.unused_data.lstrip(b"\0")
        while not stored and (more := self._read_stored()):
            stored = more.lstrip(b"\0")
        return stored

    def _read_stored(self) -> bytes:
        with reading(self._url):
            stored: bytes = self._file.read(_INFLATE_INPUT_BYTES)
        self.stored_bytes += len(stored)
        return stored


def masked_crc(data: Any) -> int:
    """CRC32C of ``data`` as TFRecord stores it: rotated right by 15 bits, plus a constant.

    Source: tensorflow/core/lib/hash/crc32c.h (``Mask``).
    """
    # Frames are small: to let go of the GIL for each would mean to wait for it again each time.
    crc = crc32c.crc32c(data, 0, gil_release_mode=0)
    return (((crc >> 15) | (crc << 17)) + _CRC_MASK_DELTA) & 0xFFFFFFFF


def starts_with_frame(head: bytes) -> bool:
    """Whether ``head`` begins with a frame header: a length and its valid masked CRC32C."""
    if len(head) < HEADER_BYTES:
        return False
    return masked_crc(head[:8]) == int.from_bytes(head[8:HEADER_BYTES], "little")


def detect_codec(head: bytes) -> Codec:
    """Tell a shard's compression from its first bytes.

    A valid first frame wins: the length of a plain shard's first record may look like the magic
    bytes of the other two. Where that frame is damaged, what follows the magic bytes tells.
    """
    if starts_with_frame(head) or len(head) < _MAGIC_BYTES:
        return Codec.NONE
    for codec, window_bits in _WINDOW_BITS.items():
        with suppress(zlib.error):
            zlib.decompressobj(window_bits).decompress(head)
            return codec
    return Codec.NONE


def read_codec(shard: Shard) -> Codec:
    """Tell a shard's compression.

    Raises:
        SourceError: the shard can't be read.
    """
    with reading(shard.url), shard.filesystem.open(shard.path, "rb") as file:
        return detect_codec(file.read(HEADER_BYTES))


@contextmanager
def open_content(shard: Shard) -> Iterator[Content]:
    """Open a shard and hand out its decompressed bytes.

    Raises:
        SourceError: the shard can't be opened or read, or its compressed stream is damaged.
    """
    with reading(shard.url):
        opened = shard.filesystem.open(shard.path, "rb")
    with opened as file:
        with reading(shard.url):
            codec = detect_codec(file.read(HEADER_BYTES))
            file.seek(0)
        if codec is Codec.NONE:
            yield _StoredContent(file, shard.url)
        else:
            yield _InflatedContent(file, codec, shard.url)


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Say of a failure to read that it is the source's, and of which.

    Raises:
        SourceError: the body raised an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        raise SourceError(f"{url}: can't be read: {error}") from error

"""One shard: its location, its name, and the compression that its first bytes show."""

import enum
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import crc32c

from a20_parquet.errors import SourceError
from a20_parquet.storage.locate import is_local

HEADER_BYTES = 12
FOOTER_BYTES = 4
CRC_MASK_DELTA = 0xA282EAD8
_MAGIC_BYTES = 2


class Codec(enum.StrEnum):
    """How a whole shard is compressed, named as TensorFlow's ``TFRecordOptions`` does."""

    NONE = ""
    GZIP = "GZIP"
    ZLIB = "ZLIB"


@dataclass(frozen=True, slots=True)
class Shard:
    """One TFRecord file, not yet opened."""

    label: str
    """Its file name, or the shortest unique path tail if two shards share the name."""
    url: str
    """For messages and the manifest."""
    position: int
    """Index in shard order, from 0."""
    path: str
    """Path in ``filesystem``."""
    size: int
    """Stored size in bytes."""
    filesystem: Any = field(compare=False, repr=False)
    """The fsspec filesystem that holds it."""
    version: str = ""
    """ETag or modification time, which differs if the file is replaced; empty if the store has
    neither."""
    hop_s: float | None = None
    """Seconds from one window's start to the next, from Perch's ``config.json`` in the same folder;
    None if unknown."""
    sample_rate_hz: float | None = None
    """Sample rate of its recordings, from the user or that file; None if unknown."""
    window_size_s: float | None = None
    """Seconds of audio of a window, from that file; None if unknown."""
    model: str | None = None
    """Name and version of the model, from that file; None if unknown."""

    @property
    def is_local(self) -> bool:
        """Whether the file is on this machine."""
        return is_local(self.filesystem)


def some_in_store(shards: Iterable[Shard]) -> bool:
    """Whether any shard is in a store."""
    return any(not shard.is_local for shard in shards)


# zlib's ``wbits`` of the two formats.
WINDOW_BITS = {Codec.GZIP: 31, Codec.ZLIB: 15}


def masked_crc(data: Any) -> int:
    """CRC32C of ``data`` as TFRecord stores it: rotated right by 15 bits, plus a constant.

    Source: tensorflow/core/lib/hash/crc32c.h (``Mask``).
    """
    # Frames are small: releasing the GIL for each would cost more than it gains.
    crc = crc32c.crc32c(data, 0, gil_release_mode=0)
    return (((crc >> 15) | (crc << 17)) + CRC_MASK_DELTA) & 0xFFFFFFFF


def frame_ends(payload: Any) -> tuple[bytes, bytes]:
    """Return the header and the footer of a frame, which stand around its payload."""
    length = len(payload).to_bytes(8, "little")
    return length + _stored_crc(length), _stored_crc(payload)


def unmasked_crc(masked: int) -> int:
    """CRC32C of the data that ``masked_crc`` has masked."""
    rotated = (masked - CRC_MASK_DELTA) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def starts_with_frame(head: bytes | memoryview) -> bool:
    """Whether ``head`` begins with a frame header: a length and its valid masked CRC32C."""
    if len(head) < HEADER_BYTES:
        return False
    return masked_crc(head[:8]) == int.from_bytes(head[8:HEADER_BYTES], "little")


def detect_codec(head: bytes) -> Codec:
    """Detect a shard's compression from its first bytes.

    A valid first frame wins: the length of a plain shard's first record may look like the magic
    bytes of the other two. If that frame is damaged, the bytes after the magic decide.
    """
    if starts_with_frame(head) or len(head) < _MAGIC_BYTES:
        return Codec.NONE
    for codec, window_bits in WINDOW_BITS.items():
        with suppress(zlib.error):
            zlib.decompressobj(window_bits).decompress(head)
            return codec
    return Codec.NONE


@contextmanager
def read_errors(url: str) -> Iterator[None]:
    """Raise the body's ``OSError`` as a ``SourceError`` that names the shard."""
    try:
        yield
    except OSError as error:
        message = str(error).removeprefix(f"{url}: ")
        raise SourceError(f"{url}: cannot be read: {message}") from error


def _stored_crc(data: Any) -> bytes:
    return masked_crc(data).to_bytes(FOOTER_BYTES, "little")

"""Framing: a shard's bytes as records, each with its number, byte offset and checked payload.

The format is TensorFlow's TFRecord (tensorflow/core/lib/io/record_writer.h): a little-endian
uint64 length, its masked CRC32C, the payload, the payload's masked CRC32C.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple, TypeVar

from a20_parquet.storage.read_ahead import Prefetch
from a20_parquet.tfrecord.compression import Content, open_content
from a20_parquet.tfrecord.lookahead import PeekBuffer
from a20_parquet.tfrecord.records import PIECE_BYTES, Damage, Records, strict
from a20_parquet.tfrecord.resync import MAX_PAYLOAD_BYTES, find_frame, is_frame
from a20_parquet.tfrecord.shard import (
    FOOTER_BYTES,
    HEADER_BYTES,
    Shard,
    masked_crc,
    starts_with_frame,
)
from a20_parquet.windows.rejection import Reason

BATCH_BYTES = 8 << 20
"""A good size of batches where no memory budget tells one."""

_HEADER, _FOOTER = struct.Struct("<QI"), struct.Struct("<I")

Item = TypeVar("Item")


class _Fault(NamedTuple):
    """Why there is no whole frame at an offset."""

    reason: Reason
    message: str
    size: int = 0
    """Bytes of the damaged frame; 0 if frame boundaries are lost."""


class FrameReader:
    """Reads one shard's frames in batches and checks both checksums of each.

    Attributes:
        records: how many whole records have been read.
        damaged_ranges: how many damaged ranges have been read.
    """

    def __init__(self, shard: Shard, content: Content, batch_bytes: int) -> None:
        self.records = 0
        self.damaged_ranges = 0
        self._shard = shard
        self._content = content
        self._batch_bytes = batch_bytes
        self._ahead = PeekBuffer(content, max(batch_bytes, 2 * HEADER_BYTES))
        self._digest = hashlib.sha256()

    @property
    def content_bytes(self) -> int:
        """Bytes of the decompressed shard that have been framed or found damaged."""
        return self._ahead.offset

    @property
    def checksum(self) -> str:
        """SHA-256 of the frames' lengths and payload CRCs so far, in hexadecimal.

        Every payload has been checked against its CRC, so equal checksums mean equal records.
        Damaged bytes are all digested.
        """
        return self._digest.hexdigest()

    def read(self) -> Iterator[Records | Damage]:
        """Yield all of the shard in order: records in batches, and what is damaged between them.

        A batch holds about ``batch_bytes``, or one record that is longer, and ends before damage.
        Its payloads are views of the buffer that the next ones are read into: they are good until
        the next item is asked for. The frames of all records and the contents of all damage are the
        decompressed shard; where its compressed stream is damaged, the stored bytes from there on
        come last.

        Memory is bounded by ``batch_bytes``, ``PIECE_BYTES`` and twice the longest length that a
        frame header with a right checksum tells.

        Raises:
            SourceError: the shard cannot be read, or has changed while it was.
        """
        while self._ahead.peek(HEADER_BYTES):
            fault = self._check_next()
            if fault is None:
                records = self._take_whole_frames()
                if records.payloads:
                    yield records
                    continue
                fault = self._bad_payload()
            content = self._ahead.take(fault.size) if fault.size else self._lost()
            yield from self._damage(fault, self._ahead.offset, content)
        if stream := self._content.damage:
            fault = _Fault(Reason.BAD_STREAM, stream.message)
            yield from self._damage(fault, stream.offset, self._content.rest())

    def _check_next(self) -> _Fault | None:
        """Read the next frame to its end; None if all but the payload's checksum is right."""
        header = self._ahead.peek(HEADER_BYTES)
        if fault := self._check_header(header):
            return fault
        size = _frame_bytes(header)
        return self._overrun(size) if len(self._ahead.peek(size)) < size else None

    def _take_whole_frames(self) -> Records:
        """Take the buffered frames, up to one that is damaged or incomplete."""
        held, first = self._ahead.buffered, self._ahead.offset
        offsets: list[int] = []
        payloads: list[memoryview] = []
        between: list[memoryview] = []
        at = behind = 0
        while at + HEADER_BYTES <= len(held) and at < self._batch_bytes:
            length, length_crc = _HEADER.unpack_from(held, at)
            payload_at = at + HEADER_BYTES
            footer_at = payload_at + length
            if footer_at + FOOTER_BYTES > len(held) or length_crc != _length_crc(length):
                break
            payload = held[payload_at:footer_at]
            if _FOOTER.unpack_from(held, footer_at) != (masked_crc(payload),):
                break
            offsets.append(first + at)
            payloads.append(payload)
            # A footer and the header that follows it.
            between.append(held[behind:payload_at])
            behind = footer_at
            at = footer_at + FOOTER_BYTES
        self._digest.update(b"".join([*between, held[behind:at]]))
        self._ahead.skip(at)
        number = self.records + self.damaged_ranges
        self.records += len(payloads)
        return Records(self._shard, number, offsets, payloads)

    def _bad_payload(self) -> _Fault:
        """Describe the wrong payload checksum of the next, buffered frame."""
        size = _frame_bytes(self._ahead.peek(HEADER_BYTES))
        behind = self._ahead.peek(size + HEADER_BYTES)[size:]
        frame = self._ahead.peek(size)
        crc = masked_crc(frame[HEADER_BYTES:-FOOTER_BYTES])
        message = (
            f"the payload's masked CRC32C is {crc:#010x}, its frame says "
            f"{int.from_bytes(frame[-FOOTER_BYTES:], 'little'):#010x}"
        )
        if behind and not starts_with_frame(behind):
            return _Fault(Reason.BAD_PAYLOAD, f"{message}, and no frame follows it")
        return _Fault(Reason.BAD_PAYLOAD, message, size)

    def _check_header(self, header: memoryview) -> _Fault | None:
        if len(header) < HEADER_BYTES:
            return _Fault(Reason.TRUNCATED, self._cut(len(header)))
        length = int.from_bytes(header[:8], "little")
        message = None
        if not starts_with_frame(header):
            message = f"the frame's length ({length}) and its CRC32C do not agree"
        elif length > MAX_PAYLOAD_BYTES:
            message = f"a payload of {length} bytes is more than a protobuf may hold"
        return None if message is None else _Fault(Reason.BAD_LENGTH, message)

    def _overrun(self, size: int) -> _Fault:
        """Tell a cut shard from a frame that lost bytes and is followed by whole frames."""
        held = self._ahead.buffered
        if find_frame(held, 1, is_all=True) == len(held):
            return _Fault(Reason.TRUNCATED, self._cut(len(held)))
        return _Fault(
            Reason.BAD_LENGTH,
            f"the frame's {size} bytes reach {size - len(held)} bytes behind the shard's end, and "
            "whole frames stand before it",
        )

    def _cut(self, size: int) -> str:
        end = "what can be inflated" if self._content.damage else "the shard"
        return f"{end} ends {size} bytes into a frame"

    def _lost(self) -> Iterator[bytes]:
        """Take bytes up to the next whole frame or the end."""
        ahead = self._ahead
        while True:
            yield from ahead.take(find_frame(ahead.buffered, 1, is_all=ahead.at_end))
            header = ahead.peek(HEADER_BYTES)
            if not header:
                return
            if self._check_header(header) is None and is_frame(ahead.peek(_frame_bytes(header))):
                return

    def _damage(self, fault: _Fault, offset: int, content: Iterable[bytes]) -> Iterator[Damage]:
        """Cut a damaged range into parts of one size, however it was read."""
        number = self.records + self.damaged_ranges
        self.damaged_ranges += 1
        held = bytearray()

        def piece(*, more: bool) -> Damage:
            part = bytes(held[:PIECE_BYTES])
            return Damage(self._shard, number, offset, fault.reason, fault.message, part, more)

        for part in content:
            self._digest.update(part)
            held += part
            while len(held) > PIECE_BYTES:
                yield piece(more=True)
                del held[:PIECE_BYTES]
                offset += PIECE_BYTES
        yield piece(more=False)


def tell_progress(
    items: Iterable[Item], content: Content, advance: Callable[[int], None]
) -> Iterator[Item]:
    """Yield items; after each, call ``advance`` with the stored bytes that it took."""
    told = 0
    for item in items:
        yield item
        advance(content.stored_bytes - told)
        told = content.stored_bytes


def read_shard(
    shard: Shard, batch_bytes: int, ahead: Prefetch | None = None
) -> Iterator[Records | Damage]:
    """Open ``shard`` and yield all of it, see ``FrameReader.read``.

    Args:
        shard: to read.
        batch_bytes: records are yielded in batches of about this size.
        ahead: as ``open_content`` takes it.

    Raises:
        SourceError: the shard cannot be read, or has changed while it was.
    """
    with open_content(shard, ahead) as content:
        yield from FrameReader(shard, content, batch_bytes).read()


def read_records(shard: Shard, batch_bytes: int) -> Iterator[Records]:
    """Open ``shard`` and yield its records in batches of about ``batch_bytes``.

    Raises:
        RecordError: the shard is damaged; records before are yielded first.
        SourceError: the shard cannot be read, or has changed while it was.
    """
    return strict(read_shard(shard, batch_bytes))


# Lengths return: records of a shard differ in little but their filenames.
@lru_cache(maxsize=1 << 12)
def _length_crc(length: int) -> int:
    return masked_crc(length.to_bytes(8, "little"))


def _frame_bytes(header: memoryview) -> int:
    return HEADER_BYTES + int.from_bytes(header[:8], "little") + FOOTER_BYTES

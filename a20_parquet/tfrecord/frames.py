"""Reads a shard's frames: records with number, byte offset and a payload of valid checksum.

The format is TensorFlow's TFRecord (tensorflow/core/lib/io/record_writer.h): a little-endian
uint64 length, its masked CRC32C, the payload, the payload's masked CRC32C.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

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
"""Size of batches without a memory budget."""

_HEADER, _FOOTER = struct.Struct("<QI"), struct.Struct("<I")


class _Fault(NamedTuple):
    """Why there is no whole frame at an offset."""

    reason: Reason
    message: str
    size: int = 0
    """Bytes of the damaged frame; 0 if frame boundaries are lost."""


class FrameReader:
    """Reads one shard's frames in batches and checks both checksums of each.

    Attributes:
        records: number of whole records read.
        damaged_ranges: number of damaged ranges read.
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
        """Bytes of the decompressed shard that were read, damaged ones included."""
        return self._ahead.offset

    @property
    def checksum(self) -> str:
        """SHA-256, in hexadecimal, of the frames' lengths and payload CRCs read so far.

        Every payload was checked against its CRC, so equal checksums mean equal records. Damaged
        bytes are digested completely.
        """
        return self._digest.hexdigest()

    def read(self, advance: Callable[[int], None] = lambda _: None) -> Iterator[Records | Damage]:
        """Yield the whole shard in order: batches of records, and the damage between them.

        A batch has about ``batch_bytes``, or one longer record, and ends before damage. Its
        payloads are views of a buffer, valid until the next item is read. The frames of all records
        and the contents of all damage together are the decompressed shard. If the compressed stream
        is damaged, the stored bytes from there on come last.

        Memory is bounded by ``batch_bytes``, ``PIECE_BYTES`` and twice the longest length in a
        frame header with a valid checksum.

        Args:
            advance: called after each item with the number of stored bytes that it took.

        Raises:
            SourceError: the shard cannot be read, or has changed meanwhile.
        """
        reported = 0
        for item in self._read():
            yield item
            advance(self._content.stored_bytes - reported)
            reported = self._content.stored_bytes

    def _read(self) -> Iterator[Records | Damage]:
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
        """Buffer the next frame; None if it is whole, its payload not checked yet."""
        header = self._ahead.peek(HEADER_BYTES)
        if fault := self._check_header(header):
            return fault
        size = _frame_bytes(header)
        return self._overrun(size) if len(self._ahead.peek(size)) < size else None

    def _take_whole_frames(self) -> Records:
        """Take the buffered frames before the first damaged or incomplete one."""
        data, first = self._ahead.buffered, self._ahead.offset
        offsets: list[int] = []
        payloads: list[memoryview] = []
        checksums: list[int] = []
        between: list[memoryview] = []
        at = behind = 0
        while at + HEADER_BYTES <= len(data) and at < self._batch_bytes:
            length, length_crc = _HEADER.unpack_from(data, at)
            payload_at = at + HEADER_BYTES
            footer_at = payload_at + length
            if footer_at + FOOTER_BYTES > len(data) or length_crc != _length_crc(length):
                break
            payload = data[payload_at:footer_at]
            checksum = masked_crc(payload)
            if _FOOTER.unpack_from(data, footer_at) != (checksum,):
                break
            checksums.append(checksum)
            offsets.append(first + at)
            payloads.append(payload)
            # A footer and the header that follows it.
            between.append(data[behind:payload_at])
            behind = footer_at
            at = footer_at + FOOTER_BYTES
        self._digest.update(b"".join([*between, data[behind:at]]))
        self._ahead.skip(at)
        number = self.records + self.damaged_ranges
        self.records += len(payloads)
        return Records(self._shard, number, offsets, payloads, checksums)

    def _bad_payload(self) -> _Fault:
        """Describe the wrong payload checksum of the next frame, which is buffered."""
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
        # A damaged length may match its checksum and reach over records that are not damaged.
        if find_frame(frame, 1, is_all=True) < size:
            return _Fault(Reason.BAD_PAYLOAD, f"{message}, and a whole frame is inside it")
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
        """Distinguish a cut shard from a frame that lost bytes, after which whole frames follow."""
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
        """Take the bytes up to the next whole frame, or to the end."""
        ahead = self._ahead
        while True:
            yield from ahead.take(find_frame(ahead.buffered, 1, is_all=ahead.at_end))
            header = ahead.peek(HEADER_BYTES)
            if not header:
                return
            if self._check_header(header) is None and is_frame(ahead.peek(_frame_bytes(header))):
                return

    def _damage(self, fault: _Fault, offset: int, content: Iterable[bytes]) -> Iterator[Damage]:
        """Divide a damaged range into parts of ``PIECE_BYTES``."""
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


def read_shard(
    shard: Shard, batch_bytes: int, ahead: Prefetch | None = None
) -> Iterator[Records | Damage]:
    """Open ``shard`` and yield all of it, see ``FrameReader.read`` and ``open_content``.

    Raises:
        SourceError: the shard cannot be read, or has changed meanwhile.
    """
    with open_content(shard, ahead) as content:
        yield from FrameReader(shard, content, batch_bytes).read()


def read_records(shard: Shard, batch_bytes: int) -> Iterator[Records]:
    """Open ``shard`` and yield its records in batches of about ``batch_bytes``.

    Raises:
        RecordError: the shard is damaged; the records before the damage are yielded first.
        SourceError: the shard cannot be read, or has changed meanwhile.
    """
    return strict(read_shard(shard, batch_bytes))


# Lengths recur: the records of a shard differ in size only by their filenames.
@lru_cache(maxsize=1 << 12)
def _length_crc(length: int) -> int:
    return masked_crc(length.to_bytes(8, "little"))


def _frame_bytes(header: memoryview) -> int:
    return HEADER_BYTES + int.from_bytes(header[:8], "little") + FOOTER_BYTES

"""Framing: a shard's bytes as records, each with its number, byte offset and checked payload.

The format is TensorFlow's TFRecord (tensorflow/core/lib/io/record_writer.h): a little-endian
uint64 length, its masked CRC32C, the payload, the payload's masked CRC32C.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from a20_parquet.errors import RecordError
from a20_parquet.source.shard import HEADER_BYTES, Content, Shard, masked_crc, open_content

FOOTER_BYTES = 4
_MAX_PAYLOAD_BYTES = 2**31 - 1
_DAMAGED = "The shard is damaged here: fetch it again, or leave it out."


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records of one shard."""

    shard: Shard
    first: int
    """Number of the first record in its shard, from 0."""
    offsets: list[int]
    """Where each record's frame starts, in bytes of the decompressed shard."""
    payloads: list[memoryview]
    """Serialized ``tf.train.Example`` messages, valid only until the next batch is asked for."""

    @property
    def payload_bytes(self) -> int:
        """Bytes of all payloads."""
        return sum(map(len, self.payloads))

    def error(self, index: int, reason: str, fix: str) -> RecordError:
        """Make the error that says why the record at ``index`` of this batch can't be used."""
        return RecordError(
            shard=self.shard.url,
            record=self.first + index,
            offset=self.offsets[index],
            reason=reason,
            fix=fix,
        )


class FrameReader:
    """Reads one shard's frames in batches and checks both checksums of each.

    Attributes:
        records: how many records have been read.
        content_bytes: bytes of the decompressed shard that have been framed.
    """

    def __init__(self, shard: Shard, content: Content, batch_bytes: int) -> None:
        self.records = 0
        self.content_bytes = 0
        self._shard = shard
        self._content = content
        self._buffer = bytearray(max(batch_bytes, 2 * HEADER_BYTES))
        self._digest = hashlib.sha256()

    @property
    def checksum(self) -> str:
        """SHA-256 of the frames' lengths and payload CRCs so far, in hexadecimal.

        Every payload has been checked against its CRC, so equal checksums mean equal records.
        """
        return self._digest.hexdigest()

    def batches(self) -> Iterator[Records]:
        """Yield all records in order; a batch's payloads die when the next one is asked for.

        Raises:
            RecordError: a length or payload checksum is wrong, or the shard ends inside a frame.
            SourceError: the shard can't be read.
        """
        held = 0
        at_end = False
        while not at_end:
            view = memoryview(self._buffer)
            read = self._content.readinto(view[held:])
            at_end = held + read < len(view)
            filled = view[: held + read]
            records, used, damage = self._frame(filled)
            if records.payloads:
                yield records
            if damage:
                raise damage
            rest = bytes(filled[used:])
            if at_end and rest:
                raise self._damaged(f"the shard ends {len(rest)} bytes into a frame")
            if not used and not at_end:
                # One frame outgrows the buffer. Doubling, instead of trusting the length, keeps a
                # damaged one from claiming all memory.
                self._buffer = bytearray(2 * len(self._buffer))
            self._buffer[: len(rest)] = rest
            held = len(rest)

    def _frame(self, filled: memoryview) -> tuple[Records, int, RecordError | None]:
        """Take whole frames off ``filled``, up to the first damage; also say how many bytes."""
        records = Records(self._shard, self.records, [], [])
        at = 0
        while at + HEADER_BYTES <= len(filled):
            length, reason = _parse_header(filled[at : at + HEADER_BYTES])
            if reason:
                return records, at, self._damaged(reason)
            end = at + HEADER_BYTES + length + FOOTER_BYTES
            if end > len(filled):
                break
            payload = filled[at + HEADER_BYTES : end - FOOTER_BYTES]
            stored = filled[end - FOOTER_BYTES : end]
            crc = masked_crc(payload)
            if crc != int.from_bytes(stored, "little"):
                reason = (
                    f"the payload's masked CRC32C is {crc:#010x}, its frame says "
                    f"{int.from_bytes(stored, 'little'):#010x}"
                )
                return records, at, self._damaged(reason)
            records.offsets.append(self.content_bytes)
            records.payloads.append(payload)
            self._digest.update(filled[at : at + HEADER_BYTES])
            self._digest.update(stored)
            self.records += 1
            self.content_bytes += end - at
            at = end
        return records, at, None

    def _damaged(self, reason: str) -> RecordError:
        return RecordError(
            shard=self._shard.url,
            record=self.records,
            offset=self.content_bytes,
            reason=reason,
            fix=_DAMAGED,
        )


def _parse_header(header: memoryview) -> tuple[int, str | None]:
    """The payload's length and, if the header is damaged, what is wrong with it."""
    length = int.from_bytes(header[:8], "little")
    if masked_crc(header[:8]) != int.from_bytes(header[8:], "little"):
        reason = f"the frame's length ({length}) and its CRC32C do not agree: no TFRecord frame"
        return length, reason
    if length > _MAX_PAYLOAD_BYTES:
        return length, f"a payload of {length} bytes is more than a protobuf may hold"
    return length, None


def read_records(shard: Shard, batch_bytes: int) -> Iterator[Records]:
    """Open ``shard`` and yield its records in batches of about ``batch_bytes``.

    Raises:
        RecordError: the shard is damaged.
        SourceError: the shard can't be read.
    """
    with open_content(shard) as content:
        yield from FrameReader(shard, content, batch_bytes).batches()

"""Framing: a shard's bytes as records, each with its number, byte offset and checked payload.

The format is TensorFlow's TFRecord (tensorflow/core/lib/io/record_writer.h): a little-endian
uint64 length, its masked CRC32C, the payload, the payload's masked CRC32C.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from a20_parquet.errors import RecordError, SourceError
from a20_parquet.source.shard import HEADER_BYTES, Content, Shard, masked_crc, open_content

FOOTER_BYTES = 4
# Small enough to stay in a core's cache from reading to checking to copying.
_READ_BYTES = 1 << 20
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
    payloads: list[bytes]
    """Serialized ``tf.train.Example`` messages."""

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
        self._batch_bytes = batch_bytes
        self._buffer = bytearray(max(min(batch_bytes, _READ_BYTES), 2 * HEADER_BYTES))
        self._digest = hashlib.sha256()

    @property
    def checksum(self) -> str:
        """SHA-256 of the frames' lengths and payload CRCs so far, in hexadecimal.

        Every payload has been checked against its CRC, so equal checksums mean equal records.
        """
        return self._digest.hexdigest()

    def batches(self) -> Iterator[Records]:
        """Yield all records in order, in batches of ``batch_bytes`` or a record more.

        Raises:
            RecordError: a length or payload checksum is wrong, or the shard ends inside a frame;
                whole records before the damage are yielded first.
            SourceError: the shard can't be read.
        """
        records = Records(self._shard, 0, [], [])
        size = 0
        damage: RecordError | SourceError | None = None
        try:
            for offset, payload in self._frames():
                records.offsets.append(offset)
                records.payloads.append(payload)
                size += HEADER_BYTES + len(payload) + FOOTER_BYTES
                if size >= self._batch_bytes:
                    yield records
                    records = Records(self._shard, self.records, [], [])
                    size = 0
        except (RecordError, SourceError) as error:
            damage = error
        if records.payloads:
            yield records
        if damage:
            raise damage

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        """Yield each frame's offset and checked payload."""
        held = 0
        at_end = False
        while not at_end:
            view = memoryview(self._buffer)
            read = self._content.readinto(view[held:])
            at_end = held + read < len(view)
            filled = view[: held + read]
            at = 0
            while end := self._find_end(filled, at):
                offset = self.content_bytes
                payload = self._check_payload(filled[at:end])
                self.records += 1
                self.content_bytes += end - at
                at = end
                yield offset, payload
            rest = bytes(filled[at:])
            if at_end and rest:
                raise self._damaged(f"the shard ends {len(rest)} bytes into a frame")
            if not at and not at_end:
                # One frame outgrows the buffer. Doubling, instead of trusting the length, keeps a
                # damaged one from claiming all memory.
                self._buffer = bytearray(2 * len(self._buffer))
            self._buffer[: len(rest)] = rest
            held = len(rest)

    def _find_end(self, filled: memoryview, at: int) -> int:
        """Where the frame at ``at`` ends; 0 where ``filled`` does not hold all of it."""
        if at + HEADER_BYTES > len(filled):
            return 0
        header = filled[at : at + HEADER_BYTES]
        length = int.from_bytes(header[:8], "little")
        if masked_crc(header[:8]) != int.from_bytes(header[8:], "little"):
            raise self._damaged(
                f"the frame's length ({length}) and its CRC32C do not agree: no TFRecord frame"
            )
        if length > _MAX_PAYLOAD_BYTES:
            raise self._damaged(f"a payload of {length} bytes is more than a protobuf may hold")
        end = at + HEADER_BYTES + length + FOOTER_BYTES
        return end if end <= len(filled) else 0

    def _check_payload(self, frame: memoryview) -> bytes:
        # The copy is made while the bytes are in the cache: the next ones overwrite them.
        payload = bytes(frame[HEADER_BYTES:-FOOTER_BYTES])
        stored = frame[-FOOTER_BYTES:]
        crc = masked_crc(payload)
        if crc != int.from_bytes(stored, "little"):
            raise self._damaged(
                f"the payload's masked CRC32C is {crc:#010x}, its frame says "
                f"{int.from_bytes(stored, 'little'):#010x}"
            )
        self._digest.update(frame[:HEADER_BYTES])
        self._digest.update(stored)
        return payload

    def _damaged(self, reason: str) -> RecordError:
        return RecordError(
            shard=self._shard.url,
            record=self.records,
            offset=self.content_bytes,
            reason=reason,
            fix=_DAMAGED,
        )


def tell_progress(
    batches: Iterable[Records], content: Content, advance: Callable[[int], None]
) -> Iterator[Records]:
    """Yield batches, and tell of each, once it is done with, how many stored bytes it took."""
    told = 0
    for records in batches:
        yield records
        advance(content.stored_bytes - told)
        told = content.stored_bytes


def read_records(shard: Shard, batch_bytes: int) -> Iterator[Records]:
    """Open ``shard`` and yield its records in batches of about ``batch_bytes``.

    Raises:
        RecordError: the shard is damaged.
        SourceError: the shard can't be read.
    """
    with open_content(shard) as content:
        yield from FrameReader(shard, content, batch_bytes).batches()

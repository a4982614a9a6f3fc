"""Batches of records, and the damage between them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from a20_parquet.errors import RecordError
from a20_parquet.tfrecord.shard import Shard, frame_ends
from a20_parquet.windows.rejection import Reason, Rejection

Buffer = bytes | memoryview
"""Contiguous bytes."""

PIECE_BYTES = 1 << 20
"""Most bytes in one part of a damaged range."""


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records of one shard."""

    shard: Shard
    first: int
    """Number of the first record in its shard, from 0."""
    offsets: list[int]
    """Where each record's frame starts, in bytes of the decompressed shard."""
    payloads: Sequence[Buffer]
    """Serialized ``tf.train.Example`` messages; valid until the shard's next batch is read."""
    checksums: Sequence[int] = ()
    """Masked CRC32C of each payload, as its frame has it; empty if nobody has asked the frames."""

    @property
    def payload_bytes(self) -> int:
        """Bytes of all payloads."""
        return sum(map(len, self.payloads))

    def offset(self, number: int) -> int:
        """Offset of the frame of the record with this number in the shard, in bytes."""
        return self.offsets[number - self.first]

    def frame(self, number: int) -> tuple[bytes, Buffer, bytes]:
        """Return the frame of a record as header, payload and footer, byte for byte."""
        payload = self.payloads[number - self.first]
        # Both checksums were valid, so the stored ones equal the computed ones.
        header, footer = frame_ends(payload)
        return header, payload, footer

    def error(self, rejection: Rejection) -> RecordError:
        """Return the error that says why a record of this batch cannot be used."""
        return _error(self.shard, self.offset(rejection.number), rejection)


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a shard that are in no whole record: a damaged range, or a part of one.

    The parts of one range are consecutive and have the same number, reason and message.
    """

    shard: Shard
    number: int
    """Number of the range, which counts as one record, from 0."""
    offset: int
    """Offset of the part in the decompressed shard, in bytes; in the stored one if the reason is
    ``BAD_STREAM``."""
    reason: Reason
    message: str
    """What was found at the range's start, and what was expected."""
    content: bytes
    """The damaged bytes, at most ``PIECE_BYTES``; empty if a compressed stream was cut."""
    more: bool
    """Whether another part of the same range follows."""

    @property
    def rejection(self) -> Rejection:
        """The range as quarantine lists it."""
        return Rejection(self.number, self.reason, self.message)

    def error(self) -> RecordError:
        """Return the error that says what is damaged."""
        return _error(self.shard, self.offset, self.rejection)


def strict(items: Iterable[Records | Damage]) -> Iterator[Records]:
    """Yield records up to the first damaged range.

    Raises:
        RecordError: a range is damaged.
    """
    for item in items:
        if isinstance(item, Damage):
            raise item.error()
        yield item


def _error(shard: Shard, offset: int, rejection: Rejection) -> RecordError:
    return RecordError(
        shard=shard.url,
        record=rejection.number,
        offset=offset,
        code=rejection.reason,
        reason=rejection.message,
        fix=rejection.reason.fix,
    )

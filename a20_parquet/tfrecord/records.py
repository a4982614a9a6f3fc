"""What framing hands on: batches of records, and the damage between them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from a20_parquet.errors import RecordError
from a20_parquet.tfrecord.shard import FOOTER_BYTES, Shard, masked_crc
from a20_parquet.windows.rejection import Reason, Rejection

Buffer = bytes | memoryview
"""Contiguous bytes."""

PIECE_BYTES = 1 << 20
"""The most bytes of a damaged range that are handed on at once."""


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records of one shard."""

    shard: Shard
    first: int
    """Number of the first record in its shard, from 0."""
    offsets: list[int]
    """Where each record's frame starts, in bytes of the decompressed shard."""
    payloads: Sequence[Buffer]
    """Serialized ``tf.train.Example`` messages; those of a shard that is being read are good until
    the next batch is asked for."""

    @property
    def payload_bytes(self) -> int:
        """Bytes of all payloads."""
        return sum(map(len, self.payloads))

    def offset(self, number: int) -> int:
        """Where the frame of the record with this number in the shard starts."""
        return self.offsets[number - self.first]

    def frame(self, number: int) -> tuple[bytes, Buffer, bytes]:
        """The whole frame of the record with this number in the shard, byte for byte.

        In its three parts: header, payload and footer.
        """
        payload = self.payloads[number - self.first]
        # Both checksums were right, so what they are computed to be is what was stored.
        length = len(payload).to_bytes(8, "little")
        return length + _stored_crc(length), payload, _stored_crc(payload)

    def error(self, rejection: Rejection) -> RecordError:
        """Make the error that says why a record of this batch can't be used."""
        return RecordError(
            shard=self.shard.url,
            record=rejection.number,
            offset=self.offset(rejection.number),
            code=rejection.reason,
            reason=rejection.message,
            fix=rejection.reason.fix,
        )


@dataclass(frozen=True, slots=True)
class Damage:
    """Some bytes of a shard that are in no whole record: a damaged range, or a piece of one.

    The pieces of one range follow each other and have the same number, reason and message.
    """

    shard: Shard
    number: int
    """The range's: it counts as one record, from 0."""
    offset: int
    """Where the piece starts, in bytes of the decompressed shard; of the stored one where the
    reason is ``BAD_STREAM``."""
    reason: Reason
    message: str
    """What was found at the range's start and what was expected."""
    content: bytes
    """The damaged bytes, at most ``PIECE_BYTES``; none where a compressed stream was cut."""
    more: bool
    """Whether another piece of the range follows."""

    @property
    def rejection(self) -> Rejection:
        """Why the range is in no record, as quarantine lists it."""
        return Rejection(self.number, self.reason, self.message)

    def error(self) -> RecordError:
        """Make the error that says what is damaged."""
        return RecordError(
            shard=self.shard.url,
            record=self.number,
            offset=self.offset,
            code=self.reason,
            reason=self.message,
            fix=self.reason.fix,
        )


def strict(items: Iterable[Records | Damage]) -> Iterator[Records]:
    """Yield records as long as nothing is damaged.

    Raises:
        RecordError: something is.
    """
    for item in items:
        if isinstance(item, Damage):
            raise item.error()
        yield item


def _stored_crc(data: Buffer) -> bytes:
    return masked_crc(data).to_bytes(FOOTER_BYTES, "little")

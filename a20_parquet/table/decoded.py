"""What the decode stage hands to the table: a batch of records as NumPy values."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from a20_parquet.errors import RecordError

Embedding = npt.NDArray[np.floating[Any]]
"""One record's tensor, float32 or float16, shape ``(windows, channels, dims)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordHeads:
    """Consecutive records of one shard without their embeddings; one item a record in each list."""

    shard: str
    """Where the shard lies, for messages."""
    position: int
    """The shard's place in shard order, from 0."""
    first: int
    """Number of the first record in its shard, from 0."""
    offsets: list[int]
    """Where each record's frame starts, in bytes of the decompressed shard."""
    filenames: list[bytes]
    """As the shard has them."""
    timestamps_s: npt.NDArray[np.float64]
    """Seconds from the start of the recording to the start of the record."""
    shapes: list[tuple[int, int, int]]
    """Each embedding's ``(windows, channels, dims)``."""

    def __post_init__(self) -> None:
        """Check that every list has one item a record."""
        counts = {
            len(self.offsets),
            len(self.filenames),
            len(self.timestamps_s),
            len(self.shapes),
        }
        if len(counts) != 1:
            raise ValueError(f"lists of different lengths: {sorted(counts)}")

    def __len__(self) -> int:
        """Count the records."""
        return len(self.offsets)

    def part(self, start: int, stop: int) -> "RecordHeads":
        """The records ``start`` to before ``stop`` of this batch."""
        return RecordHeads(
            shard=self.shard,
            position=self.position,
            first=self.first + start,
            offsets=self.offsets[start:stop],
            filenames=self.filenames[start:stop],
            timestamps_s=self.timestamps_s[start:stop],
            shapes=self.shapes[start:stop],
        )

    def error(self, index: int, reason: str, fix: str) -> RecordError:
        """Make the error that says why the record at ``index`` of this batch can't be converted."""
        return RecordError(
            shard=self.shard,
            record=self.first + index,
            offset=self.offsets[index],
            reason=reason,
            fix=fix,
        )


@dataclass(frozen=True, slots=True)
class DecodedRecords:
    """A decoded batch of records."""

    heads: RecordHeads
    """All but the embeddings."""
    embeddings: list[Embedding]
    """One tensor a record, of the shape that its head tells."""

    def check_dims(self, dims: int) -> None:
        """Check that every embedding has ``dims`` floats.

        Raises:
            RecordError: one has another number.
        """
        for index, (_, _, found) in enumerate(self.heads.shapes):
            if found != dims:
                raise self.heads.error(
                    index,
                    f"its embedding has {found} dimensions, expected {dims} as in the first record "
                    "or as --dims says",
                    "Convert shards of different dimensions into separate datasets.",
                )

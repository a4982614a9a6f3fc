"""A decoded batch of records as NumPy values: the result of the decode stage."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from a20_parquet.errors import RecordError
from a20_parquet.windows.rejection import Reason, Rejection

Embedding = npt.NDArray[np.floating[Any]]
"""One record's tensor, float32 or float16, shape ``(windows, channels, dims)``."""

FeatureValues = npt.NDArray[Any]
"""A record's values of a further feature: float32, int64, or bytes as objects, in a shape that
broadcasts to ``(windows, channels, width)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMetadata:
    """Records of one shard, in order, without embeddings; each list has one item per record."""

    shard: str
    """URL of the shard, for messages."""
    position: int
    """Position of the shard in shard order, from 0."""
    numbers: npt.NDArray[np.int64]
    """Each record's number in its shard, from 0; ascending."""
    offsets: list[int]
    """Where each record's frame starts, in bytes of the decompressed shard."""
    filenames: list[bytes]
    timestamps_s: npt.NDArray[np.float64]
    """Seconds from the start of the recording to the start of the record."""
    shapes: list[tuple[int, int, int]]
    """Each embedding's ``(windows, channels, dims)``."""

    def __post_init__(self) -> None:
        """Check that every list has one item per record."""
        lists: list[Sized] = [self.numbers, self.offsets, self.filenames]
        lists += [self.timestamps_s, self.shapes]
        counts = set(map(len, lists))
        if len(counts) != 1:
            raise ValueError(f"lists of different lengths: {sorted(counts)}")

    def __len__(self) -> int:
        """Count the records."""
        return len(self.offsets)

    def take(self, indices: Sequence[int]) -> "RecordMetadata":
        """The records at these indices of the batch."""
        return RecordMetadata(
            shard=self.shard,
            position=self.position,
            numbers=self.numbers[list(indices)],
            offsets=[self.offsets[index] for index in indices],
            filenames=[self.filenames[index] for index in indices],
            timestamps_s=self.timestamps_s[list(indices)],
            shapes=[self.shapes[index] for index in indices],
        )

    def error(self, index: int, reason: str, fix: str, code: Reason | None = None) -> RecordError:
        """Create the error for the record at ``index`` of this batch."""
        return RecordError(
            shard=self.shard,
            record=int(self.numbers[index]),
            offset=self.offsets[index],
            code=code,
            reason=reason,
            fix=fix,
        )


@dataclass(frozen=True, slots=True)
class DecodedRecords:
    """A decoded batch of records."""

    metadata: RecordMetadata
    embeddings: list[Embedding]
    """One tensor per record, of the shape in ``metadata.shapes``."""
    features: dict[str, list[FeatureValues | None]] = field(default_factory=dict)
    """For each wanted further feature its values in each record; None if the record lacks it."""
    rejected: tuple[Rejection, ...] = ()
    """Records that cannot be converted and are in none of these lists."""
    shape_disagreements: int = 0
    """Number of records whose ``embedding_shape`` differs from their tensor's shape."""
    other_features: frozenset[str] = frozenset()
    """Names of features that were not decoded."""
    floats_at: list[int | None] = field(default_factory=list)
    """Where each embedding's floats start in the record's payload, stored one after the other as
    little-endian numbers of the embedding's dtype; None if they are stored in another form."""

    def take(self, indices: Sequence[int]) -> "DecodedRecords":
        """The records at these indices, without ``rejected``."""
        return DecodedRecords(
            self.metadata.take(indices),
            [self.embeddings[index] for index in indices],
            {
                name: [tensors[index] for index in indices]
                for name, tensors in self.features.items()
            },
            floats_at=[self.floats_at[index] for index in indices] if self.floats_at else [],
        )

    def of_dims(self, dims: int) -> "DecodedRecords":
        """The records whose embeddings have ``dims`` floats."""
        same = [i for i, (_, _, found) in enumerate(self.metadata.shapes) if found == dims]
        return self if len(same) == len(self.metadata) else self.take(same)

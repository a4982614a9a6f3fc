"""What the decode stage hands to the table: a batch of records as NumPy values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from a20_parquet.errors import RecordError
from a20_parquet.windows.rejection import Reason, Rejection

Embedding = npt.NDArray[np.floating[Any]]
"""One record's tensor, float32 or float16, shape ``(windows, channels, dims)``."""

FeatureValues = npt.NDArray[Any]
"""A record's values of a further feature: float32, int64, or bytes as objects. Their shape can be
broadcast to ``(windows, channels, width)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMetadata:
    """Records of one shard, in order, without their embeddings; one item a record in each list."""

    shard: str
    """Where the shard lies, for messages."""
    position: int
    """The shard's place in shard order, from 0."""
    numbers: npt.NDArray[np.int64]
    """Each record's number in its shard, from 0; ascending."""
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
            len(self.numbers),
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

    def take(self, indices: Sequence[int]) -> "RecordMetadata":
        """Some of the records, by their places in this batch."""
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
        """Make the error that says why the record at ``index`` of this batch can't be converted."""
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

    heads: RecordMetadata
    """All but the embeddings."""
    embeddings: list[Embedding]
    """One tensor a record, of the shape that its head tells."""
    features: dict[str, list[FeatureValues | None]] = field(default_factory=dict)
    """For each further feature that is wanted its values in each record; None where the record
    lacks it."""
    rejected: tuple[Rejection, ...] = ()
    """Records of the batch that are in none of these lists because they can't be converted."""
    shape_disagreements: int = 0
    """How many records have an ``embedding_shape`` that is not their tensor's."""
    other_features: frozenset[str] = frozenset()
    """Names of features that were found and not decoded."""

    def take(self, indices: Sequence[int]) -> "DecodedRecords":
        """Some of the records, by their places in these lists; what was rejected is dropped."""
        return DecodedRecords(
            self.heads.take(indices),
            [self.embeddings[index] for index in indices],
            {
                name: [tensors[index] for index in indices]
                for name, tensors in self.features.items()
            },
        )

    def of_dims(self, dims: int) -> "DecodedRecords":
        """The records whose embeddings have ``dims`` floats."""
        same = [i for i, (_, _, found) in enumerate(self.heads.shapes) if found == dims]
        return self if len(same) == len(self.heads) else self.take(same)

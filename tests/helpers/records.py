"""Decoded records, made by hand for tests."""

from collections.abc import Mapping, Sequence

import numpy as np

from a20_parquet.windows.records import DecodedRecords, Embedding
from a20_parquet.windows.rejection import Rejection
from tests.helpers.metadata import make_metadata

Record = tuple[str | bytes, float, tuple[int, int, int]]
"""Filename, timestamp in seconds, and the embedding's shape."""


def make_decoded(
    records: Sequence[Record],
    position: int = 0,
    first: int = 0,
    features: Mapping[str, Sequence[Embedding | None]] | None = None,
    rejected: Sequence[Rejection] = (),
) -> DecodedRecords:
    """Records whose embeddings hold numbers that no other value of the batch is."""
    metadata = make_metadata(records, position, first)
    embeddings: list[Embedding] = []
    start = 1000 * first
    for shape in metadata.shapes:
        size = int(np.prod(shape))
        values = np.arange(start, start + size, dtype=np.float32)
        embeddings.append(values.reshape(shape))
        start += size
    lists = {name: list(tensors) for name, tensors in (features or {}).items()}
    return DecodedRecords(metadata, embeddings, lists, tuple(rejected))

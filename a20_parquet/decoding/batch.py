"""The results of decoding: records one by one, then a batch of them as columns."""

import math
from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np

from a20_parquet.decoding.tensors import TensorError
from a20_parquet.tfrecord.records import Records
from a20_parquet.windows.records import DecodedRecords, Embedding, FeatureValues, RecordMetadata
from a20_parquet.windows.rejection import Reason, Rejection
from a20_parquet.windows.schema import Feature, FeatureKind, FeatureScope


class RejectedError(Exception):
    """A record that cannot be used."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class DecodedRecord(NamedTuple):
    """One usable record."""

    filename: bytes
    timestamp_s: float
    embedding: Embedding
    claims_another_shape: bool
    features: tuple[FeatureValues | None, ...]
    other_features: frozenset[str]
    """Names of features that were not decoded."""
    floats_at: int | None
    """Where the embedding's floats start in the payload, stored as they are in ``embedding``; None
    if they are stored in another form."""


def gather(
    records: Records, found: Sequence[DecodedRecord | RejectedError], wanted: Sequence[Feature]
) -> DecodedRecords:
    """Join the results of decoding ``records``, one item per record, to columns.

    ``wanted`` are the further features that were decoded.
    """
    kept = [item for item in found if isinstance(item, DecodedRecord)]
    indices: Sequence[int] = range(len(found))
    rejected: tuple[Rejection, ...] = ()
    if len(kept) < len(found):
        indices = [i for i, item in enumerate(found) if isinstance(item, DecodedRecord)]
        rejected = tuple(
            Rejection(records.first + index, error.reason, error.message)
            for index, error in enumerate(found)
            if isinstance(error, RejectedError)
        )
    columns = zip(*kept, strict=True) if kept else repeat((), len(DecodedRecord._fields))
    filenames, timestamps_s, embeddings, claims_another_shape, features, others, floats_at = columns
    metadata = RecordMetadata(
        shard=records.shard.url,
        position=records.shard.position,
        numbers=np.array(indices, np.int64) + records.first,
        offsets=[records.offsets[index] for index in indices],
        filenames=list(filenames),
        timestamps_s=np.array(timestamps_s, np.float64),
        shapes=[embedding.shape for embedding in embeddings],
    )
    return DecodedRecords(
        metadata=metadata,
        embeddings=list(embeddings),
        features={each.name: [row[i] for row in features] for i, each in enumerate(wanted)},
        rejected=rejected,
        shape_disagreements=sum(claims_another_shape),
        other_features=frozenset().union(*set(others)),
        floats_at=list(floats_at),
    )


def per_window(tensor: Embedding, embedding: Embedding) -> Embedding:
    """Widen a feature to float32 of shape ``(windows, channels, size)``.

    A tensor without channels is repeated for each channel; one of shape ``(windows,)`` has size 1.

    Raises:
        TensorError: its windows or channels differ from the embedding's.
    """
    windows, channels, _ = embedding.shape
    per_channel = tensor
    if tensor.ndim != embedding.ndim:
        size = math.prod(tensor.shape[1:])
        per_channel = np.repeat(tensor.reshape(len(tensor), 1, size), channels, axis=1)
    if per_channel.shape[:2] != (windows, channels):
        raise TensorError(
            f"its shape is {tensor.shape}, but the embedding has {windows} windows and {channels} "
            "channels"
        )
    return per_channel.astype(np.float32, copy=False)


def per_row(values: FeatureValues, feature: Feature, embedding: Embedding) -> FeatureValues:
    """Reshape the values of a list by the feature's scope.

    Args:
        values: of a feature that is not a tensor, shape ``(count,)``, at least one.
        feature: the feature.
        embedding: of the record, shape ``(windows, channels, dims)``.

    Returns:
        Shape ``(windows or 1, channels or 1, width)``.

    Raises:
        TensorError: the count is not what the column needs, or a text does not fit the column.
    """
    windows, channels, _ = embedding.shape
    shape = {
        FeatureScope.RECORD: (1, 1),
        FeatureScope.WINDOW: (windows, 1),
        FeatureScope.CHANNEL: (windows, channels),
    }[feature.scope]
    expected = shape[0] * shape[1] * feature.width
    if len(values) != expected:
        raise TensorError(
            f"it has {len(values)} values, expected {expected}: {feature.width} for each "
            f"{feature.scope}, and the record has {windows} windows of {channels} channels"
        )
    if feature.kind.is_text:
        _check_texts(values, feature)
    return values.reshape(*shape, feature.width)


def _check_texts(values: FeatureValues, feature: Feature) -> None:
    for value in values.tolist():
        if len(value) > feature.size:
            raise TensorError(
                f"a value has {len(value):,} bytes, expected {feature.size:,} at the most (as "
                f"--feature {feature.name}:{feature.kind}[{feature.size}] says)"
            )
        if feature.kind is FeatureKind.STRING:
            try:
                value.decode()
            except UnicodeDecodeError:
                raise TensorError(
                    f"a value is no UTF-8 text, as the column is (--feature {feature.name}:"
                    f"{FeatureKind.BINARY} takes any bytes)"
                ) from None

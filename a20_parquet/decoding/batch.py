"""What a decoder makes of a batch: its records one by one, then as columns."""

import math
from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np

from a20_parquet.decoding.example import RejectedError
from a20_parquet.decoding.tensors import TensorError
from a20_parquet.tfrecord.records import Records
from a20_parquet.windows.feature_kinds import FeatureKind, FeatureScope
from a20_parquet.windows.records import DecodedRecords, Embedding, FeatureValues, RecordMetadata
from a20_parquet.windows.rejection import Rejection
from a20_parquet.windows.schema import Feature


class DecodedRecord(NamedTuple):
    """One record that can be used."""

    filename: bytes
    timestamp_s: float
    embedding: Embedding
    claims_another_shape: bool
    features: tuple[FeatureValues | None, ...]
    other_features: frozenset[str]
    """Names of features that were found and not decoded."""


def gather(
    records: Records, found: Sequence[DecodedRecord | RejectedError], wanted: Sequence[Feature]
) -> DecodedRecords:
    """Make a batch of what was found in each of its records.

    Args:
        records: the batch.
        found: one item a record.
        wanted: the further features that were decoded.
    """
    kept = [item for item in found if isinstance(item, DecodedRecord)]
    places: Sequence[int] = range(len(found))
    rejected: tuple[Rejection, ...] = ()
    if len(kept) < len(found):
        places = [i for i, item in enumerate(found) if isinstance(item, DecodedRecord)]
        rejected = tuple(
            Rejection(records.first + index, error.reason, error.message)
            for index, error in enumerate(found)
            if isinstance(error, RejectedError)
        )
    columns = zip(*kept, strict=True) if kept else repeat((), len(DecodedRecord._fields))
    filenames, timestamps_s, embeddings, claims_another_shape, features, others = columns
    heads = RecordMetadata(
        shard=records.shard.url,
        position=records.shard.position,
        numbers=np.array(places, np.int64) + records.first,
        offsets=[records.offsets[index] for index in places],
        filenames=list(filenames),
        timestamps_s=np.array(timestamps_s, np.float64),
        shapes=[embedding.shape for embedding in embeddings],
    )
    return DecodedRecords(
        heads=heads,
        embeddings=list(embeddings),
        features={each.name: [row[i] for row in features] for i, each in enumerate(wanted)},
        rejected=rejected,
        shape_disagreements=sum(claims_another_shape),
        other_features=frozenset().union(*set(others)),
    )


def per_window(tensor: Embedding, embedding: Embedding) -> Embedding:
    """Widen a feature to float32 of shape ``(windows, channels, size)``.

    A tensor without channels belongs to each of them; one of windows alone has a single value each.

    Raises:
        TensorError: it has other windows or channels than the embedding.
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
    """Give the values of a list the shape of what they belong to.

    Args:
        values: of a feature that is no tensor, shape ``(count,)``, at least one.
        feature: whose they are.
        embedding: of the record, shape ``(windows, channels, dims)``.

    Returns:
        Shape ``(windows or 1, channels or 1, width)``.

    Raises:
        TensorError: there are more or fewer of them than the column needs, or a text can't be in
            it.
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

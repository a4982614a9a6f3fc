"""From decoded records to windows: metadata columns, one row a window, built from whole arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.windows.exclusion import Exclusion
from a20_parquet.windows.filenames.clock import Flags
from a20_parquet.windows.filenames.parse import FilenameRules, Recordings, parse_filenames
from a20_parquet.windows.order import KEYED_ONLY, keyed_schema
from a20_parquet.windows.partition import PartitionBy, periods
from a20_parquet.windows.records import Embedding, FeatureValues, RecordMetadata
from a20_parquet.windows.schema import EMBEDDING, Feature, FeatureKind, Store, window_schema
from a20_parquet.windows.selection import LeftOut, Selection
from a20_parquet.windows.window_table import WindowTable

_US = 1_000_000
_NUMBERS: dict[FeatureKind, type[np.float32 | np.int64]] = {
    FeatureKind.TENSOR: np.float32,
    FeatureKind.FLOAT: np.float32,
    FeatureKind.INT64: np.int64,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRules:
    """How records become windows."""

    window_s: float
    """Seconds from one window's start to the next."""
    by: PartitionBy
    """The Hive keys."""
    dims: int
    """Floats an embedding."""
    channels: tuple[int, ...] | None = None
    """Channels to take, ascending; None for all."""
    features: tuple[Feature, ...] = ()
    """Further features that become columns."""
    store: Store = Store.FLOAT32
    """How files store the floats, so that none may become infinite."""
    filenames: FilenameRules = field(default_factory=FilenameRules)
    """How filenames are read."""
    selection: Selection = field(default_factory=Selection)
    """Which windows to take."""
    exclusion: Exclusion | None = None
    """What to leave out of these."""

    @property
    def selects(self) -> bool:
        """Whether ``select`` may leave out windows."""
        return self.selection.is_limited or self.exclusion is not None

    def select(self, windows: WindowTable) -> tuple[Flags, LeftOut]:
        """Say for each window of whole records whether it is taken.

        Args:
            windows: as ``sort_table`` returns them.

        Returns:
            The flags, and a description of the windows left out.
        """
        taken = self.selection.takes(windows.column("site"), windows.column("window_start_local"))
        others = LeftOut() if taken.all() else LeftOut.of_days(windows.filter(~taken))
        if self.exclusion is None:
            return taken, others
        taken, excluded = self.exclusion.apply(windows, taken)
        return taken, LeftOut.merged([others, excluded])

    def count_channels(self, channels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Count the channels taken, for each tensor with so many channels."""
        if self.channels is None:
            return channels
        return np.searchsorted(np.array(self.channels, np.int64), channels)

    def rows(
        self, windows: npt.NDArray[np.int64], channels: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Number the rows of tensors, windows before channels.

        Args:
            windows: of each tensor.
            channels: likewise.

        Returns:
            For each row its tensor, window and channel, from 0.
        """
        taken = self.count_channels(channels)
        count = windows * taken
        tensor = np.repeat(np.arange(len(count)), count)
        row = np.arange(len(tensor)) - np.repeat(np.cumsum(count) - count, count)
        window, channel = np.divmod(row, np.maximum(taken, 1)[tensor])
        if self.channels is not None:
            channel = np.array(self.channels, np.int64)[channel]
        return tensor, window, channel

    def pick(self, tensor: Embedding) -> Embedding:
        """Reshape a tensor to one row per window and channel taken.

        Args:
            tensor: shape ``(windows, channels, size)``.

        Returns:
            Shape ``(rows, size)``, windows before channels; a view if all channels or one is taken.
        """
        windows, channels, size = tensor.shape
        if self.channels is None:
            return tensor.reshape(windows * channels, size)
        taken = [channel for channel in self.channels if channel < channels]
        if len(taken) == 1:
            return tensor[:, taken[0], :]
        return tensor[:, taken, :].reshape(windows * len(taken), size)


def sort_table(
    records: Sequence[RecordMetadata],
    rules: WindowRules,
    features: Mapping[str, Sequence[FeatureValues | None]] | None = None,
) -> WindowTable:
    """Build the metadata and sort keys of all windows of some records.

    Rows are in the order of ``records``, within a record window after window and within a window
    channel after channel, as the tensors have them.

    Args:
        records: batches of records that ``RecordFilter`` has taken.
        rules: how records become windows; the selection is not applied.
        features: for each of ``rules.features`` its values in each record.

    Returns:
        Windows of ``keyed_schema(rules.features)``.
    """
    names = [name for batch in records for name in batch.filenames]
    # A recording has many records: each name is parsed once.
    filenames = pa.array(names, pa.binary()).cast(pa.string()).dictionary_encode()
    recordings = parse_filenames(filenames.dictionary, rules.filenames)
    timestamps_s = np.concatenate([np.zeros(0), *(batch.timestamps_s for batch in records)])
    shapes = [shape for batch in records for shape in batch.shapes]
    windows, channels, _ = np.array(shapes, np.int64).reshape(-1, 3).T
    record, window, channel = rules.rows(windows, channels)
    rows = np.bincount(record, minlength=len(shapes))
    recording = filenames.indices.to_numpy()[record]
    offset_s = timestamps_s[record] + window * rules.window_s

    undated = recordings.file_timestamp.is_null().to_numpy(zero_copy_only=False)[recording]
    start_us = _int64(recordings.file_timestamp)[recording] + np.rint(offset_s * _US).astype(
        np.int64
    )
    utc_offset_s = _int64(recordings.utc_offset_minutes) * 60
    start_local_us = start_us + utc_offset_s[recording] * _US
    has_no_period = undated & (rules.by.period is not None)

    names_columns = {
        "filename": filenames.dictionary,
        **{name: getattr(recordings, name) for name in (*Recordings.columns(), "site")},
    }
    columns: dict[str, Any] = {
        "recording_offset_in_file": offset_s,
        "window_start": pa.array(start_us, mask=undated),
        "window_start_local": pa.array(start_local_us, mask=undated),
        "channel": channel,
        "period": pa.array(periods(start_local_us // _US, rules.by), mask=has_no_period),
        "shard": np.repeat([b.position for b in records], list(map(len, records)))[record],
        "record": np.concatenate([np.zeros(0, np.int64), *(b.numbers for b in records)])[record],
    }
    for feature in rules.features:
        found = (features or {})[feature.name]
        columns[feature.name] = _feature_column(feature, found, shapes, rows, rules)
    schema = keyed_schema(rules.features)
    return WindowTable(
        schema,
        _batch(names_columns, schema),
        recording.astype(np.int32, copy=False),
        _batch(columns, schema),
    )


def with_embeddings(metadata: Any, embeddings: npt.NDArray[np.float32 | np.float16]) -> Any:
    """Join metadata and embeddings to a record batch of windows, without copying either.

    Args:
        metadata: a record batch with the columns of ``metadata_schema(features)``.
        embeddings: shape ``(rows, dims)``, C-contiguous.

    Returns:
        A record batch of ``window_schema(dims, features)``, with halves if these are given.
    """
    store = Store.FLOAT16 if embeddings.dtype == np.float16 else Store.FLOAT32
    embedding = window_schema(embeddings.shape[1], (), store).field(EMBEDDING)
    column = _list_array(embedding.type, embeddings.reshape(-1), None)
    fields = [field for field in metadata.schema if field.name not in KEYED_ONLY]
    rest = [metadata.column(field.name) for field in fields]
    return pa.record_batch([column, *rest], schema=pa.schema([embedding, *fields]))


def _feature_column(
    feature: Feature,
    found: Sequence[FeatureValues | None],
    shapes: Sequence[tuple[int, int, int]],
    rows: npt.NDArray[np.int64],
    rules: WindowRules,
) -> Any:
    """A feature's column; ``rows`` are the numbers of windows of each record."""
    stops = np.cumsum(rows)
    spans = [
        (stop - count, stop, values, (*shape[:2], feature.width))
        for values, shape, count, stop in zip(
            found, shapes, rows.tolist(), stops.tolist(), strict=True
        )
        if values is not None
    ]
    total = int(rows.sum())
    kind = feature.column.type
    if feature.kind.is_text:
        texts: list[bytes] = []
        indices = np.full(total, -1)
        for start, stop, values, shape in spans:
            numbers = np.arange(len(texts), len(texts) + values.size).reshape(values.shape)
            texts.extend(values.reshape(-1).tolist())
            indices[start:stop] = rules.pick(np.broadcast_to(numbers, shape))[:, 0]
        column = pa.array(texts, pa.binary()).take(pa.array(indices, mask=indices < 0))
        return column.cast(kind)
    items = np.zeros((total, feature.size), _NUMBERS[feature.kind])
    lacking = np.ones(total, np.bool_)
    for start, stop, values, shape in spans:
        items[start:stop] = rules.pick(np.broadcast_to(values, shape))
        lacking[start:stop] = False
    null = lacking if lacking.any() else None
    if feature.is_list:
        return _list_array(kind, items.reshape(-1), null)
    return _array(kind, items.reshape(-1), null)


def _list_array(kind: Any, values: npt.NDArray[Any], null: npt.NDArray[np.bool_] | None) -> Any:
    """A column of fixed-size lists over the items of all its rows, without a copy."""
    items = _array(kind.value_type, values, None)
    rows = len(values) // kind.list_size
    return pa.Array.from_buffers(kind, rows, [_validity(null)], children=[items])


def _array(kind: Any, values: npt.NDArray[Any], null: npt.NDArray[np.bool_] | None) -> Any:
    return pa.Array.from_buffers(kind, len(values), [_validity(null), pa.py_buffer(values)])


def _validity(null: npt.NDArray[np.bool_] | None) -> Any:
    return None if null is None else pa.py_buffer(np.packbits(~null, bitorder="little"))


def _batch(columns: Mapping[str, Any], schema: Any) -> Any:
    """Record batch of some columns, of their types in ``schema``."""
    part = pa.schema([schema.field(name) for name in columns])
    return pa.record_batch([_cast(columns[field.name], field.type) for field in part], schema=part)


def _cast(values: Any, kind: Any) -> Any:
    array = pa.array(values)
    # Arrow cannot cast nullable lists of items that are never null.
    return array if array.type == kind else array.cast(kind)


def _int64(array: Any) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = array.cast(pa.int64()).fill_null(0).to_numpy()
    return values

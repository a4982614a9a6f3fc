"""The datasets of the conformance test, made by ``convert``."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.conformance.recordings import (
    DATED,
    DIMS,
    FEATURES,
    UNDATED,
    UNKNOWN_SITE,
    Record,
    expected_rows,
    make_records,
    with_halves,
)

COMPRESSIONS = ("none", "lz4", "zstd")
KEYS = ("site,date", "site,month", "site,year", "site")
_ROW_GROUP_ROWS = 250


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset to read, by the options that make it."""

    compression: str
    partition_by: str
    is_undated: bool = False
    """Whether it holds recordings without a date, in ``__HIVE_DEFAULT_PARTITION__``."""
    has_features: bool = False
    """Whether it has ``FEATURES``."""
    is_half: bool = False
    """Whether shards and dataset hold float16."""

    @property
    def name(self) -> str:
        """Its folder's name."""
        words = [self.compression, *self.keys]
        words += ["undated"] * self.is_undated + ["features"] * self.has_features
        words += ["float16"] * self.is_half
        return "-".join(words)

    @property
    def keys(self) -> list[str]:
        """The Hive keys, outermost first."""
        return self.partition_by.split(",")


DATASETS = (
    *(Dataset(compression, by) for compression in COMPRESSIONS for by in KEYS),
    *(Dataset("none", by, is_undated=True) for by in KEYS),
    *(Dataset(compression, "site", has_features=True) for compression in COMPRESSIONS),
    *(Dataset(compression, "site", is_half=True) for compression in COMPRESSIONS),
)


def make_datasets(folder: Path, datasets: Sequence[Dataset] = DATASETS, dims: int = DIMS) -> None:
    """Write shards, convert them, and write what readers must find beside each dataset.

    A dataset is ``folder/NAME/``, its rows ``folder/NAME.arrow``, and ``folder/datasets.json``
    names the keys of each.
    """
    for is_undated, is_half in ((False, False), (True, False), (False, True)):
        chosen = [
            dataset
            for dataset in datasets
            if (dataset.is_undated, dataset.is_half) == (is_undated, is_half)
        ]
        if chosen:
            records = list(make_records(DATED + UNDATED * is_undated, dims))
            _make_alike(folder, chosen, with_halves(records) if is_half else records)
    listing = {dataset.name: dataset.keys for dataset in datasets}
    (folder / "datasets.json").write_text(json.dumps(listing))


def _make_alike(folder: Path, datasets: Sequence[Dataset], records: Sequence[Record]) -> None:
    """Make datasets of the same records."""
    import a20_parquet

    name = "undated" if datasets[0].is_undated else "dated"
    is_half = datasets[0].is_half
    name += "-float16" * is_half
    shard = _write_shard(folder / f"{name}-00000-of-00001", records)
    rows = expected_rows(records)
    if is_half:
        rows = rows.set_column(rows.column_names.index("embedding"), "embedding", _halves(rows))
    for dataset in datasets:
        conversion = a20_parquet.convert(
            shard,
            folder / dataset.name,
            partition_by=dataset.partition_by,
            store="float16" if is_half else "float32",
            compression=dataset.compression,
            row_group_rows=_ROW_GROUP_ROWS,
            feature=list(FEATURES) if dataset.has_features else [],
            unknown_site=UNKNOWN_SITE if dataset.is_undated else None,
        )
        assert conversion.totals.windows == len(rows)
        assert not conversion.quarantine
        others = {"date", "month", "year"}.difference(dataset.keys)
        names = [*others, *([] if dataset.has_features else FEATURES)]
        with pa.OSFile(str(folder / f"{dataset.name}.arrow"), "wb") as file:
            table = rows.drop_columns(names)
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)


def _halves(rows: Any) -> Any:
    """The embeddings in the type that files have."""
    column = rows["embedding"].combine_chunks()
    floats = column.flatten().to_numpy(zero_copy_only=False).astype(np.float16)
    return pa.FixedSizeListArray.from_arrays(pa.array(floats), column.type.list_size)


def _write_shard(path: Path, records: Sequence[Record]) -> Path:
    from tests.helpers.shards import make_features, serialize, write_shard

    payloads = []
    for record in records:
        features = make_features(record.tensor, record.recording.filename, record.timestamp_s)
        for name, value in record.features.items():
            features[name] = _to_feature(value)
        payloads.append(serialize(features))
    return write_shard(path, payloads)


def _to_feature(value: Any) -> Any:
    """A ``tf.train.Feature`` in the form that fits."""
    from a20_parquet.decoding.tensorflow import load_tensorflow

    tf = load_tensorflow()
    train = tf.train
    if isinstance(value, float):
        return train.Feature(float_list=train.FloatList(value=[value]))
    if isinstance(value, list):
        return train.Feature(int64_list=train.Int64List(value=value))
    if isinstance(value, np.ndarray):
        value = tf.io.serialize_tensor(value).numpy()
    content = value.encode() if isinstance(value, str) else value
    return train.Feature(bytes_list=train.BytesList(value=[content]))

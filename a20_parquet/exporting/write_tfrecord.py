"""Writes selected windows as TFRecord shards, as Perch's embedding job leaves them."""

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from a20_parquet._version import __version__
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.dataset.summaries import Origin
from a20_parquet.exporting.example import (
    Parts,
    bytes_feature,
    example,
    float_feature,
    int64_feature,
    tensor,
)
from a20_parquet.exporting.folder import new_folder
from a20_parquet.exporting.record_rows import BUFFER_BYTES, Record, read_records
from a20_parquet.exporting.select_rows import SelectedRows
from a20_parquet.formatting import format_count
from a20_parquet.progress import Progress
from a20_parquet.tfrecord.shard import frame_ends
from a20_parquet.windows.half import to_halves
from a20_parquet.windows.schema import Feature, FeatureKind, Store

SHARD_BYTES: Final = 200_000_000
"""About the bytes of embeddings of a shard, as those of the A2O have."""
_CONFIG: Final = "config.json"
_ORIGIN: Final = "a20_parquet.origin"
"""Key of ``config.json`` whose value is the export's ``Origin``."""
_SHARD_NAME: Final = re.compile(r"embeddings-[0-9]{5}-of-[0-9]{5}")
_SEPARATES: Final = "separate_embed_model"


class InexactStarts:
    """Records whose start float32 cannot hold, as ``timestamp_s`` needs it."""

    def __init__(self) -> None:
        self._count = 0
        self._worst = (0.0, "")

    def add(self, record: Record) -> None:
        """Count a record if its start is not exact."""
        off_s = abs(float(np.float32(record.offset_s)) - record.offset_s)
        if off_s:
            self._count += 1
            self._worst = max(self._worst, (off_s, f"{record.filename}@{record.offset_s:.15g}"))

    def remarks(self) -> Iterator[str]:
        """Yield a line on them, if there are any."""
        if self._count:
            off_s, name = self._worst
            starts = "starts" if self._count == 1 else "start"
            yield (
                f"{format_count(self._count, 'record')} {starts} where timestamp_s, a float32, "
                f"cannot say it exactly: its windows are up to {off_s:.2g} s off, such as those of "
                f"{name}. A sample or selection of whole minutes avoids that."
            )


def write_tfrecord(
    catalog: Catalog, rows: SelectedRows, origin: Origin, folder: Path, progress: Progress
) -> list[str]:
    """Write shards of about ``SHARD_BYTES`` and Perch's ``config.json``, in one thread.

    Args:
        catalog: the dataset.
        rows: the selected ones.
        origin: which part it is.
        folder: checked; what is in it is replaced when all is written.
        progress: of the bytes of embeddings.

    Returns:
        Lines on what a user may not expect.

    Raises:
        UsageError: a window's channels make no record, see ``find_records``.
        DatasetError: a file cannot be read or written.
    """
    options = catalog.manifest.options
    total = int(rows.counts.sum())
    shards = max(1, -(-total * options.dims * 4 // SHARD_BYTES))
    inexact = InexactStarts()
    progress.start("writing TFRecord", total * options.dims * 4)
    with new_folder(folder) as new:
        records = read_records(catalog, rows, BUFFER_BYTES)
        written = 0
        for number in range(shards):
            with _durable(new / f"embeddings-{number:05d}-of-{shards:05d}") as file:
                # The windows that all shards so far have together.
                stop = total * (number + 1) // shards
                while written < stop:
                    record = next(records)
                    inexact.add(record)
                    _write(file, record, catalog.store)
                    written += record.embedding.shape[0] * record.embedding.shape[1]
                    progress.advance(record.embedding.nbytes)
        catalog.check_unchanged()
        with _durable(new / _CONFIG) as file:
            file.write(json.dumps(_config(catalog.manifest, origin), indent=2).encode())
    return list(inexact.remarks())


def is_tfrecord_export(folder: Path) -> bool:
    """Whether an export wrote a folder of shards, and nothing else is in it."""
    try:
        config = json.loads((folder / _CONFIG).read_bytes())
        found = list(folder.iterdir())
    except (OSError, ValueError, RecursionError):
        return False
    ours = isinstance(config, dict) and _ORIGIN in config
    return ours and all(path.is_file() and _is_written(path.name) for path in found)


def _is_written(name: str) -> bool:
    return name == _CONFIG or _SHARD_NAME.fullmatch(name) is not None


def _write(file: BinaryIO, record: Record, store: Store) -> None:
    payload = b"".join(_example(record, store))
    header, footer = frame_ends(payload)
    file.write(header)
    file.write(payload)
    file.write(footer)


def _example(record: Record, store: Store) -> Parts:
    embedding = to_halves(record.embedding) if store is Store.FLOAT16 else record.embedding
    features = {
        "timestamp_s": float_feature(np.array([record.offset_s], np.float32)),
        "filename": bytes_feature([[record.filename.encode()]]),
        "embedding": bytes_feature([tensor(embedding)]),
        "embedding_shape": int64_feature(embedding.shape),
    }
    return example(features | {each.name: _feature(each, v) for each, v in record.features})


def _feature(feature: Feature, values: Any) -> Parts:
    match feature.kind:
        case FeatureKind.TENSOR:
            return bytes_feature([tensor(values)])
        case FeatureKind.FLOAT:
            return float_feature(values)
        case FeatureKind.INT64:
            return int64_feature(values.tolist())
    texts: Iterable[bytes] = values.tolist()
    return bytes_feature([[text] for text in texts])


def _config(manifest: Manifest, origin: Origin) -> dict[str, Any]:
    """The ``config.json`` that Perch writes beside shards, as far as a dataset knows it."""
    options = manifest.options
    rates_hz = {shard.sample_rate_hz for shard in manifest.shards}
    model: dict[str, Any] = {"embedding_size": options.dims, "make_embeddings": True}
    model["hop_size_s"] = options.window_seconds
    if options.window_size_seconds is not None:
        model["window_size_s"] = options.window_size_seconds
    rate_hz = next(iter(rates_hz), None)
    if len(rates_hz) == 1 and rate_hz is not None:
        model["sample_rate"] = int(rate_hz) if rate_hz.is_integer() else rate_hz
    embed: dict[str, Any] = {"write_embeddings": True, "model_config": model}
    if options.model is not None:
        embed["model_key"] = options.model
    if options.model == _SEPARATES:
        embed["model_config"] = model | {"taxonomy_model_tf_config": model}
    return {
        "embed_fn_config": embed,
        "shard_len_s": 60,
        "a20_parquet.version": __version__,
        _ORIGIN: origin.model_dump(mode="json"),
        "a20_parquet.features": [str(feature) for feature in options.features],
    }


@contextmanager
def _durable(path: Path) -> Iterator[BinaryIO]:
    """Create a file, which is on the disk when the block ends."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())

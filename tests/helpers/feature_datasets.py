"""Shards with features, and what readers find in datasets of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import a20_parquet
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.windows.schema import Feature
from tests.helpers.conversions import digests, use_tiny_memory
from tests.helpers.shards import make_features, random_tensor, serialize, write_shard

DIMS = 4


NAME = "site_0285/20201014T{:02}0000+1030_Arkaba-Dry-A_{}.flac"


Row = tuple[str, float, int]
"""Filename, offset in seconds, channel."""


def record(number: int, shape: tuple[int, int] = (12, 1), **features: Any) -> bytes:
    """A record of a recording of its own, of so many windows and channels."""
    tensor = random_tensor((*shape, DIMS), number)
    name = NAME.format(number % 24, number)
    return serialize(make_features(tensor, name) | features)


def write_shards(folder: Path, records: Sequence[bytes], shards: int = 2) -> Path:
    """Divide records among shards."""
    for shard in range(shards):
        write_shard(folder / f"s-{shard:05d}-of-{shards:05d}", records[shard::shards])
    return folder


def options_of(dataset: Path) -> tuple[Feature, ...]:
    """The features of a dataset, as its manifest has them."""
    manifest = Manifest.model_validate_json((dataset / "manifest.json").read_bytes())
    return manifest.options.features


def values(table: Any, name: str) -> dict[Row, Any]:
    """A column's values by window; floats as their bits."""
    column = table[name].combine_chunks()
    kind = column.type
    if kind == pa.float32():
        column = column.view(pa.int32())
    elif pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float32():
        bits = column.values.view(pa.int32())
        column = pa.FixedSizeListArray.from_arrays(bits, kind.list_size, mask=column.is_null())
    keys = ("filename", "recording_offset_in_file", "channel")
    rows = zip(*(table[key].to_pylist() for key in keys), strict=True)
    return dict(zip(rows, column.to_pylist(), strict=True))


def read_by_all(dataset: Path, name: str, kind: Any) -> dict[Row, Any]:
    """A column as pyarrow has it; polars, ``scan`` and DuckDB have the same."""
    files = sorted((dataset / "data").rglob("*.parquet"))
    table = pa.concat_tables([pq.ParquetFile(file).read() for file in files])
    assert table.schema.field(name).type == kind
    found = values(table, name)
    for frame in (pl.read_parquet(dataset / "data"), a20_parquet.scan(dataset).collect()):
        arrow = frame.to_arrow()
        plain = {pa.large_string(): pa.string(), pa.string_view(): pa.string()}
        plain |= {pa.large_binary(): pa.binary(), pa.binary_view(): pa.binary()}
        index = arrow.schema.get_field_index(name)
        column = arrow[name]
        if column.type in plain:
            column = column.cast(plain[column.type])
        assert values(arrow.set_column(index, name, column), name) == found
    with a20_parquet.connect(dataset) as connection:
        assert values(connection.sql("SELECT * FROM windows").to_arrow_table(), name) == found
    file = dataset.with_suffix(".duckdb")
    a20_parquet.duckdb(dataset, file, force=True)
    with duckdb.connect(str(file), read_only=True) as opened:
        assert values(opened.sql("SELECT * FROM windows").to_arrow_table(), name) == found
    return found


def convert_all_ways(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> Path:
    """Convert with both decoders, with and without runs; all bytes are the same, and verified."""
    conversion = a20_parquet.convert(source, folder / "out", decoder="wire", **options)
    assert conversion.quarantine == {}
    expected = digests(folder / "out")
    a20_parquet.convert(source, folder / "tensorflow", decoder="tensorflow", **options)
    assert digests(folder / "tensorflow") == expected
    with monkeypatch.context() as patch:
        use_tiny_memory(patch)
        for decoder in ("wire", "tensorflow"):
            place = folder / f"tiny-{decoder}"
            assert a20_parquet.convert(source, place, decoder=decoder, **options).runs_on_disk
            assert digests(place) == expected
    for decoder in ("wire", "tensorflow"):
        verification = a20_parquet.verify(folder / "out", source=[source], decoder=decoder)
        assert not verification.problems
    return folder / "out"


def bits(*floats: float) -> list[int]:
    """Floats of 32 bits as integers."""
    found: list[int] = np.array(floats, np.float32).view(np.int32).tolist()
    return found

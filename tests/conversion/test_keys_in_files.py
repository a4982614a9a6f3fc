"""``--keys-in-files``: Hive keys as columns, for readers that take none from folders' names."""

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import a20_parquet
from a20_parquet.errors import UsageError
from tests.helpers.conversions import INFO_NAMES
from tests.helpers.shards import make_record, random_tensor, write_shard
from tests.helpers.spoiling import rewrite, set_column

OPTIONS: dict[str, Any] = {"decoder": "wire", "workers": 1, "row_group_rows": 5}


def shard(folder: Path, number: int, names: tuple[str, ...] = INFO_NAMES) -> Path:
    """A shard with a record of each recording."""
    records = [
        make_record(random_tensor((12, 1, 8), seed), name, 60.0 * number)
        for seed, name in enumerate(names)
    ]
    return write_shard(folder / f"embeddings-{number:05d}-of-00009", records)


@pytest.mark.parametrize("by", ["site", "site,date", "site,month", "site,year"])
def test_the_columns_are_what_the_folders_say(tmp_path: Path, by: str) -> None:
    """polars, DuckDB and pyarrow read them beside the keys; scan and connect leave them out."""
    out, keys = tmp_path / "out", by.split(",")
    options: dict[str, Any] = OPTIONS | {"partition_by": by, "keys_in_files": True}
    a20_parquet.convert(shard(tmp_path, 0), out, **options)
    a20_parquet.convert([shard(tmp_path, 0), shard(tmp_path, 1)], out, **options)
    assert a20_parquet.verify(out).problems == ()
    files = pl.read_parquet(out / "data")
    for key in keys:
        assert files[f"{key}_key"].to_list() == files[key].to_list()
    differing = " OR ".join(f"{key}_key::VARCHAR IS DISTINCT FROM {key}::VARCHAR" for key in keys)
    source = f"read_parquet('{out}/data/**/*.parquet', hive_partitioning = true)"
    found = duckdb.execute(f"SELECT count(*) FROM {source} WHERE {differing}").fetchall()
    assert found == [(0,)]
    assert ds.dataset(out / "data", partitioning="hive").to_table().num_rows == len(files) == 96
    plain = [name for name in files.columns if not name.endswith("_key")]
    assert a20_parquet.scan(out).collect().equals(files.select(plain), null_equal=True)
    assert [row[0] for row in a20_parquet.connect(out).execute("DESCRIBE windows").fetchall()] == (
        plain
    )
    described = a20_parquet.describe(out)
    assert [column.name for column in described.columns][-len(keys) :] == [
        f"{key}_key" for key in keys
    ]


def test_recordings_without_a_date_have_null(tmp_path: Path) -> None:
    """As the folder ``__HIVE_DEFAULT_PARTITION__`` says."""
    path = shard(tmp_path, 0, ("no-name.wav",))
    a20_parquet.convert(path, tmp_path / "d", unknown_site="x", keys_in_files=True, **OPTIONS)
    assert a20_parquet.verify(tmp_path / "d").problems == ()
    files = pl.read_parquet(tmp_path / "d" / "data" / "**" / "*.parquet")
    assert files["date_key"].null_count() == len(files) == 12


def test_a_part_has_them_too(tmp_path: Path) -> None:
    """Also where its files are written anew."""
    out, part = tmp_path / "out", tmp_path / "part"
    a20_parquet.convert(shard(tmp_path, 0), out, keys_in_files=True, **OPTIONS)
    a20_parquet.export(out, part, where="recording_offset_in_file < 20")
    assert a20_parquet.verify(part).problems == ()
    files = pl.read_parquet(part / "data")
    assert files["site_key"].to_list() == files["site"].to_list()


def test_wrong_values_are_found(tmp_path: Path) -> None:
    """A file that moves to another folder does not say what that says."""
    out = tmp_path / "out"
    a20_parquet.convert(shard(tmp_path, 0), out, keys_in_files=True, **OPTIONS)
    rewrite(out, lambda table: set_column(table, "site_key", pa.array(["elsewhere"] * len(table))))
    (problem,) = a20_parquet.verify(out).problems
    assert "its column site_key is not" in problem.message


@pytest.mark.parametrize("before", [False, True])
def test_an_append_keeps_to_it(tmp_path: Path, *, before: bool) -> None:
    """Files of both kinds in one dataset would not be one table."""
    out, shards = tmp_path / "out", [shard(tmp_path, 0)]
    a20_parquet.convert(shards, out, keys_in_files=before, **OPTIONS)
    with pytest.raises(UsageError, match="keys_in_files"):
        a20_parquet.convert([*shards, shard(tmp_path, 1)], out, keys_in_files=not before, **OPTIONS)


def test_a_feature_of_the_same_name_is_refused(tmp_path: Path) -> None:
    """Without the option the name is free."""
    path = shard(tmp_path, 0)
    options: dict[str, Any] = OPTIONS | {"feature": "date_KEY:int64[1]:record"}
    with pytest.raises(UsageError, match="cannot be carried along with keys_in_files"):
        a20_parquet.convert(path, tmp_path / "out", keys_in_files=True, **options)
    a20_parquet.convert(path, tmp_path / "out", **options)

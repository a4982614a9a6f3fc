"""``docs/catalogs.md``: its code, on a dataset by site and date, before and after an append."""

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import a20_parquet
from tests.helpers.conversions import INFO_NAMES
from tests.helpers.shards import make_record, random_tensor, write_shard

PAGE = Path(__file__).parents[2] / "docs" / "catalogs.md"
DEMO = Path("a20-demo")
OPTIONS: dict[str, Any] = {"decoder": "wire", "workers": 1}


def blocks(section: str) -> list[str]:
    """The code of a section: how to register, and what to do after an append."""
    text = PAGE.read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```py\n(.*?)```", text, re.DOTALL)


def convert(shards: int, **options: Any) -> None:
    """Convert, or append to the dataset; each further shard has a site of its own."""
    sources = []
    for number in range(shards):
        name = f"site_0{900 + number}/20201014T235930+1030_New_{number}.flac"
        records = [
            make_record(random_tensor((12, 1, 8), seed), each, 60.0 * number)
            for seed, each in enumerate((*INFO_NAMES, name))
        ]
        sources.append(write_shard(Path(f"embeddings-{number:05d}-of-00009"), records))
    a20_parquet.convert(sources, DEMO / "dataset", **OPTIONS, **options)


def by_name(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows in an order that does not depend on the reader, in types that catalogs have."""
    frame = frame.with_columns(pl.col("embedding").cast(pl.List(pl.Float32)))
    return frame.sort("filename", "recording_offset_in_file").select(sorted(frame.columns))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_delta() -> None:
    """Every row and column, the keys too; the dataset stays as it is."""
    deltalake = pytest.importorskip("deltalake")
    first, again = blocks("Delta")
    names: dict[str, Any] = {}
    for shards, code in enumerate((first, again), start=1):
        convert(shards, keys_in_files=False)
        exec(code, names)  # noqa: S102 - the documentation's
        assert a20_parquet.verify(DEMO / "dataset").problems == ()
        found = by_name(pl.DataFrame(deltalake.DeltaTable("a20-demo/delta").to_pyarrow_table()))
        assert found.equals(by_name(pl.read_parquet(DEMO / "dataset" / "data")))
        assert found.schema["channel"] == pl.Int16
    frame = pl.scan_delta("a20-demo/delta")
    assert frame.select("filename", "date").collect().height == len(found)
    with pytest.raises(pl.exceptions.SchemaError):
        frame.collect()


@pytest.mark.slow
@pytest.mark.parametrize("keys_in_files", [False, True])
def test_iceberg(*, keys_in_files: bool) -> None:
    """Every row; int16 becomes int32, and keys are there if the files have them."""
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("pyiceberg.catalog.sql")
    first, again = blocks("Iceberg")
    names: dict[str, Any] = {}
    for shards, code in enumerate((first, again), start=1):
        convert(shards, keys_in_files=keys_in_files)
        exec(code, names)  # noqa: S102 - the documentation's
        assert a20_parquet.verify(DEMO / "dataset").problems == ()
        found = by_name(pl.DataFrame(names["windows"].scan().to_arrow()))
        expected = by_name(pl.read_parquet(DEMO / "dataset" / "data", hive_partitioning=False))
        assert ("site_key" in found.columns) == keys_in_files
        assert found.schema["channel"] == pl.Int32
        assert expected.schema["channel"] == pl.Int16
        assert found.equals(expected.cast({pl.Int16: pl.Int32}))
    if keys_in_files:
        chosen = names["windows"].scan(row_filter="site_key == 'site_0901'")
        assert len(list(chosen.plan_files())) == 1
        assert chosen.to_arrow().num_rows == 12


@pytest.mark.slow
def test_half_floats() -> None:
    """Delta refuses them and leaves nothing behind; pyiceberg reads the values as float32."""
    convert(1, store="float16")
    pytest.importorskip("deltalake")
    with pytest.raises(Exception, match="Float16"):
        exec(blocks("Delta")[0], {})  # noqa: S102 - the documentation's
    assert not (DEMO / "delta").exists()
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("pyiceberg.catalog.sql")
    names: dict[str, Any] = {}
    exec(blocks("Iceberg")[0], names)  # noqa: S102 - the documentation's
    found = by_name(pl.DataFrame(names["windows"].scan().to_arrow()))
    wanted = by_name(a20_parquet.scan(DEMO / "dataset").collect())
    assert found["embedding"].equals(wanted["embedding"])

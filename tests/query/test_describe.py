"""What a dataset says of itself: the same in its manifest, in its files, and to every reader."""

import json
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

import a20_parquet
from a20_parquet.errors import UsageError
from a20_parquet.windows.schema import METADATA
from tests.helpers.shards import make_record, random_tensor, write_shard


def shards_with(folder: Path, model: str | None = "google/perch/4", **config: Any) -> Path:
    """A shard, of other values in each folder, beside a configuration unless the model is None."""
    records = [
        make_record(random_tensor((12, 1, 16), ord(folder.name) + minute), timestamp_s=60 * minute)
        for minute in range(4)
    ]
    write_shard(folder / f"{folder.name}-00000-of-00001", records)
    if model is not None:
        values = {"model_path": model, "hop_size_s": 5.0, "window_size_s": 5.0} | config
        whole = {"embed_fn_config": {"model_key": "key", "model_config": values}}
        (folder / "config.json").write_text(json.dumps(whole))
    return folder


def convert(shards: Path, dataset: Path, **options: Any) -> Path:
    """A dataset of a folder of shards."""
    a20_parquet.convert(shards, dataset, decoder="wire", **options)
    return dataset


def files_of(dataset: Path) -> list[Path]:
    """Its data files."""
    return sorted((dataset / "data").rglob("*.parquet"))


def test_a_dataset_describes_itself(tmp_path: Path) -> None:
    """Model, lengths, id and version: from the function, and in each file by three readers."""
    dataset = convert(shards_with(tmp_path / "a"), tmp_path / "dataset")
    about = a20_parquet.describe(dataset)
    assert (about.model, about.window_seconds, about.hop_seconds) == ("perch 4", 5.0, 5.0)
    assert about.versions == (a20_parquet.__version__,)
    assert a20_parquet.info(dataset).description == about
    expected = {
        "dataset": about.id,
        "model": "perch 4",
        "window_seconds": 5.0,
        "hop_seconds": 5.0,
        "version": a20_parquet.__version__,
    }
    for file in files_of(dataset):
        found = [
            pq.read_metadata(file).metadata[b"a20_parquet"],
            pl.read_parquet_metadata(file)["a20_parquet"],
            dict(
                duckdb.execute(
                    "SELECT key::VARCHAR, value FROM parquet_kv_metadata(?)", [str(file)]
                ).fetchall()
            )["a20_parquet"],
        ]
        assert [json.loads(text) for text in found] == [expected] * 3


def test_columns_have_units_and_meanings(tmp_path: Path) -> None:
    """The fields of the files say what ``windows.json`` does."""
    dataset = convert(shards_with(tmp_path / "a"), tmp_path / "dataset")
    schema = pq.read_schema(files_of(dataset)[0])
    described = a20_parquet.describe(dataset).columns
    assert [column.name for column in described] == schema.names
    assert [column.unit for column in described[1:]] == [column.unit for column in METADATA]
    for column in described:
        field = schema.field(column.name)
        words = {name.decode(): text.decode() for name, text in field.metadata.items()}
        assert words == {"meaning": column.meaning} | ({"unit": column.unit} if column.unit else {})
        assert (str(field.type), field.nullable) == (column.type, column.nullable)


def test_equal_conversions_have_one_id(tmp_path: Path) -> None:
    """It follows from content and options alone, so that the files are the same."""
    shards = shards_with(tmp_path / "a")
    first = convert(shards, tmp_path / "first")
    again = convert(shards, tmp_path / "again", workers=1, embeddings="copied")
    other = convert(shards, tmp_path / "other", model="perch 8")
    assert [file.read_bytes() for file in files_of(first)] == [
        file.read_bytes() for file in files_of(again)
    ]
    ids = [a20_parquet.describe(dataset).id for dataset in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]


def test_appends_keep_the_id(tmp_path: Path) -> None:
    """New files say the dataset's id and model, though their shards do not tell the model."""
    dataset = convert(shards_with(tmp_path / "a"), tmp_path / "dataset")
    before = a20_parquet.describe(dataset)
    silent = shards_with(tmp_path / "b", None)
    convert(silent, dataset)
    assert a20_parquet.describe(dataset).id == before.id
    found = {pq.read_metadata(file).metadata[b"a20_parquet"] for file in files_of(dataset)}
    assert len(found) == 1
    assumed = [str(each) for each in a20_parquet.info(dataset).assumptions]
    assert any("model assumed: perch 4, as the dataset has it" in text for text in assumed)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": "google/perch/8"}, "names the model perch 8, the dataset has perch 4"),
        ({"hop_size_s": 2.5}, r"says 2\.5 s, the dataset has 5 s"),
        ({"window_size_s": 3.0}, "windows are 3 s long, those of the dataset are 5 s"),
    ],
)
def test_other_shards_are_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    """Another model, hop or length of windows is named, and nothing is written."""
    dataset = convert(shards_with(tmp_path / "a"), tmp_path / "dataset")
    before = {file: file.read_bytes() for file in dataset.rglob("*") if file.is_file()}
    with pytest.raises(UsageError, match=message):
        convert(shards_with(tmp_path / "b", **config), dataset)
    with pytest.raises(UsageError, match="model is perch 8, was perch 4"):
        convert(shards_with(tmp_path / "c", None), dataset, model="perch 8")
    assert before == {file: file.read_bytes() for file in dataset.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", ["", "  ", "a\nb", 201 * "x"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    """A model's name is a short line of text."""
    with pytest.raises(UsageError, match="model: "):
        convert(shards_with(tmp_path / "a"), tmp_path / "dataset", model=name)


def test_without_a_model(tmp_path: Path) -> None:
    """Nothing is made up: what no input tells is None, and is not in the files."""
    dataset = convert(shards_with(tmp_path / "a", None), tmp_path / "dataset")
    about = a20_parquet.describe(dataset)
    assert (about.model, about.window_seconds) == (None, None)
    found = json.loads(pq.read_metadata(files_of(dataset)[0]).metadata[b"a20_parquet"])
    assert found.keys() == {"dataset", "hop_seconds", "version"}

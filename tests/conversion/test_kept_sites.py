"""A dataset's sites table is the one that it was made with, or nothing is added to it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import a20_parquet
from a20_parquet.errors import DatasetError
from tests.helpers.shards import make_record, random_tensor, write_shard
from tests.helpers.spoiling import messages

NAME = "20190630T013925Z_Toorale-National-Park-Dry-A_353483.flac"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of one recorder, whose time zone only the table tells."""
    folder = tmp_path_factory.mktemp("sites")
    for number in range(2):
        record = make_record(random_tensor((2, 1, 8), number), NAME, 60.0 * number)
        write_shard(folder / f"a-{number:05d}-of-00002", [record])
    (folder / "sites.csv").write_text(
        "name,site_id,time_zone\nToorale-National-Park-Dry-A,77,Australia/Sydney\n"
    )
    return folder


@pytest.fixture
def dataset(shards: Path, tmp_path: Path) -> Path:
    """The first shard, converted with the table."""
    sites = shards / "sites.csv"
    a20_parquet.convert(shards / "a-00000-of-00002", tmp_path / "out", decoder="wire", sites=sites)
    return tmp_path / "out"


def other_zone(path: Path) -> None:
    """Another time zone, written as the program would write it."""
    pl.read_parquet(path).with_columns(time_zone=pl.lit("Australia/Perth")).write_parquet(path)


def another_row(path: Path) -> None:
    """A recorder more, which the next conversion would believe."""
    frame = pl.read_parquet(path)
    more = frame.with_columns(name=pl.lit("Other"), conversion=pl.lit(1, pl.Int32))
    pl.concat([frame, more]).write_parquet(path)


def no_conversion(path: Path) -> None:
    """A column less."""
    pl.read_parquet(path).drop("conversion").write_parquet(path)


def struct(path: Path) -> None:
    """Numbers within a struct."""
    frame = pl.read_parquet(path)
    frame.with_columns(conversion=pl.struct("conversion")).write_parquet(path)


def a_folder(path: Path) -> None:
    """A folder of its name."""
    path.unlink()
    path.mkdir()


SPOILT: list[tuple[Callable[[Path], object], str]] = [
    (Path.unlink, "is missing, though manifest.json lists a sites table"),
    (other_zone, "is not the sites table that the dataset was made with"),
    (another_row, "is not the sites table that the dataset was made with"),
    (struct, "is not the sites table that the dataset was made with"),
    (no_conversion, "is not a sites table"),
    (lambda path: path.write_bytes(b"x"), "cannot be read as Parquet"),
    (a_folder, "cannot be read"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILT)
def test_a_table_that_is_not_the_one(
    dataset: Path, shards: Path, spoil: Callable[[Path], object], message: str
) -> None:
    """It is told by ``verify``, with and without the shards, and refused by an append."""
    spoil(dataset / "sites.parquet")
    for sources in ((), shards / "a-00000-of-00002"):
        (line,) = messages(a20_parquet.verify(dataset, sources, decoder="wire"))
        assert line.startswith("sites.parquet: ")
        assert message in line
    before = (dataset / "manifest.json").read_bytes()
    with pytest.raises(DatasetError, match=rf"sites\.parquet.*{message}.*again|{message}.*whole"):
        a20_parquet.convert(shards, dataset, decoder="wire")
    assert (dataset / "manifest.json").read_bytes() == before


def test_a_table_that_nothing_tells_of(dataset: Path, shards: Path, tmp_path: Path) -> None:
    """A table that was put into a dataset which was made without one is not believed."""
    other = tmp_path / "other"
    a20_parquet.convert(shards / "a-00000-of-00002", other, decoder="wire")
    shutil.copy(dataset / "sites.parquet", other)
    (line,) = messages(a20_parquet.verify(other))
    assert line.startswith("sites.parquet: no conversion in manifest.json was given a sites table")
    with pytest.raises(DatasetError, match="no conversion in manifest"):
        a20_parquet.convert(shards, other, decoder="wire")


def test_the_same_table(dataset: Path, shards: Path) -> None:
    """It is as good after an append, with the same table, none, or more recorders."""
    assert a20_parquet.verify(dataset).is_good
    more = shards / "more.csv"
    more.write_text("name,site_id,time_zone\nNowhere-Wet-A,78,Australia/Perth\n")
    a20_parquet.convert(shards / "a-00001-of-00002", dataset, decoder="wire", sites=more)
    assert messages(a20_parquet.verify(dataset, shards, decoder="wire")) == []

"""Parts of datasets: the windows that polars and NumPy select in the same files, bit for bit."""

import json
import shutil
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pytest

import a20_parquet
from a20_parquet.errors import NoWindowsError, UsageError
from tests.helpers.command_line import run
from tests.helpers.conversions import as_bits, assert_same_windows, digests

WHERE = "channel = 0 and hour(window_start_local) < 12"
EXPECTED = (pl.col("channel") == 0) & (pl.col("window_start_local").dt.hour() < 12)


def whole(dataset: Path) -> pl.DataFrame:
    """All windows, as polars reads the files, in the order of windows."""
    frame = pl.read_parquet(dataset / "data", try_parse_hive_dates=False)
    return frame.sort(
        "site", "window_start", "filename", "recording_offset_in_file", "channel", nulls_last=False
    )


def write_list(path: Path, windows: pl.DataFrame) -> Path:
    windows.select("filename", "recording_offset_in_file", "channel").write_csv(path)
    return path


def test_where_becomes_a_dataset(grown: Path, tmp_path: Path) -> None:
    """It is verified and queried like any other, and has the bits of the windows selected."""
    made = a20_parquet.export(grown, tmp_path / "part", where=WHERE)
    expected = whole(grown).filter(EXPECTED)
    assert 0 < made.windows == len(expected) < made.total_windows == len(whole(grown))
    verification = a20_parquet.verify(tmp_path / "part")
    assert (verification.is_good, verification.windows) == (True, len(expected))
    assert_same_windows(as_bits(a20_parquet.scan(tmp_path / "part").collect()), as_bits(expected))
    with a20_parquet.connect(tmp_path / "part") as connection:
        assert connection.sql("select count(*) from windows").fetchall() == [(len(expected),)]
    window = expected.row(0, named=True)
    to = f"{window['filename']}@{window['recording_offset_in_file']}"
    assert a20_parquet.similar(tmp_path / "part", to)["similarity"][0] == 1.0


def test_the_manifest_names_the_whole(grown: Path, tmp_path: Path) -> None:
    """A part of a part names both."""
    a20_parquet.export(grown, tmp_path / "part", where=WHERE)
    a20_parquet.export(tmp_path / "part", tmp_path / "less", per=("site", 2), seed=4)
    first, second = a20_parquet.info(tmp_path / "less").origins
    assert (first.dataset, first.per, first.sample, first.seed) == (
        str(tmp_path / "part"),
        ("site",),
        2,
        4,
    )
    assert (second.dataset, second.where) == (str(grown), WHERE)
    assert second.total_windows == a20_parquet.info(grown).windows
    manifest = json.loads((grown / "manifest.json").read_text())
    assert second.files_checksum == manifest["files_checksum"]


@pytest.mark.parametrize("workers", [1, 3])
def test_everything_is_copied_file_by_file(grown: Path, tmp_path: Path, workers: int) -> None:
    """Partitions that are taken as a whole have the same bytes."""
    a20_parquet.export(grown, tmp_path / "all", workers=workers)
    data = {name: sum_ for name, sum_ in digests(grown).items() if name.startswith("data/")}
    copied = digests(tmp_path / "all")
    assert {name: copied[name] for name in data} == data
    assert a20_parquet.verify(tmp_path / "all").is_good


def test_bytes_do_not_depend_on_workers(grown: Path, tmp_path: Path) -> None:
    """The same part is the same dataset."""
    for workers in (1, 2):
        a20_parquet.export(grown, tmp_path / f"{workers}", where=WHERE, workers=workers)
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


def test_lists(grown: Path, tmp_path: Path) -> None:
    """Windows of a list, without those of another; rows that name nothing are counted."""
    windows = whole(grown)
    some, fewer = windows.sample(60, seed=1), windows.sample(400, seed=2)
    listed = write_list(tmp_path / "some.csv", pl.concat([some, some[:5]]))
    with listed.open("a") as file:
        file.write("no such recording,0,0\n")
    excluded = write_list(tmp_path / "fewer.csv", fewer)
    made = a20_parquet.export(grown, tmp_path / "part", windows=listed, exclude=excluded)
    keys = ["filename", "recording_offset_in_file", "channel"]
    expected = windows.join(some, on=keys, how="semi").join(fewer, on=keys, how="anti")
    assert 0 < len(expected) < len(some)
    assert_same_windows(as_bits(whole(tmp_path / "part")), as_bits(expected))
    assert made.remarks[0] == "some.csv: 1 of 66 rows names no window"
    kept = a20_parquet.info(tmp_path / "part").origins[0]
    assert kept.windows is not None
    assert (kept.windows.name, kept.windows.rows) == ("some.csv", 66)


def test_records_of_a_list_last_a_minute(grown: Path, tmp_path: Path) -> None:
    """A dataset does not know its records; that it takes minutes is said."""
    (tmp_path / "minutes.csv").write_text(
        "filename,timestamp_s\n"
        + "".join(f"{name},60\n" for name in whole(grown)["filename"].unique())
    )
    made = a20_parquet.export(grown, tmp_path / "part", windows=tmp_path / "minutes.csv")
    expected = whole(grown).filter(pl.col("recording_offset_in_file").is_between(60, 119.9))
    assert made.windows == len(expected) > 0
    assert "each timestamp_s stands for the windows that start within 60 s" in made.remarks[-1]


@pytest.mark.parametrize("name", ["part.parquet", "part.npy"])
def test_files_have_the_same_rows(grown: Path, tmp_path: Path, name: str) -> None:
    """One Parquet file, or an array and its metadata, in the dataset's order."""
    file = tmp_path / name
    made = a20_parquet.export(grown, file, as_=file.suffix[1:], where=WHERE)
    expected = whole(grown).filter(EXPECTED)
    metadata = pl.read_parquet(tmp_path / "part.parquet")
    embeddings = metadata["embedding"].to_numpy() if name == "part.parquet" else np.load(file)
    assert embeddings.dtype == np.float32
    np.testing.assert_array_equal(
        embeddings.view(np.uint32), expected["embedding"].to_numpy().view(np.uint32)
    )
    columns = [column for column in expected.columns if column != "embedding"]
    assert metadata.drop("embedding", strict=False).columns == columns
    assert metadata.select(columns).equals(expected.select(columns))
    assert metadata.drop("embedding", strict=False).schema == expected.select(columns).schema
    assert made.windows == len(expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({name, "part.parquet"})
    assert (made.files, made.bytes) == (
        len(list(tmp_path.iterdir())),
        sum(path.stat().st_size for path in tmp_path.iterdir()),
    )


def test_an_existing_out_is_refused(grown: Path, tmp_path: Path) -> None:
    """It is replaced with ``overwrite`` only, and only what an export can have written."""
    for out, as_ in ((tmp_path / "a", "dataset"), (tmp_path / "a.npy", "npy")):
        a20_parquet.export(grown, out, as_=as_, where=WHERE)
        with pytest.raises(UsageError, match="overwrite"):
            a20_parquet.export(grown, out, as_=as_)
        made = a20_parquet.export(grown, out, as_=as_, overwrite=True)
        assert made.windows == made.total_windows
    assert a20_parquet.verify(tmp_path / "a").is_good
    pl.DataFrame({"mine": [1]}).write_parquet(tmp_path / "mine.parquet")
    np.save(tmp_path / "mine.npy", np.zeros(3))
    before = digests(tmp_path)
    for name, as_ in (("mine.parquet", "parquet"), ("mine.npy", "npy")):
        with pytest.raises(UsageError, match="was not written by a20-parquet export"):
            a20_parquet.export(grown, tmp_path / name, as_=as_, overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and holds no dataset"):
        a20_parquet.export(grown, tmp_path / "mine", overwrite=True)
    assert {name: sum_ for name, sum_ in digests(tmp_path).items() if name in before} == before


def test_out_is_not_inside_the_dataset(grown: Path, tmp_path: Path) -> None:
    """Nor the dataset inside of it, also through a link."""
    dataset = tmp_path / "folder" / "whole"
    shutil.copytree(grown, dataset)
    (tmp_path / "link").symlink_to(dataset)
    before = digests(tmp_path)
    for out in (dataset, dataset / "data" / "x", tmp_path / "link" / "x", tmp_path / "folder"):
        with pytest.raises(UsageError, match=r"is inside the dataset|contains the dataset"):
            a20_parquet.export(dataset, out, overwrite=True)
    with pytest.raises(UsageError, match="is inside the dataset"):
        a20_parquet.export(dataset, dataset / "x.parquet", as_="parquet")
    assert digests(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"where": "site"}, "expected a condition"),
        ({"where": "site = 'nope'"}, "none of .* is selected: where"),
        ({"per": ("nope", 3)}, "there is no column 'nope'"),
        ({"per": ("embedding", 3)}, "make no groups"),
        ({"per": ("site", 0)}, "expected 1 or more"),
        ({"per": ("site", 2.5)}, "expected 1 or more"),
        ({"per": "site"}, "expected columns and a number"),
        ({"per": ("site", 1), "seed": -1}, "seed is -1"),
        ({"as_": "csv"}, "expected dataset, parquet, npy"),
        ({"as_": "npy"}, "expected a file that ends in .npy"),
        ({"windows": "none.csv"}, "the list cannot be read"),
    ],
)
def test_wrong_options_write_nothing(
    grown: Path, tmp_path: Path, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        a20_parquet.export(grown, tmp_path / "out", **options)
    assert not list((tmp_path / "out").glob("*"))
    with pytest.raises(UsageError, match="Give as_='parquet' for a file"):
        a20_parquet.export(grown, tmp_path / "out.parquet")


def test_no_window_is_an_error(grown: Path, tmp_path: Path) -> None:
    """An empty list of windows selects none, and leaves what is there."""
    (tmp_path / "empty.csv").write_text("filename,timestamp_s\n")
    a20_parquet.export(grown, tmp_path / "out", where=WHERE)
    before = digests(tmp_path / "out")
    with pytest.raises(NoWindowsError, match=r"windows empty\.csv \(0 rows"):
        a20_parquet.export(grown, tmp_path / "out", windows=tmp_path / "empty.csv", overwrite=True)
    assert digests(tmp_path / "out") == before


def test_shards_cannot_be_added(grown: Path, shuffled: Path, tmp_path: Path) -> None:
    """A part is no dataset of shards: it is neither appended to nor compared with them."""
    a20_parquet.export(grown, tmp_path / "part", where=WHERE)
    before = digests(tmp_path / "part")
    with pytest.raises(UsageError, match="is a part of"):
        a20_parquet.convert(shuffled, tmp_path / "part", partition_by="site")
    with pytest.raises(UsageError, match="is a part of"):
        a20_parquet.verify(tmp_path / "part", source=[shuffled])
    assert digests(tmp_path / "part") == before


def test_command_line(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Counts, remarks and the place; ``info`` says what it is a part of."""
    out = tmp_path / "out"
    code, shown, said = run(
        monkeypatch, capsys, "export", grown, out, "--per", "site,hour", "20", "--seed", 1
    )
    assert code == 0
    assert "groups have fewer than 20 windows, all taken" in said
    assert shown.splitlines()[-1] == str(out)
    _, shown, _ = run(monkeypatch, capsys, "info", out)
    assert f"part of     {grown}: --per site,hour 20 --seed 1" in shown
    assert "selected    the whole: everything" in shown
    _, shown, _ = run(monkeypatch, capsys, "info", out, "--json")
    assert json.loads(shown)["origins"][0]["sample"] == 20
    code, shown, _ = run(monkeypatch, capsys, "report", out, "-o", tmp_path / "r.html")
    assert code == 0
    assert "--per site,hour 20 --seed 1" in (tmp_path / "r.html").read_text()
    code, shown, _ = run(
        monkeypatch, capsys, "export", grown, tmp_path / "x.npy", "--as", "npy", "--json"
    )
    assert json.loads(shown)["files"] == 2
    code, _, said = run(monkeypatch, capsys, "export", grown, out, "--per", "site", "-1")
    assert (code, "-1 is not in the range" in said) == (2, True)


def test_stores(grown: Path, tmp_path: Path) -> None:
    """From a store, to a store, with the same bytes but for the whole's place."""
    memory = fsspec.filesystem("memory")
    memory.put(str(grown), "/export-whole", recursive=True)
    a20_parquet.export("memory://export-whole", "memory://export-part", where=WHERE)
    a20_parquet.export(grown, tmp_path / "part", where=WHERE)
    memory.get("/export-part", str(tmp_path / "got"), recursive=True)
    expected = digests(tmp_path / "part", but="manifest.json")
    assert digests(tmp_path / "got", but="manifest.json") == expected
    assert a20_parquet.verify("memory://export-part").is_good
    for out in ("memory://export-whole", "memory://export-whole/data/x"):
        with pytest.raises(UsageError, match="is inside the dataset"):
            a20_parquet.export("memory://export-whole", out, overwrite=True)
    file = tmp_path / "part.parquet"
    made = a20_parquet.export("memory://export-whole", file, as_="parquet", where=WHERE)
    assert made.windows == len(pl.read_parquet(file))

"""Verifying a dataset: a whole one is good, and whatever is wrong is told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crc32c
import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import a20_parquet
from a20_parquet.dataset import problem as problem_module
from a20_parquet.errors import DatasetError
from a20_parquet.progress import NoProgress
from a20_parquet.verification.verify import verify
from tests.helpers.command_line import run
from tests.helpers.manifests import edit_manifest
from tests.helpers.recordings import write_recordings
from tests.helpers.spoiling import flip, largest, messages, relist, rewrite, set_column


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small shards."""
    return write_recordings(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, shards: Path) -> Path:
    """Their dataset, which must not be changed."""
    path = tmp_path_factory.mktemp("whole") / "dataset"
    a20_parquet.convert(shards, path, row_group_rows=64)
    return path


@pytest.fixture
def dataset(whole: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "dataset"))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("by", ["site,date", "site,month", "site,year", "site"])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_what_was_converted_is_good(
    shards: Path, tmp_path: Path, by: str, compression: str, workers: int
) -> None:
    """Nothing is wrong with a new dataset; counts and progress are the dataset's."""
    conversion = a20_parquet.convert(
        shards, tmp_path / "d", partition_by=by, compression=compression, row_group_rows=64
    )

    class Told(NoProgress):
        total = done = 0

        def start(self, name: str, total_bytes: int) -> None:
            assert name == "checking files"
            self.total = total_bytes

        def advance(self, count_bytes: int) -> None:
            self.done += count_bytes

    told = Told()
    found = verify(tmp_path / "d", workers=workers, progress=told)
    assert messages(found) == []
    assert found.is_good
    totals = conversion.totals
    assert (found.files, found.windows, found.bytes) == (
        totals.files,
        totals.windows,
        totals.bytes,
    )
    assert workers > 1 or told.done == told.total == totals.bytes


def test_a_dataset_behind_a_url(whole: Path) -> None:
    """A dataset on another file system is checked likewise."""
    memory = fsspec.filesystem("memory")
    memory.put(str(whole), "/verify/dataset", recursive=True)
    assert verify("memory://verify/dataset").is_good
    memory.pipe_file("/verify/dataset/data/more.parquet", b"x")
    assert messages(verify("memory://verify/dataset")) == [
        "data/more.parquet: is in data/, but files.parquet does not name it"
    ]
    memory.rm("/verify", recursive=True)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "lost": (Path.unlink, "is missing, though files.parquet names it"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "bytes, expected"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"x"), "bytes, expected"),
    "empty": (lambda path: path.write_bytes(b""), "has 0 bytes, expected"),
    "flipped": (flip, "it is damaged or was changed"),
}


@pytest.mark.parametrize(("spoil", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_files(dataset: Path, spoil: Callable[[Path], object], message: str) -> None:
    """A file that is not what was written is told once, and the others are still checked."""
    path = largest(dataset)
    rows = pq.ParquetFile(path).metadata.num_rows
    whole = verify(dataset)
    spoil(path)
    found = verify(dataset, workers=2)
    (line,) = messages(found)
    assert line.startswith(f"{path.relative_to(dataset).as_posix()}: ")
    assert message in line
    assert found.windows == whole.windows - rows


def test_every_broken_file_is_told(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All problems are counted, in the dataset's order, and the first ones kept."""
    paths = pl.read_parquet(dataset / "files.parquet")["path"].to_list()
    for path in paths:
        flip(dataset / path)
    found = verify(dataset, workers=2)
    assert [problem.path for problem in found.problems] == paths
    assert found.windows == 0
    monkeypatch.setattr(problem_module, "MOST_PROBLEMS", 3)
    found = verify(dataset)
    assert (len(found.problems), found.problem_count) == (3, len(paths))


@pytest.mark.parametrize("bits", range(0, 2000, 37))
def test_damage_that_the_lists_vouch_for_is_no_crash(dataset: Path, bits: int) -> None:
    """Even where checksums agree, damaged Parquet gives problems, or is good by its values."""
    path = largest(dataset)
    content = bytearray(path.read_bytes())
    content[-1 - bits // 8 * 5] ^= 1 << bits % 8
    path.write_bytes(content)
    relist(dataset, path, checksum=f"{crc32c.crc32c(bytes(content)):08x}")
    assert {problem.path for problem in verify(dataset).problems} <= {
        path.relative_to(dataset).as_posix()
    }


def cast_column(table: Any, name: str, kind: Any) -> Any:
    """The table with one column of another type."""
    index = table.column_names.index(name)
    return table.set_column(index, name, table[name].cast(kind))


def move_local(table: Any) -> Any:
    """The table whose last window starts two days later by the local clock."""
    local = table["window_start_local"].cast(pa.int64()).to_pylist()
    local[-1] += 2 * 86_400 * 10**6
    kind = table.schema.field("window_start_local").type
    return set_column(table, "window_start_local", pa.array(local).cast(kind))


def change_site(table: Any) -> Any:
    """The table of which one row is another site's."""
    sites = table["site_id"].to_pylist()
    sites[2] = 7
    return set_column(table, "site_id", pa.array(sites, pa.int32()))


def swap(table: Any) -> Any:
    """The table with two neighbouring rows in the other order, of two row groups."""
    order = list(range(len(table)))
    order[31], order[32] = order[32], order[31]
    return table.take(order)


def null_channels(table: Any) -> Any:
    """The table with a null where there must be none."""
    index = table.column_names.index("channel")
    values = pc.if_else(pa.array([n != 5 for n in range(len(table))]), table["channel"], None)
    return table.set_column(index, pa.field("channel", pa.int16()), values)


WRONG_ROWS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a column less": (
        lambda t: t.drop_columns("channel"),
        "its columns are not the dataset's: column 12 is missing",
    ),
    "another type": (
        lambda t: cast_column(t, "channel", pa.int32()),
        "column 12 is channel (int32), expected",
    ),
    "a null": (null_channels, "column 12 is channel (int16), expected channel (int16, not null)"),
    "another day": (move_local, "belongs to date="),
    "another site": (
        change_site,
        "row 2 belongs to site=site_0007, but the file is in site=site_0285",
    ),
    "another order": (swap, "row 32 should come before row 31: the rows are not in sort order"),
    "without the first": (lambda t: t.slice(1), "its first window starts at "),
    "without the last": (lambda t: t.slice(0, len(t) - 1), "its last window starts at "),
}


@pytest.mark.parametrize(("change", "message"), WRONG_ROWS.values(), ids=WRONG_ROWS)
def test_wrong_rows(shards: Path, tmp_path: Path, change: Any, message: str) -> None:
    """Rows that were written wrongly are told though size and checksum agree."""
    dataset = tmp_path / "dataset"
    a20_parquet.convert(shards, dataset, row_group_rows=16)
    path = rewrite(dataset, change, row_group_size=16)
    found = verify(dataset)
    lines = [line for line in messages(found) if message in line]
    assert lines, messages(found)
    paths = {problem.path for problem in found.problems}
    # Where rows are gone, what the shards brought is more.
    assert paths - {"manifest.json"} == {path.relative_to(dataset).as_posix()}
    assert "first" in message or "last" in message or "manifest.json" not in paths


def test_a_wrong_number_of_rows(dataset: Path) -> None:
    """A file with another number of rows than is listed is told."""
    path = largest(dataset)
    relist(dataset, path, rows=pq.ParquetFile(path).metadata.num_rows + 1)
    line, of_shards = messages(verify(dataset))
    assert "rows, expected" in line
    assert of_shards.startswith("manifest.json: its shards have ")


def test_a_file_in_another_folder(dataset: Path) -> None:
    """A file that was moved, list and all, is told by its rows; one only listed so by its path."""
    path = largest(dataset)
    moved = dataset / "data" / "site=site_0009" / "date=2020-10-14" / "part-0000.parquet"
    moved.parent.mkdir(parents=True)
    path.rename(moved)
    listed = moved.relative_to(dataset).as_posix()
    relist(dataset, path, path=listed)
    (line,) = messages(verify(dataset))
    assert line.startswith(f"{listed}: its path should be data/site=site_0285/date=")


def test_lists_that_disagree(dataset: Path) -> None:
    """Totals that are not what the lists add up to are told, each."""
    manifest = edit_manifest(
        dataset,
        lambda manifest: manifest.update(
            totals={name: value + 1 for name, value in manifest["totals"].items()}
        ),
    )
    lines = messages(verify(dataset))
    assert len(lines) == len(manifest["totals"])
    assert all(line.startswith("manifest.json: its totals say ") for line in lines)


def test_files_that_nothing_names(dataset: Path) -> None:
    """A stray file in ``data/`` is wrong, but not while something is being appended."""
    (dataset / "data" / "site=x").mkdir()
    (dataset / "data" / "site=x" / "more.parquet").write_bytes(b"")
    expected = "data/site=x/more.parquet: is in data/, but files.parquet does not name it"
    assert messages(verify(dataset)) == [expected]
    (dataset / "conversion").mkdir()
    (dataset / "conversion" / "plan.json").write_text("{}")
    found = verify(dataset)
    assert found.is_good
    assert "an append is running" in found.notes[0]


def test_a_stray_in_quarantine(dataset: Path) -> None:
    """A file in quarantine of which the manifest knows nothing is told."""
    (dataset / "quarantine").mkdir()
    (dataset / "quarantine" / "a.jsonl").write_text("{}\n")
    assert messages(verify(dataset)) == ["quarantine/a.jsonl: the manifest does not name it"]


def test_no_dataset(tmp_path: Path) -> None:
    """What is no complete dataset cannot be verified."""
    with pytest.raises(DatasetError, match="does not exist"):
        verify(tmp_path / "nothing")


def test_the_command(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It exits 0 or 1, and prints a line for each problem, or JSON."""
    code, out, err = run(monkeypatch, capsys, "verify", dataset)
    assert code == 0
    assert "all good" in out
    assert "checking files" in err
    for path in (dataset / "data").rglob("*.parquet"):
        flip(path)
    count = sum(1 for _ in (dataset / "data").rglob("*.parquet"))
    code, out, _ = run(monkeypatch, capsys, "verify", dataset)
    assert code == 1
    assert out.count("it is damaged or was changed\n") == count
    assert f"{count} problems found" in out
    code, out, _ = run(monkeypatch, capsys, "verify", dataset, "--json")
    assert code == 1
    found = json.loads(out)
    assert found["good"] is False
    assert len(found["problems"]) == found["problem_count"] == count

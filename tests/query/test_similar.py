"""The nearest windows, against a plain computation with numpy."""

import datetime as dt
import re
import sys
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

import a20_parquet
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.windows.partition import PartitionBy
from tests.helpers.progress import Said
from tests.helpers.recordings import DIMS, NAMES, write_recordings
from tests.helpers.shards import make_record, random_tensor, write_shard

COLUMNS = ["filename", "recording_offset_in_file", "channel", "site", "window_start"]
VECTOR = random_tensor((DIMS,), 99)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By all keys and compressions, one of them in many row groups."""
    root = tmp_path_factory.mktemp("datasets")
    shards = write_recordings(root / "shards")
    options: dict[str, dict[str, Any]] = {
        **{str(by): {"partition_by": by} for by in PartitionBy},
        "lz4": {"compression": "lz4", "row_group_rows": 3},
        "zstd": {"compression": "zstd", "partition_by": "site", "row_group_rows": 7},
    }
    for name, chosen in options.items():
        a20_parquet.convert(shards, root / name, **chosen)
    return {name: root / name for name in options}


@pytest.fixture(scope="module")
def dataset(datasets: dict[str, Path]) -> Path:
    """The usual one."""
    return datasets["site,date"]


def nearest(windows: pl.DataFrame, to: npt.ArrayLike, top: int) -> pl.DataFrame:
    """The plain answer."""
    values = windows["embedding"].to_numpy().astype(np.float64)
    query = np.asarray(to, np.float64)
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(values, axis=1) * np.linalg.norm(query)
        cosines = (values * query).sum(1) / lengths
    found = windows.select(COLUMNS).with_columns(similarity=pl.Series(cosines))
    found = found.filter(pl.col("similarity").is_finite())
    # Copies of a window may differ in the last bit here.
    return found.sort(pl.col("similarity").round(12), descending=True, maintain_order=True).head(
        top
    )


def check(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """The same windows in the same order, cosines as far as float64 tells."""
    assert found.schema == expected.schema
    assert found.drop("similarity").equals(expected.drop("similarity"))
    np.testing.assert_allclose(found["similarity"], expected["similarity"], rtol=0, atol=1e-12)


def read(dataset: Path) -> pl.DataFrame:
    """All windows, in the dataset's order."""
    return pl.read_parquet(dataset / "data", hive_partitioning=True)


def test_real_recordings(real_data: Path, tmp_path: Path) -> None:
    """A window is nearest to itself, then come its neighbours, as numpy computes them."""
    a20_parquet.convert(real_data / "perch-real" / "embeddings-0000[01]*", tmp_path / "out")
    windows = read(tmp_path / "out")
    name = "20230324T090000+1100_Kl9_3372829.wav"
    to = windows.filter((pl.col("filename") == name) & (pl.col("recording_offset_in_file") == 600))[
        "embedding"
    ].to_numpy()[0]
    found = a20_parquet.similar(tmp_path / "out", f"{name}@600")
    check(found, nearest(windows, to, 10))
    assert found.select("filename", "recording_offset_in_file", "channel").row(0) == (name, 600, 0)
    assert found["similarity"][0] == pytest.approx(1, abs=1e-12)
    assert found["similarity"][1] < 1


@pytest.mark.parametrize("case", [*map(str, PartitionBy), "lz4", "zstd"])
@pytest.mark.parametrize("top", [1, 10, 10_000])
def test_the_same_as_numpy(datasets: dict[str, Path], case: str, top: int) -> None:
    """Whatever the keys and the compression; copies come in the dataset's order."""
    windows = read(datasets[case])
    check(a20_parquet.similar(datasets[case], VECTOR, top=top), nearest(windows, VECTOR, top))


@pytest.mark.parametrize("case", list(map(str, PartitionBy)))
@pytest.mark.parametrize(
    ("options", "test"),
    [
        ({"sites": "site_0285"}, pl.col("site") == "site_0285"),
        ({"sites": ["285", "286"]}, pl.col("site_id").is_in([285, 286])),
        ({"sites": 285}, pl.col("site_id") == 285),
        ({"sites": ["Site-3"]}, pl.col("site") == "Site-3"),
        (
            {"from_date": "2020-11-01"},
            pl.col("window_start_local").dt.date() >= dt.date(2020, 11, 1),
        ),
        (
            {"until_date": dt.date(2020, 10, 31)},
            pl.col("window_start_local").dt.date() <= dt.date(2020, 10, 31),
        ),
        (
            {"from_date": "2020-11-01", "until_date": "2020-11-01", "sites": "286"},
            (pl.col("window_start_local").dt.date() == dt.date(2020, 11, 1))
            & (pl.col("site_id") == 286),
        ),
        ({"until_date": "9999-12-31"}, pl.lit(value=True)),
        ({"from_date": "0001-01-01"}, pl.lit(value=True)),
        ({"until_date": "2019-01-01"}, pl.lit(value=False)),
    ],
    ids=str,
)
def test_part_of_a_dataset(
    datasets: dict[str, Path], case: str, options: dict[str, Any], test: pl.Expr
) -> None:
    """Sites and local dates limit the search, whatever the keys."""
    expected = nearest(read(datasets[case]).filter(test), VECTOR, 10)
    check(a20_parquet.similar(datasets[case], VECTOR, **options), expected)


def test_every_window_can_be_named(dataset: Path) -> None:
    """Offsets as they are, or as one would type them; names with ``@``; any channel."""
    windows = read(dataset).filter(pl.col("embedding").arr.max() > 0)
    some = windows.filter(pl.col("embedding").arr.get(3).is_not_nan()).gather_every(11)
    assert any("@" in name for name in some["filename"])
    for window in some.iter_rows(named=True):
        offset_s = window["recording_offset_in_file"]
        for typed in (f"{offset_s!r}", f"{offset_s:.1f}"):
            to = f"{window['filename']}@{typed}"
            found = a20_parquet.similar(dataset, to, top=5, channel=window["channel"])
            check(found, nearest(windows, window["embedding"], 5))


def test_late_offsets_can_be_typed(tmp_path: Path) -> None:
    """Shards hold offsets as float32, which late in a day is milliseconds off."""
    name = NAMES[1]
    write_shard(tmp_path / "a.tfrecord", [make_record(random_tensor((3, 1, 4)), name, 80_000.1)])
    a20_parquet.convert(tmp_path / "a.tfrecord", tmp_path / "out")
    for index, typed in enumerate(["80000.1", "80005.1", "80010.1"]):
        found = a20_parquet.similar(tmp_path / "out", f"{name}@{typed}")
        assert found["recording_offset_in_file"][0] == pytest.approx(80_000.1 + 5 * index, abs=0.01)
    with pytest.raises(UsageError, match=r"start at 80000\.102, 80005\.102, "):
        a20_parquet.similar(tmp_path / "out", f"{name}@0")


def test_a_vector_in_any_form(dataset: Path, tmp_path: Path) -> None:
    """An array, a list, one row of a matrix, a Series, a file; of any length and kind of number."""
    np.save(tmp_path / "v.npy", VECTOR)
    np.save(tmp_path / "row.npy", VECTOR[None].astype(np.float64))
    expected = nearest(read(dataset), VECTOR, 10)
    forms: list[Any] = [VECTOR, VECTOR.tolist(), VECTOR[None], pl.Series(VECTOR), VECTOR * 4]
    forms += [tmp_path / "v.npy", str(tmp_path / "v.npy"), tmp_path / "row.npy"]
    for form in forms:
        check(a20_parquet.similar(dataset, form), expected)
    ones = nearest(read(dataset), np.ones(DIMS), 10)
    check(a20_parquet.similar(dataset, np.ones(DIMS, np.int16)), ones)
    check(a20_parquet.similar(dataset, np.ones(DIMS, np.float16)), ones)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("batch_bytes", [300, 4000])
def test_threads_and_batches_change_nothing(
    datasets: dict[str, Path], monkeypatch: pytest.MonkeyPatch, workers: int, batch_bytes: int
) -> None:
    """The same answer to the bit."""
    from a20_parquet.query.window_query import WindowQuery

    expected = a20_parquet.similar(datasets["zstd"], VECTOR, sites=["285", "Site-3"], top=20)
    monkeypatch.setattr(WindowQuery.__init__, "__kwdefaults__", {"batch_bytes": batch_bytes})
    monkeypatch.setattr(
        sys.modules["a20_parquet.query.similar"], "default_workers", lambda: workers
    )
    found = a20_parquet.similar(datasets["zstd"], VECTOR, sites=["285", "Site-3"], top=20)
    assert found.equals(expected)


@pytest.mark.parametrize("case", ["site,date", "zstd"])
def test_from_a_url(datasets: dict[str, Path], case: str) -> None:
    """The same answer from fsspec's memory file system."""
    fsspec.filesystem("memory").put(str(datasets[case]), str(datasets[case]), recursive=True)
    found = a20_parquet.similar(f"memory:/{datasets[case]}", VECTOR, sites="285")
    assert found.equals(a20_parquet.similar(datasets[case], VECTOR, sites="285"))


RECORDING = NAMES[1]


@pytest.mark.parametrize(
    ("to", "options", "message"),
    [
        (VECTOR, {"top": 0}, "top is 0, expected 1 or more"),
        (VECTOR, {"sites": "7"}, "has no site site_0007. It has 4: Site-3, "),
        (VECTOR, {"sites": ["285", "x"]}, "has no site x"),
        (VECTOR, {"from_date": "yesterday"}, "'yesterday' is not a date, expected YYYY-MM-DD"),
        (VECTOR, {"until_date": "2020-13-01"}, "'2020-13-01' is not a date"),
        (VECTOR[1:], {}, r"the vector has shape \(15,\) and type float32, expected \(16,\)"),
        (np.ones((2, DIMS)), {}, r"shape \(2, 16\)"),
        ([[1], [1, 2]], {}, "the vector cannot be read as an array"),
        (["a"] * DIMS, {}, "type <U1"),
        (np.zeros(DIMS), {}, "the vector cannot be compared: it is zero"),
        (VECTOR * np.nan, {}, "the vector cannot be compared"),
        ("x", {}, "'x' does not name a window. Write FILENAME@OFFSET"),
        ("x@y", {}, "'x@y' does not name a window"),
        ("x@nan", {}, "'x@nan' does not name a window"),
        (f"{RECORDING}@inf", {}, "does not name a window"),
        ("x@5", {}, "has no window x@5 in channel 0. It has no such recording"),
        ("@5", {}, "It has no such recording"),
        (f"{RECORDING}@1e300", {}, r"windows start at 0\.1, .* up to .* s, in channel 0"),
        (f"{RECORDING}@-5", {}, r"has no window .*@-5 in channel 0\. .* start at 0\.1, "),
        (f"{RECORDING}@0.1", {"channel": 9}, "in channel 9. That recording's windows"),
        ("none.npy", {}, r"none\.npy: cannot be read as a \.npy file"),
    ],
    ids=str,
)
def test_mistakes(dataset: Path, to: Any, options: dict[str, Any], message: str) -> None:
    """Each is a usage error that says what was found and what to do."""
    with pytest.raises(UsageError, match=message):
        a20_parquet.similar(dataset, to, **options)


def test_files_that_are_no_vector(dataset: Path, tmp_path: Path) -> None:
    """Text, an archive, pickles, and what only begins like an archive."""
    path = tmp_path / "v.npy"
    for content in (b"", b"text", b"PK\x03\x04text"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"cannot be read as a \.npy file"):
            a20_parquet.similar(dataset, path)
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(UsageError, match=r"cannot be read as a \.npy file"):
        a20_parquet.similar(dataset, path)
    with path.open("wb") as file:
        np.savez(file, a=VECTOR)
    with pytest.raises(UsageError, match="has several arrays"):
        a20_parquet.similar(dataset, path)


def test_windows_without_a_direction(tmp_path: Path) -> None:
    """They are left out, and it is said how many."""
    tensor = random_tensor((5, 1, DIMS))
    tensor[1] = 0
    tensor[3, 0, 0] = np.nan
    shard = write_shard(tmp_path / "a-00000-of-00001", [make_record(tensor)])
    a20_parquet.convert(shard, tmp_path / "out")
    progress = Said()
    found = a20_parquet.similar(tmp_path / "out", VECTOR, progress=progress)
    assert sorted(found["recording_offset_in_file"]) == [0, 10, 20]
    assert progress.lines == ["2 windows left out: zero or not finite, so without a cosine"]


def test_a_missing_dataset(tmp_path: Path) -> None:
    """As ``scan`` says it."""
    with pytest.raises(DatasetError, match="does not exist"):
        a20_parquet.similar(tmp_path / "none", VECTOR)


@pytest.mark.parametrize(
    "name",
    [RECORDING.rpartition("/")[2], f"elsewhere/{RECORDING.rpartition('/')[2]}", f"a2o/{RECORDING}"],
)
def test_a_part_of_a_name(dataset: Path, name: str) -> None:
    """The whole name is told, whatever is missing of it or too much."""
    with pytest.raises(UsageError, match=r"no such recording\. Did you mean .*\? Write") as caught:
        a20_parquet.similar(dataset, f"{name}@0.1")
    assert f" {RECORDING}? " in str(caught.value)


def test_a_part_of_several_names(tmp_path: Path) -> None:
    """The first ones are told, of names without a date too."""
    records = [make_record(random_tensor((1, 1, DIMS), n), f"f{n}/a.wav") for n in range(7)]
    shard = write_shard(tmp_path / "a-00000-of-00001", records)
    a20_parquet.convert(shard, tmp_path / "out", unknown_site="x", decoder="wire")
    with pytest.raises(UsageError) as caught:
        a20_parquet.similar(tmp_path / "out", "a.wav@0")
    assert "Did you mean f0/a.wav or f1/a.wav or " in str(caught.value)
    assert "or f4/a.wav, …? Write" in str(caught.value)
    with pytest.raises(UsageError, match=r"no such recording\.$"):
        a20_parquet.similar(tmp_path / "out", "b.wav@0")
    progress = Said()
    found = a20_parquet.similar(
        tmp_path / "out", VECTOR, sites="x", from_date="2020-01-01", progress=progress
    )
    assert found.is_empty()
    (said,) = progress.lines
    assert re.search("windows of x in .* have no date. Omit --from and --until", said)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"from_date": "2031-01-01"}, "has no window from 2031-01-01. Its windows start from"),
        ({"until_date": "1999-01-01"}, "has no window until 1999-01-01. Its windows"),
        (
            {"sites": "site_0285", "from_date": "2031-01-01", "until_date": "2031-01-02"},
            "no window of site_0285 from 2031-01-01 until 2031-01-02. .* 2020-10-1.* UTC",
        ),
    ],
)
def test_filters_that_leave_nothing(dataset: Path, options: dict[str, Any], told: str) -> None:
    """The answer is empty, and it is said what there is."""
    progress = Said()
    assert a20_parquet.similar(dataset, VECTOR, progress=progress, **options).is_empty()
    (said,) = progress.lines
    assert re.search(told, said)


def test_the_nearest_window_at_a_large_offset(tmp_path: Path) -> None:
    """Where offsets lie closer than a float32 tells, the window named is the nearest one."""
    name = "20201014T010000+1030_Kl9_49500.flac"
    offsets_s = [3e6 + n / 4 for n in range(4)]
    records = [
        make_record(random_tensor((1, 1, 8), n), name, offset_s)
        for n, offset_s in enumerate(offsets_s)
    ]
    shard = write_shard(tmp_path / "in" / "a-00000-of-00001", records)
    a20_parquet.convert(shard, tmp_path / "out", decoder="wire", partition_by="site")
    for offset_s in offsets_s:
        for typed_s in (offset_s, offset_s + 0.1, offset_s - 0.1):
            found = a20_parquet.similar(tmp_path / "out", f"{name}@{typed_s!r}", top=1)
            assert found["recording_offset_in_file"].to_list() == [offset_s]


def test_comparisons_that_make_no_sense(dataset: Path) -> None:
    """What polars says of them names the column that was compared."""
    column = pl.col("window_start")
    frame = a20_parquet.scan(dataset)
    for predicate in (column > pl.datetime(2020, 1, 1), pl.col("site_id") == "x"):
        with pytest.raises(pl.exceptions.PolarsError) as raised:
            frame.filter(predicate).collect()
        assert f'col("{predicate.meta.root_names()[0]}")' in str(raised.value)
        assert "last_window_start" not in str(raised.value)

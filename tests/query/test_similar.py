"""The nearest windows, against a plain computation with numpy."""

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

import a20_parquet
from a20_parquet.errors import UsageError
from a20_parquet.windows.partition import PartitionBy
from tests.helpers.progress import Said
from tests.helpers.recordings import DIMS, NAMES, write_recordings
from tests.helpers.shards import make_record, random_tensor, write_shard

COLUMNS = [
    "filename",
    "recording_offset_in_file",
    "channel",
    "site",
    "window_start",
    "window_start_local",
]
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
    expected = a20_parquet.similar(datasets["zstd"], VECTOR, sites=["285", "Site-3"], top=20)
    monkeypatch.setattr("a20_parquet.query.similar._BATCH_BYTES", batch_bytes)
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

"""``scan`` gives what plain ``scan_parquet`` gives."""

import datetime as dt
import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Literal

import fsspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import a20_parquet
from a20_parquet.query.window_query import WindowQuery
from a20_parquet.windows.partition import PartitionBy
from tests.helpers.recordings import DIMS, write_recordings
from tests.helpers.shards import make_record, random_tensor, write_shard

Query = Callable[[pl.LazyFrame], pl.LazyFrame]
Engine = Literal["in-memory", "streaming"]
ENGINES: list[Engine] = ["in-memory", "streaming"]
ID = ["filename", "recording_offset_in_file", "channel"]
MIDNIGHT = dt.datetime(2020, 11, 1)  # noqa: DTZ001 - a wall clock
NOON = dt.datetime(2020, 10, 14, 12, tzinfo=dt.UTC)
channel, site, start = pl.col("channel"), pl.col("site"), pl.col("window_start")
local, first = pl.col("window_start_local"), pl.col("embedding").arr.get(0)

QUERIES: dict[str, Query] = {
    "all": lambda scan: scan,
    "count": lambda scan: scan.select(pl.len()),
    "count of some": lambda scan: scan.filter(channel == 1).select(pl.len()),
    "count by key": lambda scan: scan.filter(site == "site_0285").select(pl.len()),
    "keys": lambda scan: scan.select("site"),
    "one column": lambda scan: scan.select("filename"),
    "embeddings": lambda scan: scan.select("embedding"),
    "other order": lambda scan: scan.select("channel", "embedding", "site", "filename"),
    "site": lambda scan: scan.filter(site == "site_0285"),
    "no site": lambda scan: scan.filter(site == "x"),
    "not a site": lambda scan: scan.filter(site != "site_0285"),
    "site id": lambda scan: scan.filter(pl.col("site_id").is_in([286, 1])).select("filename"),
    "no site id": lambda scan: scan.filter(pl.col("site_id").is_null()).select("site"),
    "time": lambda scan: scan.filter(start >= NOON).select("site", "window_start"),
    "local time": lambda scan: scan.filter(local < MIDNIGHT),
    "year": lambda scan: scan.filter(local.dt.year() == 2021),
    "channel": lambda scan: scan.filter(channel == 1),
    "nothing": lambda scan: scan.filter(pl.col("filename") == "x"),
    "nothing of keys": lambda scan: scan.filter(channel > 9).select("site"),
    "nothing of embeddings": lambda scan: scan.filter(channel > 9).select("embedding"),
    "never": lambda scan: scan.filter(pl.lit(value=False)),
    "always": lambda scan: scan.filter(pl.lit(value=True)).select("site", "channel"),
    "embedding": lambda scan: scan.filter(first > 0),
    "embedding and others": lambda scan: scan.filter((first > 0) & (channel == 0)).select("site"),
    "head": lambda scan: scan.head(7),
    "head of nothing": lambda scan: scan.head(0),
    "head of more": lambda scan: scan.head(10**6).select("filename"),
    "slice": lambda scan: scan.slice(5, 30),
    "tail": lambda scan: scan.tail(7),
    "head, then filter": lambda scan: scan.head(50).filter(channel == 1),
    "filter, then head": lambda scan: scan.filter(channel == 1).head(5),
    "filter, then slice": lambda scan: scan.filter(channel == 1).slice(3, 5).select("embedding"),
    "head of keys": lambda scan: scan.select("site").head(9),
    "row index": lambda scan: scan.with_row_index().filter(pl.col("index") % 5 == 2),
    "each seventh": lambda scan: scan.gather_every(7),
    "against the first": lambda scan: scan.filter(site == site.first()).select("site"),
    "against the last": lambda scan: scan.filter(site == site.last()),
    "every other row": lambda scan: scan.filter(pl.int_range(pl.len()) % 2 == 0),
    "shifted": lambda scan: scan.filter(channel.shift(1) == 0),
    "over": lambda scan: scan.filter(start == start.max().over("filename")),
    "renamed": lambda scan: scan.rename({"site": "where"}).filter(pl.col("where") > "site_0285"),
    "other content": lambda scan: scan.with_columns(site=pl.lit("x")).filter(site == "x"),
    "groups": lambda scan: scan.group_by("site").agg(pl.len(), channel.sum()).sort("site"),
    "sorted": lambda scan: scan.sort(*ID),
    "unique": lambda scan: scan.select("site", "channel").unique().sort("site", "channel"),
    "last first": lambda scan: scan.reverse().head(3),
    "joined": lambda scan: scan.join(
        scan.filter(channel == 0).select(*ID, other="site_id"), on=ID
    ).sort(ID),
    "twice": lambda scan: pl.concat([scan, scan.filter(channel > 0)]),
    "many times": lambda scan: pl.concat(
        [scan.filter(channel >= least).select(ID) for least in range(-4, 4)]
    ),
}


def plain(dataset: Path) -> pl.LazyFrame:
    """The dataset as a user of polars alone opens it."""
    return pl.scan_parquet(dataset / "data", hive_partitioning=True)


def expected_frame(query: Query, dataset: Path, engine: Engine) -> pl.DataFrame:
    """The plain answer."""
    return query(plain(dataset)).collect(engine=engine)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small shards."""
    return write_recordings(tmp_path_factory.mktemp("shards"))


CASES = [*(f"{by} usual" for by in PartitionBy), "site,date tiny", "site tiny", "compressed"]


@pytest.fixture(scope="module")
def datasets(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By all keys: with row groups of two rows and of the usual size; one compressed."""
    root = tmp_path_factory.mktemp("datasets")
    found = {}
    for case in CASES[:-1]:
        by, size = case.split()
        found[case] = root / case
        rows = 2 if size == "tiny" else 2048
        a20_parquet.convert(shards, found[case], partition_by=by, row_group_rows=rows)
    found["compressed"] = root / "compressed"
    a20_parquet.convert(shards, found["compressed"], compression="zstd", row_group_rows=3)
    return found


@pytest.fixture
def tiny_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read some fifteen windows at a time."""
    monkeypatch.setattr(WindowQuery.__init__, "__kwdefaults__", {"batch_bytes": 4000})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "engine"),
    [*((case, ENGINES[0]) for case in CASES), *((case, ENGINES[1]) for case in CASES[::3])],
)
def test_the_same_as_plain_polars(datasets: dict[str, Path], case: str, engine: Engine) -> None:
    """Every query's answer, row order and types included."""
    scan = a20_parquet.scan(datasets[case])
    assert scan.collect_schema() == plain(datasets[case]).collect_schema()
    for name, query in QUERIES.items():
        expected = expected_frame(query, datasets[case], engine)
        try:
            assert_frame_equal(query(scan).collect(engine=engine), expected)
        except AssertionError as error:
            raise AssertionError(name) from error


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_batches")
@pytest.mark.parametrize(
    ("case", "engine"), [("site,year usual", "streaming"), ("site tiny", "in-memory")]
)
def test_the_same_in_tiny_batches(datasets: dict[str, Path], case: str, engine: Engine) -> None:
    """Batches that begin and end within files, and within row groups."""
    test_the_same_as_plain_polars(datasets, case, engine)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["site tiny", "compressed"])
def test_the_same_from_a_url(datasets: dict[str, Path], case: str) -> None:
    """fsspec's memory file system stands for all the others."""
    fsspec.filesystem("memory").put(str(datasets[case]), str(datasets[case]), recursive=True)
    scan = a20_parquet.scan(f"memory:/{datasets[case]}")
    for name, query in QUERIES.items():
        expected = expected_frame(query, datasets[case], "in-memory")
        assert_frame_equal(query(scan).collect(), expected), name


def test_types(datasets: dict[str, Path]) -> None:
    """Typed as promised, also where nothing is left."""
    scan = a20_parquet.scan(datasets["site,date usual"])
    schema = scan.collect_schema()
    assert schema["embedding"] == pl.Array(pl.Float32, DIMS)
    assert schema["site"] == pl.String
    assert schema["date"] == pl.Date
    assert scan.filter(site == "x").collect().schema == schema
    assert scan.filter(channel > 99).collect().schema == schema


def test_a_dataset_without_windows(tmp_path: Path) -> None:
    """No row, all types."""
    write_shard(tmp_path / "in" / "a.tfrecord", [make_record(random_tensor((0, 1, 4)))])
    a20_parquet.convert(tmp_path / "in", tmp_path / "out")
    scan = a20_parquet.scan(tmp_path / "out")
    for query in (scan, scan.filter(channel == 0), scan.filter(site == "x"), scan.head(3)):
        frame = query.collect()
        assert frame.is_empty()
        assert frame.schema == scan.collect_schema()
    assert scan.select(pl.len()).collect().item() == 0


def has_many_letters(name: str) -> bool:
    """True of some names."""
    return len(set(name)) > 25


def test_python_functions_as_filters(datasets: dict[str, Path]) -> None:
    """A filter that calls Python sees what it would see without pushdown."""
    if importlib.util.find_spec("cloudpickle") is None:
        pytest.skip("polars needs the package cloudpickle for it")

    def query(scan: pl.LazyFrame) -> pl.LazyFrame:
        test = pl.col("filename").map_elements(has_many_letters, return_dtype=pl.Boolean)
        return scan.filter(test & (channel == 0))

    dataset = datasets["site,date usual"]
    assert_frame_equal(
        query(a20_parquet.scan(dataset)).collect(), expected_frame(query, dataset, "in-memory")
    )


@pytest.mark.usefixtures("tiny_batches")
def test_one_query_on_several_threads(datasets: dict[str, Path]) -> None:
    """A query holds no state."""
    query = a20_parquet.scan(datasets["site,date usual"]).filter(channel == 0)
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(lambda _: query.collect(), range(8)))
    for frame in frames:
        assert_frame_equal(frame, frames[0])


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_any_number_of_workers(
    datasets: dict[str, Path], monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Rows come in the dataset's order."""
    monkeypatch.setattr(import_module("a20_parquet.query.scan"), "default_workers", lambda: workers)
    dataset = datasets["site tiny"]
    for name in ("all", "filter, then head", "nothing", "twice"):
        expected = expected_frame(QUERIES[name], dataset, "in-memory")
        assert_frame_equal(QUERIES[name](a20_parquet.scan(dataset)).collect(), expected)


def test_comparisons_that_make_no_sense(datasets: dict[str, Path]) -> None:
    """polars names the compared column in its error."""
    frame = a20_parquet.scan(datasets["site,date usual"])
    for predicate in (start > pl.datetime(2020, 1, 1), pl.col("site_id") == "x"):
        with pytest.raises(pl.exceptions.PolarsError) as raised:
            frame.filter(predicate).collect()
        assert f'col("{predicate.meta.root_names()[0]}")' in str(raised.value)
        assert "last_window_start" not in str(raised.value)

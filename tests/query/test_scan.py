"""``scan`` gives what plain ``scan_parquet`` gives, and opens only the files that it must."""

import datetime as dt
import importlib.util
import shutil
import subprocess
import sys
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
from a20_parquet.errors import DatasetError
from a20_parquet.query.window_query import WindowQuery
from a20_parquet.windows.partition import PartitionBy
from tests.helpers.recordings import DIMS, NAMES, write_recordings
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
def dataset(datasets: dict[str, Path], tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(datasets["site,date usual"], tmp_path / "dataset"))


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


def one_file(dataset: Path) -> Path:
    """A file of site 285."""
    return min(dataset.glob("data/site=site_0285/**/*.parquet"))


OTHER_FILES: list[pl.Expr] = [
    site == "site_0286",
    site.str.ends_with("6"),
    ~(site == "site_0285"),
    pl.col("date") > dt.date(2021, 1, 1),
    pl.col("site_id") == 286,
    start > dt.datetime(2021, 2, 1, tzinfo=dt.UTC),
    (local > dt.datetime(2021, 2, 1)) & (channel == 0),  # noqa: DTZ001 - a wall clock
]


def lose(path: Path) -> None:
    """Delete a file."""
    path.unlink()


def truncate(path: Path) -> None:
    """Cut a file off."""
    path.write_bytes(path.read_bytes()[:-10])


def spoil(path: Path) -> None:
    """Overwrite a file's end."""
    path.write_bytes(path.read_bytes()[:-500] + bytes(500))


def swap(path: Path) -> None:
    """Put a sound file of fewer rows there."""
    pl.read_parquet(path, hive_partitioning=False).head(1).write_parquet(path)


@pytest.mark.parametrize("damage", [lose, truncate, spoil, swap])
def test_files_that_a_filter_excludes_are_not_opened(
    dataset: Path, damage: Callable[[Path], None]
) -> None:
    """What is missing or damaged elsewhere does not matter; where it does, the error names it."""
    answers = [plain(dataset).filter(test).collect() for test in OTHER_FILES]
    path = one_file(dataset)
    damage(path)
    scan = a20_parquet.scan(dataset)
    for test, answer in zip(OTHER_FILES, answers, strict=True):
        assert_frame_equal(scan.filter(test).collect(), answer)
    assert len(scan.select("site").collect()) > len(answers[0])
    for query in (scan, scan.select("filename"), scan.filter(channel == 0)):
        for engine in ENGINES:
            with pytest.raises(DatasetError) as caught:
                query.collect(engine=engine)
            assert str(path) in str(caught.value)


def test_other_files_do_not_count(dataset: Path) -> None:
    """What a dead append has left in ``data/`` is not the dataset's."""
    expected = plain(dataset).collect()
    path = one_file(dataset)
    shutil.copy(path, path.with_name("part-0001.parquet"))
    (dataset / "data" / "site=site_0001").mkdir()
    (dataset / "data" / "site=site_0001" / "junk.txt").write_text("junk")
    assert_frame_equal(a20_parquet.scan(dataset).collect(), expected)


@pytest.mark.parametrize(
    "name", ["a b", "[x]", "a*", "k=v", "50%20", "it's", 'say "a"', "?", "ü", "{x}", "#1"]
)
def test_odd_paths(datasets: dict[str, Path], tmp_path: Path, name: str) -> None:
    """No character of a path is taken for a pattern or an escape."""
    dataset = Path(shutil.copytree(datasets["site,date usual"], tmp_path / name / "dataset"))
    expected = expected_frame(QUERIES["all"], datasets["site,date usual"], "in-memory")
    for place in (dataset, str(dataset)):
        assert_frame_equal(a20_parquet.scan(place).collect(), expected)
    head = a20_parquet.scan(dataset).filter(channel == 1).head(3).collect()
    assert_frame_equal(head, expected.filter(channel == 1).head(3))


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


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
def test_who_wants_no_more_hears_nothing(datasets: dict[str, Path]) -> None:
    """A query that stops early, with most of the dataset unread, leaves no word on stderr."""
    code = (
        "import sys, a20_parquet, polars as pl\n"
        "from a20_parquet.query.window_query import WindowQuery\n"
        "WindowQuery.__init__.__kwdefaults__['batch_bytes'] = 2500\n"
        "scan = a20_parquet.scan(sys.argv[1])\n"
        "for engine in ('in-memory', 'streaming'):\n"
        "    for query in (scan.head(2), scan.filter(pl.col('channel') == 0).head(2)):\n"
        "        print(len(query.collect(engine=engine)))\n"
        "print('tensorflow' in sys.modules)\n"
    )
    result = run(code, datasets["site tiny"])
    assert result.stderr == ""
    assert result.stdout.split() == ["2"] * 4 + ["False"]


@pytest.mark.slow
def test_few_files_are_open_at_a_time(tmp_path: Path) -> None:
    """Hundreds of small files in one batch: not all of them can be open at once."""
    records = [
        make_record(random_tensor((1, 1, 4), day), NAMES[1], 86_400.0 * day) for day in range(300)
    ]
    write_shard(tmp_path / "in" / "a.tfrecord", records)
    a20_parquet.convert(tmp_path / "in", tmp_path / "out")
    code = (
        "import sys, resource, a20_parquet, polars as pl\n"
        "scan = a20_parquet.scan(sys.argv[1])\n"
        "channel = pl.col('channel')\n"
        "scan.head(1).collect()\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n"
        "print(len(scan.collect()), len(scan.head(299).collect()))\n"
        "print(len(scan.filter(channel == 0).collect()), len(scan.select('filename').collect()))\n"
        "print(len(a20_parquet.similar(sys.argv[1], [1.0] * 4, top=300)))\n"
    )
    result = run(code, tmp_path / "out")
    assert result.stdout.split() == ["300", "299", "300", "300", "300"], result.stderr

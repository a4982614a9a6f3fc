"""``scan`` opens only the files that it must, under any path, and few at a time."""

import datetime as dt
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import a20_parquet
from a20_parquet.errors import DatasetError
from tests.helpers.recordings import NAMES, write_recordings
from tests.helpers.shards import make_record, random_tensor, write_shard

channel, site = pl.col("channel"), pl.col("site")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By site and date."""
    root = tmp_path_factory.mktemp("whole")
    a20_parquet.convert(write_recordings(root / "in"), root / "out")
    return root / "out"


@pytest.fixture
def dataset(whole: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "dataset"))


def plain(dataset: Path) -> pl.LazyFrame:
    """The dataset as a user of polars alone opens it."""
    return pl.scan_parquet(dataset / "data", hive_partitioning=True)


def one_file(dataset: Path) -> Path:
    """A file of site 285."""
    return min(dataset.glob("data/site=site_0285/**/*.parquet"))


OTHER_FILES: list[pl.Expr] = [
    site == "site_0286",
    site.str.ends_with("6"),
    ~(site == "site_0285"),
    pl.col("date") > dt.date(2021, 1, 1),
    pl.col("site_id") == 286,
    pl.col("window_start") > dt.datetime(2021, 2, 1, tzinfo=dt.UTC),
    (pl.col("window_start_local") > dt.datetime(2021, 2, 1))  # noqa: DTZ001 - a wall clock
    & (channel == 0),
]


DAMAGE: dict[str, Callable[[Path], object]] = {
    "lost": Path.unlink,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "overwritten": lambda path: path.write_bytes(path.read_bytes()[:-500] + bytes(500)),
    "of fewer rows": lambda path: (
        pl.read_parquet(path, hive_partitioning=False).head(1).write_parquet(path)
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_files_that_a_filter_excludes_are_not_opened(
    dataset: Path, damage: Callable[[Path], object]
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
        for engine in ("in-memory", "streaming"):
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
def test_odd_paths(whole: Path, tmp_path: Path, name: str) -> None:
    """No character of a path is taken for a pattern or an escape."""
    dataset = Path(shutil.copytree(whole, tmp_path / name / "dataset"))
    expected = plain(whole).collect()
    for place in (dataset, str(dataset)):
        assert_frame_equal(a20_parquet.scan(place).collect(), expected)
    head = a20_parquet.scan(dataset).filter(channel == 1).head(3).collect()
    assert_frame_equal(head, expected.filter(channel == 1).head(3))


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
def test_who_wants_no_more_hears_nothing(whole: Path, tmp_path: Path) -> None:
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
    dataset = tmp_path / "out"
    a20_parquet.convert(whole.parent / "in", dataset, partition_by="site", row_group_rows=2)
    result = run(code, dataset)
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

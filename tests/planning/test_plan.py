"""``a20-parquet plan`` beside the conversions that it plans."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import a20_parquet
from a20_parquet.cli import main as cli
from a20_parquet.conversion.embeddings import choose_embeddings
from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.errors import SourceError, UsageError
from a20_parquet.planning import archive
from a20_parquet.planning.plan import SAMPLED_RECORDS
from a20_parquet.progress import NoProgress
from a20_parquet.windows.partition import PartitionBy
from tests.helpers.disks import Disk
from tests.helpers.shards import make_record, random_tensor, write_shard

SITES, DAYS, RECORDS = 6, 20, 600
NAME = "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five shards of records from 6 sites and 20 days at random, 3 windows of 640 floats each."""
    folder = tmp_path_factory.mktemp("planned")
    draw = np.random.default_rng(5)
    names = [
        f"site_{site:04d}/202010{1 + day:02d}T080000+1000_Arkaba-Dry-A_{site}.flac"
        for site, day in zip(
            draw.integers(0, SITES, RECORDS), draw.integers(0, DAYS, RECORDS), strict=True
        )
    ]
    for shard in range(5):
        records = [
            make_record(random_tensor((3, 1, 640), number), names[number], 60.0 * number)
            for number in range(shard, RECORDS, 5)
        ]
        write_shard(folder / f"embeddings-{shard:05d}-of-00005", records)
    return folder


@pytest.mark.parametrize("by", PartitionBy)
def test_a_sample_of_everything_forecasts_exactly(shards: Path, tmp_path: Path, by: str) -> None:
    """What was all read is all known; bytes of files are near."""
    plan = a20_parquet.plan(shards, partition_by=by, memory="50MB", workers=2)
    conversion = a20_parquet.convert(shards, tmp_path / "out", partition_by=by, decoder="wire")
    sizes = pq.read_table(tmp_path / "out" / "files.parquet").column("bytes").to_pylist()
    found, totals = plan.forecast, conversion.totals
    assert found.shards == totals.shards
    assert found.shard_bytes == conversion.source_bytes
    assert (found.records, found.windows) == (totals.records, totals.windows)
    assert (found.sites.number, found.sites.error) == (totals.sites, 0.0)
    assert (found.key.partitions, found.key.files) == (totals.files, totals.files)
    assert found.key.bytes == pytest.approx(totals.bytes, rel=0.1)
    assert found.key.median_file_bytes == pytest.approx(np.median(sizes), rel=0.1)
    assert (found.sort.runs, found.scratch_bytes) == (0, 0)


def test_a_small_sample_is_near(shards: Path) -> None:
    """A tenth of the records, of all shards."""
    found = a20_parquet.plan(shards, sample=60).forecast
    assert (found.sampled_records, found.sampled_shards) == (60, 5)
    assert found.windows == pytest.approx(3 * RECORDS, rel=0.02)
    assert found.sites.number == SITES
    assert 40 <= found.key.partitions <= SITES * DAYS
    assert found.key.error > 0
    one = a20_parquet.plan(shards, sample=1).forecast
    assert (one.sampled_records, one.sampled_shards) == (1, 1)
    assert one.shards == 5


def test_runs_are_those_of_a_conversion(tmp_path: Path) -> None:
    """Units, runs, ranges and bytes on scratch disk within a small budget."""
    records = [
        make_record(random_tensor((12, 1, 1280), number), timestamp_s=60.0 * number)
        for number in range(60)
    ]
    for shard in range(6):
        write_shard(tmp_path / "in" / f"a-{shard:05d}-of-00006", records[shard::6])
    budget = {"memory": "7MB", "workers": 1, "row_group_rows": 64}
    plan = a20_parquet.plan(tmp_path / "in", **budget)  # type: ignore[arg-type]
    done = a20_parquet.convert(tmp_path / "in", tmp_path / "out", decoder="wire", **budget)  # type: ignore[arg-type]
    assert plan.forecast.sort.runs == done.runs_on_disk > 0
    assert plan.forecast.scratch_bytes == pytest.approx(720 * (5120 + 200), rel=0.1)
    # Runs are put, the index last; each range reads a slice of each.
    assert plan.forecast.merge.slices == plan.forecast.merge.ranges * plan.forecast.sort.runs


def test_where_embeddings_are(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways are forecast, and the choice is that of a conversion, with its reason."""
    plan = a20_parquet.plan(shards, memory="50MB")
    found = plan.forecast
    located, copied = found.ways
    assert min(located.seconds, copied.seconds) > 0
    assert found.seconds == located.seconds
    assert (located.embeddings, copied.embeddings) == ("located", "copied")
    assert (located.scratch_bytes, copied.scratch_bytes) == (0, 0)
    assert located.read_bytes == 2 * copied.read_bytes == 2 * found.shard_bytes
    assert located.written_bytes == copied.written_bytes == found.key.bytes
    assert min(located.buffer_bytes, copied.buffer_bytes) > 0
    assert max(located.buffer_bytes, copied.buffer_bytes) <= 50_000_000
    assert found.embeddings == "located"
    assert "of memory free" in found.embeddings_reason
    assert any("as on this machine now" in text for text in plan.assumptions)
    asked = []

    def little_free() -> int:
        asked.append(1)
        return 2 * found.shard_bytes - 1

    monkeypatch.setattr(archive, "free_memory", little_free)
    for disk, where in (
        (Disk(seek_s=0.01, bytes_a_second=50e6), "copied"),
        (Disk(seek_s=0, bytes_a_second=500e6), "located"),
    ):
        choose = partial(choose_embeddings, measure_reads=disk.measure)
        monkeypatch.setattr(archive, "choose_embeddings", choose)
        asked.clear()
        plan = a20_parquet.plan(shards, rate=100.0)
        assert (plan.forecast.embeddings, plan.forecast.free_memory) == (
            where,
            2 * found.shard_bytes - 1,
        )
        assert "/s in sequence" in plan.forecast.embeddings_reason
        assert len(asked) == 1
    plan = a20_parquet.plan(shards, embeddings="located", rate=100.0)
    assert (plan.forecast.embeddings, plan.forecast.free_memory) == ("located", None)
    assert plan.forecast.embeddings_reason == "--embeddings located"
    assert not any("embeddings" in text for text in plan.assumptions)


def test_embeddings_on_a_cluster_are_copied(shards: Path) -> None:
    found = a20_parquet.plan(shards, memory="50MB", cluster=True).forecast
    assert [way.embeddings for way in found.ways] == ["copied"]
    assert found.embeddings == "copied"
    assert "with --dask" in found.embeddings_reason
    with pytest.raises(UsageError, match="located cannot be used with dask"):
        a20_parquet.plan(shards, embeddings="located", cluster=True)


def test_compressed_shards_are_copied(tmp_path: Path) -> None:
    record = make_record(random_tensor((3, 1, 8)))
    write_shard(tmp_path / "a-00000-of-00001", [record], "GZIP")
    found = a20_parquet.plan(tmp_path).forecast
    assert found.embeddings == "copied"
    assert "a shard is compressed" in found.embeddings_reason
    assert found.ways[0].scratch_bytes > 0


def test_options_of_a_conversion_count(shards: Path) -> None:
    """Only what would be taken is planned, with the columns and keys that were asked for."""
    every = a20_parquet.plan(shards).forecast
    one = a20_parquet.plan(shards, site=["site_0001"], partition_by="site").forecast
    assert (one.sites.number, one.key.partitions) == (1, 1)
    assert 0 < one.windows < every.windows
    split = a20_parquet.plan(shards, partition_by="site", max_file_size="200kB").forecast
    assert split.key.files > split.key.partitions == SITES


def test_a_cluster_keeps_nothing_in_memory(shards: Path) -> None:
    """Each of its workers has the memory for itself, and writes runs."""
    found = a20_parquet.plan(shards, memory="50MB", workers=7, cluster=True, rate=100.0).forecast
    assert (found.workers, found.memory) == (7, 50_000_000)
    assert found.sort.runs > 0
    assert found.seconds == pytest.approx(found.shard_bytes / 100e6 / 7)


def test_small_files_are_advised_against(shards: Path) -> None:
    """Every key makes files far below 1 MB here, so the coarsest is advised, and why."""
    advice = {each.option: each for each in a20_parquet.plan(shards).advice}
    assert list(advice) == ["--partition-by", "--memory", "--workers"]
    assert advice["--partition-by"].value == "site"
    assert f"{SITES} files, half over" in advice["--partition-by"].reason
    assert "all but the embeddings stays in memory" in advice["--memory"].reason
    copied = {each.option: each for each in a20_parquet.plan(shards, embeddings="copied").advice}
    assert "all windows stay in memory" in copied["--memory"].reason
    parsed = ConvertOptions.parse({"memory": advice["--memory"].value})
    assert parsed.memory > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sample": 0}, r"^sample is 0"),
        ({"rate": 0.0}, r"^rate is 0.0"),
        ({"memory": "1MB"}, r"^memory 1000000 is too little"),
    ],
)
def test_options_that_make_no_sense(shards: Path, options: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        a20_parquet.plan(shards, **options)  # type: ignore[arg-type]


def test_nothing_to_convert(tmp_path: Path, shards: Path) -> None:
    """Records without a site, or none that is wanted, are no plan."""
    record = make_record(random_tensor((3, 1, 8)), "tests/100sec.wav")
    write_shard(tmp_path / "a-00000-of-00001", [record])
    with pytest.raises(SourceError, match="can be converted"):
        a20_parquet.plan(tmp_path)
    assert a20_parquet.plan(tmp_path, unknown_site="here").forecast.windows == 3
    for sources in (shards, [tmp_path, shards]):
        with pytest.raises(
            SourceError, match=r"shards has a window in the selection\. Select other"
        ):
            a20_parquet.plan(sources, site=["site_0999"], dims=640)


def test_the_command_fits_a_screen(shards: Path) -> None:
    """At most 30 lines of 120 columns, aligned, and ``--json`` the same numbers."""
    done = CliRunner().invoke(cli.cli, ["plan", str(shards), "--memory", "50MB", "--rate", "100"])
    lines = done.output.splitlines()
    assert done.exit_code == 0
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 120
    assert lines[0].startswith("5 shards, ")
    assert any("100 MB/s a worker (as given)" in line for line in lines)
    rows = [line for line in lines if line.lstrip().startswith("site,")]
    assert len({len(line) for line in rows}) == 1
    assert "embeddings  located: " in done.output
    chosen = ["plan", str(shards), "--embeddings", "copied"]
    assert "copied: --embeddings copied" in CliRunner().invoke(cli.cli, chosen).output
    printed = CliRunner().invoke(cli.cli, ["plan", str(shards), "--json"]).output
    assert json.loads(printed)["forecast"]["embeddings"] == "located"
    assert len(json.loads(printed)["forecast"]["ways"]) == 2
    assert json.loads(printed)["forecast"]["shards"] == 5
    assert [row["partition_by"] for row in json.loads(printed)["forecast"]["keys"]] == [
        by.value for by in PartitionBy
    ]


def test_the_command_reads_as_many_records_as_the_function() -> None:
    options = {option.name: option for option in cli.cli.commands["plan"].params}
    assert options["sample"].default == SAMPLED_RECORDS


def _gzip(folder: Path, records: list[bytes]) -> None:
    for shard in range(4):
        write_shard(folder / f"a-{shard:05d}-of-00004", records[shard::4], "GZIP")


def _half_gzip(folder: Path, records: list[bytes]) -> None:
    for shard in range(4):
        path = folder / f"a-{shard:05d}-of-00004"
        write_shard(path, records[shard::4], "GZIP" if shard % 2 else "")


def _long(folder: Path, records: list[bytes]) -> None:
    long = [
        make_record(random_tensor((300, 1, 1280), number), NAME, 10_000.0 + 1500 * number)
        for number in range(3)
    ]
    for shard in range(4):
        write_shard(folder / f"a-{shard:05d}-of-00004", [*records[shard::4], *long[:shard]])


@pytest.mark.parametrize("embeddings", ["located", "copied"])
@pytest.mark.parametrize("memory", ["8MB", "200MB"])
@pytest.mark.parametrize("write", [_gzip, _half_gzip, _long])
def test_what_is_copied_of_located_shards(
    tmp_path: Path,
    write: Callable[[Path, list[bytes]], None],
    memory: str,
    embeddings: str,
) -> None:
    """Compressed shards and long records make the runs and scratch that are forecast."""
    records = [
        make_record(random_tensor((12, 1, 1280), number), NAME, 60.0 * number)
        for number in range(64)
    ]
    write(tmp_path / "in", records)
    options: Any = {"memory": memory, "workers": 1, "row_group_rows": 64, "embeddings": embeddings}
    found = a20_parquet.plan(tmp_path / "in", rate=100.0, **options).forecast
    sizes = []

    class Watch(NoProgress):
        def start(self, name: str, total_bytes: int) -> None:
            del total_bytes
            if name == "writing Parquet":
                files = (tmp_path / "scratch").rglob("run-*")
                sizes.append(sum(path.stat().st_size for path in files))

    done = a20_parquet.convert(
        tmp_path / "in",
        tmp_path / "out",
        decoder="wire",
        scratch=tmp_path / "scratch",
        progress=Watch(),
        **options,
    )
    # A run more or less, where the last windows just fit or do not.
    assert found.sort.runs == pytest.approx(done.runs_on_disk, abs=1 + done.runs_on_disk // 10)
    assert found.scratch_bytes == pytest.approx(sizes[0], rel=0.1)

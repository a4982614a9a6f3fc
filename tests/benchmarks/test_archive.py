"""Simulated archives: their plans, their walks, and the table of forecast and outcome."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.planning.forecast import forecast, memory_plan
from a20_parquet.planning.speeds import Speeds
from a20_parquet.windows.partition import PartitionBy
from benchmarks import archive
from benchmarks import forecast as comparison
from benchmarks.simulated import Simulated, draw_runs
from tests.benchmarks.made import Made

pytestmark = pytest.mark.slow

SMALL = Simulated(shards=60, shard_bytes=6_170_000, sites=12, days=50)
MEMORY = "30MB"


@pytest.mark.parametrize("by", ["site,date", "site,month"])
def test_a_simulation_is_what_the_planner_forecasts(by: str) -> None:
    """Runs, ranges and slices of drawn partitions beside those of the arithmetic."""
    options = ConvertOptions.parse(
        {"partition_by": by, "memory": MEMORY, "workers": 1, "row_group_rows": 256}
    )
    figures = archive.simulate(SMALL, options, 2)
    found = forecast(SMALL.archive(options), options, Speeds.of_rate(1e8), cluster=True)
    assert figures.runs == found.sort.runs > 10
    assert figures.partitions == found.key.partitions
    assert figures.ranges == pytest.approx(found.merge.ranges, abs=1, rel=0.2)
    assert figures.slices == pytest.approx(found.merge.slices, rel=0.2)
    assert figures.slice_bytes[0] <= figures.slice_bytes[1] <= figures.slice_bytes[2]
    assert figures.metadata_reads >= figures.slices * 0.9
    assert figures.embedding_reads >= figures.slices * 0.9


def test_drawn_runs_hold_all_records_and_are_the_same_each_time() -> None:
    """Each record of the archive is in one run."""
    options = ConvertOptions.parse({"memory": MEMORY, "workers": 1, "row_group_rows": 256})
    found = SMALL.archive(options)
    runs = draw_runs(SMALL, found, memory_plan(found, options, cluster=True))
    assert sum(int(run.partitions.rows.sum()) for run in runs) == found.volume.windows
    np.testing.assert_array_equal(runs[0].partitions.rows, runs[0].partitions.rows)
    assert len(runs[0].partitions) <= 12 * 50


def test_the_command_prints_plans_and_simulations() -> None:
    """A budget that does not suffice is told, and the others go on."""
    small = ["--shards", "60", "--shard-size", "6MB", "--sites", "12", "--days", "50"]
    budgets = ["--memory", "1MB", "--memory", "100MB"]
    done = CliRunner().invoke(archive.main, [*small, *budgets])
    assert done.exit_code == 0
    assert "is too little" in done.output
    assert "reads of embeddings" in done.output
    plans = CliRunner().invoke(archive.main, [*small, "--memory", "100MB", "--plan"])
    assert "recommended" in plans.output


def test_forecast_and_outcome_stand_side_by_side(made: Made, tmp_path: Path) -> None:
    """A sample of everything is exact; a table has a line a figure."""
    found = comparison.compare(
        made.folder,
        tmp_path,
        10_000,
        memory="10MB",
        workers=1,
        row_group_rows=64,
        partition_by=PartitionBy.SITE_DATE,
    )
    off = {each.figure: each.off for each in found}
    for figure in ("records", "windows", "sites", "runs", "partitions", "files"):
        assert off[figure] == 0, figure
    for figure in ("bytes on scratch", "bytes of all files", "bytes of the median file"):
        assert abs(off[figure]) < 0.05, figure
    assert comparison.summary("made", found).row_count == len(found)

"""Figures that follow from runs."""

import io
import json

import pytest

from benchmarks import memory, run, stages
from benchmarks.queries import same
from benchmarks.runs import median_wall_s, output_ratio, peak_bytes, save, times_as_fast
from tests.benchmarks.made import make_run

pytestmark = pytest.mark.slow

RUNS = [
    make_run("slow", 10.0, 0),
    make_run("fast", 2.0, 0),
    make_run("slow", 30.0, 1),
    make_run("fast", 3.0, 1),
    make_run("slow", 12.0, 2),
    make_run("fast", 2.0, 2),
]


def test_each_repetition_is_compared_with_itself() -> None:
    """The median of 5, 10 and 6, not the ratio of the medians 12 and 2."""
    more = [*RUNS, make_run("slow", 99.0, 3), make_run("fast", 1.0, 3, error="exit code 1: no")]
    assert times_as_fast(more, "fast", "slow") == pytest.approx(6.0)
    assert times_as_fast(more, "slow", "fast") == pytest.approx(1 / 6)
    assert times_as_fast(more, "fast", "nobody") is None


def test_runs_that_failed_count_for_nothing() -> None:
    failed = [make_run("broken", 1.0, error="exit code 1: no")]
    assert median_wall_s(failed, "broken") is None
    assert peak_bytes(failed, "broken") is None
    assert output_ratio([*RUNS, *failed], "broken", "fast") is None


def test_the_peak_is_the_largest_and_sizes_are_medians() -> None:
    runs = [
        make_run("a", 1.0, i, peak_rss_bytes=peak, output_bytes=size)
        for i, (peak, size) in enumerate([(5, 80), (9, 20), (7, 30)])
    ]
    assert peak_bytes(runs, "a") == 9
    assert output_ratio([*runs, make_run("b", output_bytes=60)], "a", "b") == pytest.approx(0.5)


def test_a_larger_input_takes_so_many_times_as_long() -> None:
    runs = [
        make_run("a", wall_s, repetition, source=source)
        for repetition, pair in enumerate([(2.0, 8.0), (3.0, 15.0), (4.0, 16.0)])
        for source, wall_s in zip(("small", "large"), pair, strict=True)
    ]
    assert memory.time_ratio(runs, "a", "large", "small") == pytest.approx(4.0)
    assert memory.time_ratio(runs, "b", "large", "small") is None


def test_a_stage_has_a_rate_by_wall_and_by_cpu_time() -> None:
    result = {"seconds": 2.0, "cpu_seconds": 4.0, "bytes": 100}
    runs = [make_run("frame, 2", result=result)]
    assert stages.rate(runs[0]) == pytest.approx(50.0)
    assert stages.median_rate(runs, "frame, 2") == pytest.approx(25.0)
    assert stages.median_rate(runs, "frame, 1") is None


def test_saved_runs_are_lines_of_json() -> None:
    file = io.StringIO()
    for each in RUNS:
        save(each, file)
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert [line["measured"]["wall_s"] for line in lines] == [10.0, 2.0, 30.0, 3.0, 12.0, 2.0]


def test_tables_have_a_line_for_each_name_and_tell_failures() -> None:
    runs = [*RUNS, make_run("broken", error="exit code 1: no")]
    assert run.summary(runs).row_count == 3
    assert list(run.summary(runs).columns[1].cells) == ["12.00", "2.00", "exit code 1: no"]
    assert list(memory.summary(runs, 5).columns[2].cells) == ["0", "0", "exit code 1: no"]
    failed = [make_run("frame, 1", error="exit code 1: no")]
    assert list(stages.summary(failed).columns[1].cells) == ["exit code 1: no"]


def test_answers_may_differ_by_rounding_only() -> None:
    assert same([3, 3])
    assert not same([3, 4])
    assert same([[1.0, 0.5], [1.0, 0.5000001]])
    assert not same([[1.0, 0.5], [1.0, 0.6]])
    assert not same([[1.0, 0.5], [1.0]])

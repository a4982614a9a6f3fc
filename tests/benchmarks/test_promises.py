"""Promised figures are judged by runs."""

import pytest

from benchmarks.names import DECODERS
from benchmarks.promises import (
    STAGE,
    Measurements,
    Promise,
    budget_names,
    promises,
    small_names,
    usual_names,
)
from benchmarks.stages import stage_name
from tests.benchmarks.made import make_run

pytestmark = pytest.mark.slow


def measurements(*, seconds: float = 1.0, large_s: float = 4.0, peak: int = 900) -> Measurements:
    """The program takes so long, all others 20 s, and ``cp`` 0.6 s; sizes are in bytes."""

    def wall_s(name: str) -> float:
        return 0.6 if name == "cp" else seconds if name.startswith(("a20", "npy")) else 20.0

    million = 1_000_000
    result = {"seconds": 1.0, "cpu_seconds": 2.0, "bytes": 3_000 * million}
    return Measurements(
        usual=[
            make_run(name, wall_s(name), output_bytes=40 if name.startswith("a20") else 50)
            for name in usual_names()
        ],
        small=[make_run(name, wall_s(name)) for name in small_names()],
        budget=[
            make_run(name, s, source=source, input_bytes=size, peak_rss_bytes=peak * million)
            for name in budget_names()
            for source, size, s in (("2 GB", 2, 1.0), ("8 GB", 8, large_s))
        ],
        budget_bytes=500 * million,
        stages=[
            make_run(stage_name(STAGE, 1), input_bytes=int(result["bytes"]), result=result),
        ],
    )


def test_all_promises_can_be_kept() -> None:
    found = {promise.judge(measurements()) for promise in promises()}
    assert all(verdict.is_kept for verdict in found)
    assert len(found) == 17


def test_a_slow_program_keeps_only_what_is_not_about_its_speed() -> None:
    kept = {
        verdict.figure
        for promise in promises()
        if (verdict := promise.judge(measurements(seconds=100.0))).is_kept
    }
    about = ("input beyond the budget", "wire stage alone", "zstd, size")
    assert all(any(part in figure for part in about) for figure in kept)
    assert len(kept) == 7


def test_memory_and_time_beyond_the_budget_are_bounded() -> None:
    verdicts = [
        verdict
        for promise in promises()
        if not (verdict := promise.judge(measurements(large_s=5.0, peak=1_200))).is_kept
    ]
    assert [(verdict.figure.partition(",")[2], verdict.measured) for verdict in verdicts] == [
        (" tensorflow, x the time of a quarter of it", 5.0),
        (" wire, x the time of a quarter of it", 5.0),
        (" wire, MB of memory on top", 700.0),
    ]


def test_a_promise_whose_runs_are_missing_is_not_kept() -> None:
    nothing = [make_run("nobody")]
    missing = Measurements(
        usual=nothing, small=nothing, budget=nothing, budget_bytes=1, stages=nothing
    )
    verdicts = [promise.judge(missing) for promise in promises()]
    assert all(verdict.measured is None and not verdict.is_kept for verdict in verdicts)


@pytest.mark.parametrize(
    ("least", "most", "is_kept"),
    [(2, None, True), (None, 2, True), (3, None, False), (None, 1, False)],
)
def test_a_bound_is_itself_allowed(
    least: float | None, most: float | None, *, is_kept: bool
) -> None:
    promise = Promise(figure="f", unit="u", measure=lambda _: 2.0, least=least, most=most, goal=9)
    verdict = promise.judge(measurements())
    assert verdict.is_kept is is_kept
    assert verdict.promised.endswith("(goal 9)")


def test_every_decoder_is_held_to_its_own_memory() -> None:
    about_memory = [each for each in promises() if each.unit == "MB of memory on top"]
    assert [each.most for each in about_memory] == [1200, 600]
    assert len(about_memory) == len(DECODERS)

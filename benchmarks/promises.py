"""Promised speed and memory, each computed from runs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.memory import time_ratio
from benchmarks.names import DECODERS, convert_name, npy_json_name
from benchmarks.runs import Run, good, output_ratio, peak_bytes, times_as_fast
from benchmarks.stages import median_rate, stage_name

STAGE = "frame_decode_wire"
_LIBRARIES_BYTES = {"tensorflow": 1_200_000_000, "wire": 600_000_000}
_RIVALS = ("notebook", "write_dataset_site", "polars_site")
_ZSTD_RIVAL = "polars_site_zstd"
_DATE_RIVAL = "write_dataset_site_date"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """All runs that the promises are about."""

    usual: Sequence[Run]
    """Of partitions by site and date of 430 KB each."""
    small: Sequence[Run]
    """Of partitions of 100 KB."""
    budget: Sequence[Run]
    """Of a small and a large input, within one budget."""
    budget_bytes: int
    stages: Sequence[Run]


class Verdict(NamedTuple):
    """A promise beside what was measured."""

    figure: str
    measured: float | None
    """None where a run that it needs failed."""
    promised: str
    is_kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One figure and its bound."""

    figure: str
    unit: str
    measure: Callable[[Measurements], float | None] = field(repr=False)
    least: float | None = None
    most: float | None = None
    goal: float | None = None
    """Better than promised."""

    def judge(self, measurements: Measurements) -> Verdict:
        """Compares what was measured with what was promised."""
        found = self.measure(measurements)
        bound = f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"
        goal = "" if self.goal is None else f" (goal {self.goal:g})"
        is_kept = found is not None and (
            (self.least is None or found >= self.least)
            and (self.most is None or found <= self.most)
        )
        return Verdict(f"{self.figure}, {self.unit}", found, f"{bound}{goal}", is_kept)


def usual_names() -> list[str]:
    """The contenders that the promises about partitions of 430 KB need."""
    program = [
        convert_name(keys, decoder, compression)
        for decoder in DECODERS
        for keys, compression in (("site", "none"), ("site_date", "none"), ("site", "zstd"))
    ]
    npy_json = [npy_json_name(decoder) for decoder in DECODERS]
    return ["cp", *_RIVALS, _ZSTD_RIVAL, _DATE_RIVAL, *program, *npy_json]


def small_names() -> list[str]:
    """The contenders that the promises about partitions of 100 KB need."""
    return [_DATE_RIVAL, *(convert_name("site_date", decoder) for decoder in DECODERS)]


def budget_names() -> list[str]:
    """The conversions of inputs beyond the budget."""
    return [convert_name("site_date", decoder) for decoder in DECODERS]


def promises() -> Iterator[Promise]:
    """All promises, in the order in which they are told."""
    tensorflow, wire = (convert_name("site", decoder) for decoder in DECODERS)
    yield _faster("convert by site, tensorflow", tensorflow, "notebook", least=2)
    yield Promise(
        figure="convert by site, tensorflow",
        unit="x the fastest other converter",
        measure=lambda of: _of_fastest(of.usual, tensorflow, _RIVALS),
        least=1,
    )
    yield _faster("convert by site, wire", wire, "notebook", least=4)
    yield _faster("convert by site, wire", wire, "cp", least=0.25, goal=0.5)
    wire_date = convert_name("site_date", "wire")
    yield _faster("convert by site,date, 430 KB, wire", wire_date, _DATE_RIVAL, least=2, goal=3)
    yield Promise(
        figure="convert by site,date, 100 KB, wire",
        unit=f"x {_DATE_RIVAL}",
        measure=lambda of: times_as_fast(of.small, wire_date, _DATE_RIVAL),
        least=2,
        goal=3,
    )
    for decoder in DECODERS:
        yield from _within_budget(decoder)
    yield Promise(
        figure="wire stage alone, CRC checked",
        unit="GB/s a core",
        measure=lambda of: _per_gb(median_rate(of.stages, stage_name(STAGE, 1))),
        least=1.5,
    )
    for decoder, least in zip(DECODERS, (2, 8), strict=True):
        yield _faster(f"npy-json, {decoder}", npy_json_name(decoder), "notebook", least=least)
    for decoder in DECODERS:
        name = convert_name("site", decoder, "zstd")
        yield _faster(f"convert by site, {decoder}, zstd", name, _ZSTD_RIVAL, least=1.3, goal=2)
        yield _smaller(f"convert by site, {decoder}, zstd", name)


def _faster(
    figure: str, name: str, other: str, *, least: float, goal: float | None = None
) -> Promise:
    return Promise(
        figure=figure,
        unit=f"x {other}",
        measure=lambda of: times_as_fast(of.usual, name, other),
        least=least,
        goal=goal,
    )


def _smaller(figure: str, name: str) -> Promise:
    return Promise(
        figure=figure,
        unit=f"size beside {_ZSTD_RIVAL}",
        measure=lambda of: output_ratio(of.usual, name, _ZSTD_RIVAL),
        most=1,
    )


def _within_budget(decoder: str) -> Iterator[Promise]:
    name = convert_name("site_date", decoder)

    def slower(of: Measurements) -> float | None:
        small, large = _ends(of.budget)
        return time_ratio(of.budget, name, large, small)

    def beyond(of: Measurements) -> float | None:
        peak = peak_bytes(of.budget, name)
        return None if peak is None else (peak - of.budget_bytes) / 1e6

    figure = f"input beyond the budget, {decoder}"
    yield Promise(figure=figure, unit="x the time of a quarter of it", measure=slower, most=4.4)
    most_mb = _LIBRARIES_BYTES[decoder] / 1e6
    yield Promise(figure=figure, unit="MB of memory on top", measure=beyond, most=most_mb)


def _ends(runs: Sequence[Run]) -> tuple[str, str]:
    """The smallest and the largest input."""
    by_size = sorted(runs, key=lambda run: run.input_bytes)
    return by_size[0].source, by_size[-1].source


def _of_fastest(runs: Sequence[Run], name: str, rivals: Sequence[str]) -> float | None:
    """Times as fast as the rival against which it is slowest; none where one has no runs."""
    if not all(good(runs, rival) for rival in rivals):
        return None
    ratios = [times_as_fast(runs, name, rival) for rival in rivals]
    known = [ratio for ratio in ratios if ratio is not None]
    return min(known) if len(known) == len(rivals) else None


def _per_gb(rate: float | None) -> float | None:
    return None if rate is None else rate / 1e9

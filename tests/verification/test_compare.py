"""Naming the windows in which two sides differ."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.verification import compare as compare_module
from a20_parquet.verification.compare import Difference, FingerprintSink, Side, find_differences
from a20_parquet.windows.fingerprint import BlockSink, WindowBlock


@dataclass(frozen=True)
class Window:
    """One window, made by hand."""

    name: str
    value: float
    origin: str
    record: int | None = None


class GivenSide:
    """Windows that are handed out in blocks of three, and how often."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.windows = windows
        self.passes: list[str] = []

    def scan(self, name: str, sink: BlockSink) -> None:
        """Hand all windows to a sink."""
        self.passes.append(name)
        for origin in sorted({window.origin for window in self.windows}):
            mine = [window for window in self.windows if window.origin == origin]
            for start in range(0, len(mine), 3):
                sink(origin, block_of(mine[start : start + 3]))


def block_of(windows: Sequence[Window]) -> WindowBlock:
    """Windows as a side hands them out; those of a dataset have no record."""
    columns = {
        "filename": pa.array([window.name for window in windows]),
        "recording_offset_in_file": pa.array([5.0] * len(windows)),
        "channel": pa.array([1] * len(windows), pa.int16()),
    }
    if windows[0].record is not None:
        columns["record"] = pa.array([window.record for window in windows], pa.int64())
    embeddings = np.array([[window.value, 0] for window in windows], np.float32)
    return WindowBlock(pa.RecordBatch.from_pydict(columns), embeddings)


def compare(
    shards: GivenSide, dataset: GivenSide, *, as_sets: bool = False, round_windows: int = 1 << 21
) -> Difference:
    """Compare two sides, fingerprints first."""
    sinks = FingerprintSink(), FingerprintSink()
    shards.scan("reading shards", sinks[0])
    dataset.scan("checking files", sinks[1])
    one, other = (
        Side(fingerprint=sink.fingerprint, scan=side.scan)
        for sink, side in zip(sinks, (shards, dataset), strict=True)
    )
    return find_differences(one, other, as_sets=as_sets, round_windows=round_windows)


def lines(difference: Difference) -> list[str]:
    """What differs, a line each."""
    assert (difference.unnamed, difference.groups_left) == (0, 0)
    return [str(problem) for problem in difference.problems]


def test_equal_sides_are_read_once() -> None:
    """No further pass is needed where nothing differs."""
    shards = GivenSide([Window("a", 1, "s", 0), Window("b", 2, "t", 0)])
    dataset = GivenSide([Window("b", 2, "f"), Window("a", 1, "f")])
    assert lines(compare(shards, dataset)) == []
    assert shards.passes == ["reading shards"]
    assert dataset.passes == ["checking files"]


CASES: list[tuple[list[Window], list[Window], list[str]]] = [
    ([Window("a", 1, "s", 4)], [], ["s: record 4: a@5 channel 1 is not in the dataset"]),
    ([], [Window("a", 1, "f")], ["f: a@5 channel 1 is not in the shards"]),
    (
        [Window("a", 0.0, "s", 4)],
        [Window("a", -0.0, "f")],
        ["s: record 4: a@5 channel 1 differs from the one in f"],
    ),
    (
        [Window("a", 1, "s", 4), Window("a", 1, "t", 2)],
        [Window("a", 1, "f")],
        ["s: record 4: a@5 channel 1 is 2 times in the shards, 1 times in the dataset"],
    ),
    (
        [Window("a", 1, "s", 4), Window("a", 2, "s", 5), Window("a", 3, "s", 6)],
        [Window("a", 1, "f"), Window("a", 2, "f")],
        ["s: record 6: a@5 channel 1 is not in the dataset"],
    ),
    (
        [Window("a", 1, "s", 4)],
        [Window("a", 1, "f"), Window("a", 2, "g")],
        ["g: a@5 channel 1 is not in the shards"],
    ),
]


@pytest.mark.parametrize(("shards", "dataset", "expected"), CASES)
def test_differences_are_named(
    shards: list[Window], dataset: list[Window], expected: list[str]
) -> None:
    """A window that is missing, too many, or another one is named with its place."""
    same = [Window(f"same {n}", n, "s", 10 + n) for n in range(20)]
    held = [Window(each.name, each.value, "f") for each in same]
    assert lines(compare(GivenSide([*same, *shards]), GivenSide([*dataset, *held]))) == expected


def test_repeats_may_be_dropped() -> None:
    """As sets, two sides are the same where identical windows come once; not where one lacks."""
    shards = [Window("a", 1, "s", 0), Window("a", 1, "s", 1), Window("b", 1, "s", 2)]
    dataset = [Window("a", 1, "f"), Window("b", 1, "f")]
    assert lines(compare(GivenSide(shards), GivenSide(dataset), as_sets=True)) == []
    assert len(lines(compare(GivenSide(shards), GivenSide(dataset)))) == 1
    found = lines(compare(GivenSide(shards), GivenSide(dataset[:1]), as_sets=True))
    assert found == ["s: record 2: b@5 channel 1 is not in the dataset"]


@settings(max_examples=10)
@given(rng=st.randoms(use_true_random=False))
def test_rounds_find_what_counting_finds(rng: random.Random) -> None:
    """However few windows a round may hold, every name that differs is told, and no other."""
    shards = [
        Window(f"n{rng.randrange(60)}", rng.randrange(2), rng.choice("st"), record)
        for record in range(80)
    ]
    kept = [Window(w.name, w.value, "f") for w in shards if rng.random() < 0.9]
    dataset = [*kept, *(Window(f"n{rng.randrange(70)}", 7, "f") for _ in range(rng.randrange(4)))]
    rng.shuffle(dataset)
    expected = set()
    for name in {window.name for window in (*shards, *dataset)}:
        counts = [Counter(w.value for w in side if w.name == name) for side in (shards, dataset)]
        if counts[0] != counts[1]:
            expected.add(name)
    for round_windows in (1, 7, 1000, 1 << 21):
        found = lines(compare(GivenSide(shards), GivenSide(dataset), round_windows=round_windows))
        assert {line.split("@")[0].rpartition(" ")[2] for line in found} == expected


def test_only_the_first_differences_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit windows of the same round are counted, and other groups are left."""
    windows = [Window(f"n{n}", n, "s", n) for n in range(100)]
    monkeypatch.setattr(compare_module, "MOST_PROBLEMS", 10)
    shards = GivenSide(windows)
    found = compare(shards, GivenSide([]))
    assert (len(found.problems), found.unnamed, found.groups_left) == (10, 90, 0)
    assert shards.passes == ["reading shards", "comparing shards", "naming windows"]
    found = compare(GivenSide(windows), GivenSide([]), round_windows=20)
    assert len(found.problems) == 10
    assert len(found.problems) + found.unnamed + found.groups_left == 100

"""Compares a dataset's windows with those of its shards, in bounded memory.

Each side is reduced to a fingerprint. If the two differ, both sides are read again for the hashes
of the windows in the buckets that differ, and once more for their names.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from a20_parquet.dataset.problem import MOST_PROBLEMS, Problem
from a20_parquet.windows.duplicates import WindowName, window_name
from a20_parquet.windows.fingerprint import (
    BUCKETS,
    BlockSink,
    Buckets,
    Fingerprint,
    HashDifference,
    Hashes,
    WindowBlock,
    window_hashes,
)

Scan: TypeAlias = Callable[[str, BlockSink], object]
"""Passes all windows of one side to a sink; the first argument is the pass's name in progress."""

Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Difference:
    """How a dataset's windows differ from those of its shards."""

    problems: tuple[Problem, ...]
    """The first ones, sorted by window."""
    unnamed: int = 0
    """Number of further windows that differ."""
    groups_left: int = 0
    """Number of further groups that differ and were not compared window by window."""


class FingerprintSink:
    """Adds windows to a fingerprint; thread-safe."""

    def __init__(self, features: Sequence[str] = ()) -> None:
        self.fingerprint = Fingerprint()
        self._features = features
        self._lock = Lock()

    def __call__(self, origin: str, block: WindowBlock) -> None:
        """Add the windows of a block."""
        del origin
        _, buckets, hashes = window_hashes(block, self._features)
        with self._lock:
            self.fingerprint.add(buckets, hashes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The windows of the shards, or those of the dataset."""

    fingerprint: Fingerprint
    scan: Scan


def find_differences(  # noqa: PLR0913 - what to compare, and how
    shards: Side,
    dataset: Side,
    features: Sequence[str] = (),
    *,
    as_sets: bool = False,
    in_part: bool = False,
    round_windows: int = 1 << 21,
) -> Difference:
    """Compare the windows in the buckets in which the two fingerprints differ.

    Args:
        shards: the windows of the shards.
        dataset: the windows of the dataset.
        features: names of the windows' further features.
        as_sets: whether the dataset may have one of several identical windows of the shards.
        in_part: whether the dataset was made from further shards too, so that it may have more
            windows.
        round_windows: windows to compare at a time, about.
    """
    found: list[HashDifference] = []
    left = 0
    counts = shards.fingerprint.counts
    buckets = dataset.fingerprint.differing(shards.fingerprint)
    if in_part:
        buckets = buckets[counts[buckets] > 0]
    for group in _groups(buckets, counts + dataset.fingerprint.counts, round_windows):
        if sum(map(len, found)) < MOST_PROBLEMS:
            among = np.zeros(BUCKETS, np.bool_)
            among[group] = True
            in_shards = _hashes(shards.scan, "comparing shards", among, features)
            in_dataset = _hashes(dataset.scan, "comparing files", among, features)
            found.append(HashDifference.of(in_shards, in_dataset, as_sets=as_sets, in_part=in_part))
        else:
            left += len(group)
    if not any(map(len, found)):
        return Difference(())
    differing = HashDifference.joined(found)
    first = differing.first(MOST_PROBLEMS)
    of_shards, of_dataset = (_by_name(side.scan, first, features) for side in (shards, dataset))
    problems = tuple(
        problem
        for name in sorted(of_shards.keys() | of_dataset.keys())
        for problem in _problems(name, of_shards[name], of_dataset[name])
    )
    return Difference(problems, len(differing) - len(first), left)


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """A window as one side has it."""

    origin: str
    """The shard's label, or the data file's path."""
    record: int | None
    """Its record's number in the shard; None in the dataset."""
    hash: bytes


def _order(found: _Occurrence) -> tuple[str, int]:
    return found.origin, -1 if found.record is None else found.record


def _hashes(scan: Scan, name: str, among: Mask, features: Sequence[str]) -> tuple[Buckets, Hashes]:
    """Return buckets and hashes of one side's windows in some buckets."""
    buckets: list[Buckets] = [np.empty(0, np.uint32)]
    hashes: list[Hashes] = [np.empty((0, 2), np.uint64)]
    lock = Lock()

    def sink(origin: str, block: WindowBlock) -> None:
        del origin
        _, of_block, hashes_of_block = window_hashes(block, features, among)
        with lock:
            buckets.append(of_block)
            hashes.append(hashes_of_block)

    scan(name, sink)
    return np.concatenate(buckets), np.concatenate(hashes)


def _by_name(
    scan: Scan, wanted: HashDifference, features: Sequence[str]
) -> defaultdict[WindowName, list[_Occurrence]]:
    """Return one side's windows with some hashes, by name."""
    found: defaultdict[WindowName, list[_Occurrence]] = defaultdict(list)
    among, contents = wanted.buckets(), wanted.hashes()
    lock = Lock()

    def sink(origin: str, block: WindowBlock) -> None:
        rows, _, hashes = window_hashes(block, features, among)
        has_record = "record" in block.metadata.schema.names
        for row, digest in zip(rows.tolist(), hashes, strict=True):
            content = digest.tobytes()
            if content in contents:
                record = block.metadata.column("record")[row].as_py() if has_record else None
                with lock:
                    found[window_name(block.metadata, row)].append(
                        _Occurrence(origin, record, content)
                    )

    scan("naming windows", sink)
    return found


def _groups(
    buckets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], most: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Divide buckets into groups of at most about ``most`` windows."""
    number = np.cumsum(counts[buckets]) // most
    for value in np.unique(number):
        yield buckets[number == value]


def _problems(
    name: WindowName, shards: list[_Occurrence], dataset: list[_Occurrence]
) -> Iterator[Problem]:
    """Yield the differences between all windows of one name that differ."""
    filename, offset_s, channel = name
    window = f"{filename}@{offset_s:.15g} channel {channel}"
    shards, dataset = sorted(shards, key=_order), sorted(dataset, key=_order)
    in_dataset, in_shards = ({each.hash for each in side} for side in (dataset, shards))
    missing = [each for each in shards if each.hash not in in_dataset]
    extra = [each for each in dataset if each.hash not in in_shards]
    for each in missing:
        text = f"differs from the one in {extra[0].origin}" if extra else "is not in the dataset"
        yield Problem(each.origin, f"record {each.record}: {window} {text}")
    for each in () if missing else extra:
        yield Problem(each.origin, f"{window} is not in the shards")
    if not missing and not extra:
        times = f"{len(shards)} times in the shards, {len(dataset)} times in the dataset"
        yield Problem(shards[0].origin, f"record {shards[0].record}: {window} is {times}")

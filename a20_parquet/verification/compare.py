"""Compares a dataset's windows with those of its shards, in bounded memory.

Each side is reduced to a fingerprint. If the two differ, both sides are read again for the hashes
of the windows in the buckets that differ, and once more for their names.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeAlias

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

_ROUND_WINDOWS = 1 << 21

Scan: TypeAlias = Callable[[str, BlockSink], None]
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
        """Add windows; their origin does not matter."""
        del origin
        _, buckets, hashes = window_hashes(block, self._features)
        with self._lock:
            self.fingerprint.add(buckets, hashes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Finds the windows in which two fingerprinted sides differ."""

    shards: Scan
    dataset: Scan
    features: tuple[str, ...] = ()
    """Names of the windows' further features."""
    as_sets: bool = False
    """Whether the dataset may have one of several identical windows of the shards."""
    in_part: bool = False
    """Whether the dataset was made from further shards too, so that extra windows are right."""

    def differences(self, shards: Fingerprint, dataset: Fingerprint) -> Difference:
        """Compare windows in the buckets in which the two fingerprints differ."""
        found: list[HashDifference] = []
        left = 0
        buckets = dataset.differing(shards)
        if self.in_part:
            buckets = buckets[shards.counts[buckets] > 0]
        for group in _groups(buckets, shards.counts + dataset.counts):
            if sum(map(len, found)) < MOST_PROBLEMS:
                found.append(self._compare(group))
            else:
                left += len(group)
        if not any(map(len, found)):
            return Difference(())
        differing = HashDifference.joined(found)
        named = differing.first(MOST_PROBLEMS)
        return Difference(self._name(named), len(differing) - len(named), left)

    def _compare(self, group: npt.NDArray[np.int64]) -> HashDifference:
        among = np.zeros(BUCKETS, np.bool_)
        among[group] = True
        in_shards = _HashSink(among, self.features)
        self.shards("comparing shards", in_shards)
        in_dataset = _HashSink(among, self.features)
        self.dataset("comparing files", in_dataset)
        return HashDifference.of(
            in_shards.found(), in_dataset.found(), as_sets=self.as_sets, in_part=self.in_part
        )

    def _name(self, differing: HashDifference) -> tuple[Problem, ...]:
        in_shards = _NameSink(differing, self.features)
        self.shards("naming windows", in_shards)
        in_dataset = _NameSink(differing, self.features)
        self.dataset("naming windows", in_dataset)
        names = sorted(in_shards.found.keys() | in_dataset.found.keys())
        return tuple(
            problem
            for name in names
            for problem in _problems(name, in_shards.found[name], in_dataset.found[name])
        )


@dataclass(frozen=True, slots=True)
class _Occurrence:
    """A window as one side has it."""

    origin: str
    record: int | None
    """Its record's number in the shard; None in the dataset."""
    hash: bytes


def _order(found: _Occurrence) -> tuple[str, int]:
    return found.origin, -1 if found.record is None else found.record


class _HashSink:
    """Collects the hashes of some buckets' windows."""

    def __init__(self, among: Mask, features: Sequence[str]) -> None:
        self._among = among
        self._features = features
        self._lock = Lock()
        self._buckets: list[Buckets] = [np.empty(0, np.uint32)]
        self._hashes: list[Hashes] = [np.empty((0, 2), np.uint64)]

    def __call__(self, origin: str, block: WindowBlock) -> None:
        del origin
        _, buckets, hashes = window_hashes(block, self._features, self._among)
        with self._lock:
            self._buckets.append(buckets)
            self._hashes.append(hashes)

    def found(self) -> tuple[Buckets, Hashes]:
        return np.concatenate(self._buckets), np.concatenate(self._hashes)


class _NameSink:
    """Collects the windows with some hashes, by name."""

    def __init__(self, wanted: HashDifference, features: Sequence[str]) -> None:
        self.found: defaultdict[WindowName, list[_Occurrence]] = defaultdict(list)
        self._among = wanted.buckets()
        self._wanted = wanted.hashes()
        self._features = features
        self._lock = Lock()

    def __call__(self, origin: str, block: WindowBlock) -> None:
        rows, _, hashes = window_hashes(block, self._features, self._among)
        for row, digest in zip(rows.tolist(), hashes, strict=True):
            content = digest.tobytes()
            if content in self._wanted:
                record = _record(block.metadata, row)
                with self._lock:
                    self.found[window_name(block.metadata, row)].append(
                        _Occurrence(origin, record, content)
                    )


def _groups(
    buckets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> Iterator[npt.NDArray[np.int64]]:
    """Divide buckets into groups of at most about ``_ROUND_WINDOWS`` windows."""
    number = np.cumsum(counts[buckets]) // _ROUND_WINDOWS
    for value in np.unique(number):
        yield buckets[number == value]


def _record(metadata: Any, row: int) -> int | None:
    if "record" not in metadata.schema.names:
        return None
    number: int = metadata.column("record")[row].as_py()
    return number


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

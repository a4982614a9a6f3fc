"""Compares a dataset's windows with those of its shards, in bounded memory.

Each side is summed up into a fingerprint. Where the two differ, both sides are read again for the
hashes of the windows concerned, and once more for their names.
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
"""Hands all windows of one side to a sink; its first argument names the pass, for the progress."""

Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Difference:
    """How a dataset's windows differ from those of its shards."""

    problems: tuple[Problem, ...]
    """The first ones, by name of the window."""
    unnamed: int = 0
    """How many windows differ too and are not named."""
    groups_left: int = 0
    """How many groups of windows differ too and were not compared window by window."""


class FingerprintSink:
    """Sums up windows; may be shared by threads."""

    def __init__(self, features: Sequence[str] = ()) -> None:
        self.fingerprint = Fingerprint()
        self._features = features
        self._lock = Lock()

    def __call__(self, origin: str, block: WindowBlock) -> None:
        """Add windows; where they are from makes no difference."""
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
    """Names of the further features that windows carry along."""
    as_sets: bool = False
    """Whether windows that come several times in the shards may come once in the dataset."""
    in_part: bool = False
    """Whether these are a part of the dataset's shards: windows of the others are in it too."""

    def differences(self, shards: Fingerprint, dataset: Fingerprint) -> Difference:
        """Name what differs.

        Args:
            shards: fingerprint of all windows of the shards.
            dataset: of all windows of the dataset.
        """
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
class _Place:
    """Where a window was found."""

    origin: str
    record: int | None
    """Its record's number in the shard; none in the dataset."""
    hash: bytes


def _order(place: _Place) -> tuple[str, int]:
    return place.origin, -1 if place.record is None else place.record


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
    """Collects the names and places of windows with some hashes."""

    def __init__(self, wanted: HashDifference, features: Sequence[str]) -> None:
        self.found: defaultdict[WindowName, list[_Place]] = defaultdict(list)
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
                        _Place(origin, record, content)
                    )


def _groups(
    buckets: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> Iterator[npt.NDArray[np.int64]]:
    """Divide buckets into groups of bounded numbers of windows."""
    number = np.cumsum(counts[buckets]) // _ROUND_WINDOWS
    for value in np.unique(number):
        yield buckets[number == value]


def _record(metadata: Any, row: int) -> int | None:
    if "record" not in metadata.schema.names:
        return None
    number: int = metadata.column("record")[row].as_py()
    return number


def _problems(name: WindowName, shards: list[_Place], dataset: list[_Place]) -> Iterator[Problem]:
    """Say how windows of one name differ; only those that do are in the lists."""
    filename, offset_s, channel = name
    window = f"{filename}@{offset_s:.15g} channel {channel}"
    shards, dataset = sorted(shards, key=_order), sorted(dataset, key=_order)
    held, read = ({place.hash for place in places} for places in (dataset, shards))
    missing = [place for place in shards if place.hash not in held]
    extra = [place for place in dataset if place.hash not in read]
    for place in missing:
        told = f"differs from the one in {extra[0].origin}" if extra else "is not in the dataset"
        yield Problem(place.origin, f"record {place.record}: {window} {told}")
    for place in () if missing else extra:
        yield Problem(place.origin, f"{window} is not in the shards")
    if not missing and not extra:
        times = f"{len(shards)} times in the shards, {len(dataset)} times in the dataset"
        yield Problem(shards[0].origin, f"record {shards[0].record}: {window} is {times}")

"""Sorts records of a decoded batch: taken, rejected, or outside of the selection."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from a20_parquet.windows.build import WindowRules
from a20_parquet.windows.filenames.parse import parse_filenames
from a20_parquet.windows.filenames.patterns import PLAIN
from a20_parquet.windows.half import LARGEST, overflows
from a20_parquet.windows.records import DecodedRecords
from a20_parquet.windows.rejection import Reason, Rejection
from a20_parquet.windows.schema import MAX_CHANNELS, FeatureKind, Store
from a20_parquet.windows.selection import LeftOut


@dataclass(frozen=True, slots=True)
class Intake:
    """A filtered batch of records."""

    taken: DecodedRecords
    """The records whose windows are converted."""
    rejected: tuple[Rejection, ...]
    """The records that cannot be converted, also those of the decode stage; in shard order."""
    left_out: int
    """Windows outside of the selection."""
    noticed: LeftOut
    """What these windows are."""
    taken_for_utc: frozenset[bytes] = frozenset()
    """Filenames of taken records whose times count as UTC because the offset is unknown."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    problem: str | None
    """Why a recording of this name cannot be converted, or None."""
    is_wanted: bool
    """Whether any of its windows may be in the selection."""
    taken_for_utc: bool = False
    site: str | None = None
    """Its site if no window is in the selection."""


_GOOD = _Verdict(None, is_wanted=True)


class RecordFilter:
    """Filters batches of records; for one thread. Results are cached by filename.

    Attributes:
        rules: how records become windows.
    """

    def __init__(self, rules: WindowRules, most_names: int = 1 << 16) -> None:
        """Remember no names yet.

        Args:
            rules: what the records must be like.
            most_names: filenames to remember, about.
        """
        self.rules = rules
        self._most_names = most_names
        # Lists were compared with their columns when they were decoded.
        self._tensors = [each for each in rules.features if each.kind is FeatureKind.TENSOR]
        self._halves = rules.store is Store.FLOAT16
        self._takes_plain = rules.filenames.pattern is None and not rules.selection.sites
        self._good: set[bytes] = set()
        self._others: dict[bytes, _Verdict] = {}
        self._taken_for_utc: set[bytes] = set()

    def sort_out(self, decoded: DecodedRecords) -> Intake:
        """Filter a batch of records."""
        metadata = decoded.metadata
        # First the names: this fills the cache.
        if self._all_good(metadata.filenames) and self._fit(decoded):
            left_out = sum(
                count * self._count_dropped(shape)
                for shape, count in Counter(metadata.shapes).items()
            )
            noticed = self._notice(decoded, [], 0)
            return Intake(decoded, decoded.rejected, left_out, noticed, self._guessed(decoded))
        return self._sort_out_each(decoded)

    def _sort_out_each(self, decoded: DecodedRecords) -> Intake:
        rejected = list(decoded.rejected)
        taken = []
        left_out = 0
        undated = 0
        sites = set()
        for index, number in enumerate(decoded.metadata.numbers.tolist()):
            verdict = self._others.get(decoded.metadata.filenames[index], _GOOD)
            found = self._reject(decoded, index, verdict)
            if found is not None:
                rejected.append(Rejection(number, *found))
            elif verdict.is_wanted:
                taken.append(index)
                left_out += self._count_dropped(decoded.metadata.shapes[index])
            else:
                windows, channels, _ = decoded.metadata.shapes[index]
                left_out += windows * channels
                if verdict.site is not None:
                    sites.add(verdict.site)
                    undated += windows * channels * self.rules.selection.takes_site(verdict.site)
        whole = len(taken) == len(decoded.metadata)
        rest = decoded if whole else decoded.take(taken)
        in_order = sorted(rejected, key=lambda rejection: rejection.number)
        noticed = self._notice(decoded, sites, undated)
        return Intake(rest, tuple(in_order), left_out, noticed, self._guessed(rest))

    def _guessed(self, taken: DecodedRecords) -> frozenset[bytes]:
        if not self._taken_for_utc:
            return frozenset()
        return frozenset(self._taken_for_utc.intersection(taken.metadata.filenames))

    def _notice(self, decoded: DecodedRecords, sites: Collection[str], undated: int) -> LeftOut:
        channels = 0
        if self.rules.channels is not None:
            channels = max((channels for _, channels, _ in decoded.metadata.shapes), default=0)
        return LeftOut(sites=tuple(sorted(sites)), undated=undated, channels=channels).bounded()

    def check(self, decoded: DecodedRecords) -> None:
        """Check that every record of a batch can be converted.

        Raises:
            RecordError: a record cannot be converted; the error names the first one.
        """
        for rejection in self.sort_out(decoded).rejected:
            index = decoded.metadata.numbers.tolist().index(rejection.number)
            raise decoded.metadata.error(
                index, rejection.message, rejection.reason.fix, rejection.reason
            )

    def _reject(
        self, decoded: DecodedRecords, index: int, verdict: _Verdict
    ) -> tuple[Reason, str] | None:
        _, channels, dims = decoded.metadata.shapes[index]
        if dims != self.rules.dims:
            return Reason.WRONG_DIMS, (
                f"its embedding has {dims} dimensions, expected {self.rules.dims} as in the first "
                "record or as --dims says"
            )
        if channels > MAX_CHANNELS:
            return Reason.BAD_TENSOR, (
                f"its embedding has {channels} channels, expected {MAX_CHANNELS} at most"
            )
        if self._halves and overflows(decoded.embeddings[index]):
            largest = np.abs(decoded.embeddings[index]).max(
                initial=0, where=np.isfinite(decoded.embeddings[index])
            )
            return Reason.TOO_LARGE, (
                f"a value of its embedding is {largest:.9g}, expected {LARGEST:g} at most as a "
                "float16 holds it (--store float16)"
            )
        for feature in self._tensors:
            tensor = decoded.features[feature.name][index]
            if tensor is not None and tensor.shape[2] != feature.size:
                return Reason.BAD_FEATURE, (
                    f"feature {feature.name!r} has {tensor.shape[2]} values a window, expected "
                    f"{feature.size} as in the first record that has it"
                )
        if verdict.problem is not None:
            return Reason.BAD_FILENAME, verdict.problem
        return None

    def _fit(self, decoded: DecodedRecords) -> bool:
        """Whether all tensors have the right size, and no record is rejected."""
        return (
            not decoded.rejected
            and all(
                dims == self.rules.dims and channels <= MAX_CHANNELS
                for _, channels, dims in set(decoded.metadata.shapes)
            )
            and all(
                tensor is None or tensor.shape[2] == feature.size
                for feature in self._tensors
                for tensor in decoded.features[feature.name]
            )
            and not (self._halves and any(map(overflows, decoded.embeddings)))
        )

    def _count_dropped(self, shape: tuple[int, int, int]) -> int:
        if self.rules.channels is None:
            return 0
        windows, channels, _ = shape
        taken = int(self.rules.count_channels(np.array(channels, np.int64)))
        return windows * (channels - taken)

    def _all_good(self, filenames: Sequence[bytes]) -> bool:
        """Add new names to the cache; return whether all names can be converted and are wanted."""
        if self._good.issuperset(filenames):
            return True
        new = set(filenames) - self._good - self._others.keys()
        if len(self._good) + len(self._others) > self._most_names:
            self._good.clear()
            self._others.clear()
            self._taken_for_utc.clear()
            new = set(filenames)
        if self._takes_plain:
            plain = set(filter(PLAIN.fullmatch, new))
            self._good |= plain
            new -= plain
        for name, verdict in self._judge(sorted(new)):
            if verdict.problem is None and verdict.is_wanted:
                self._good.add(name)
                if verdict.taken_for_utc:
                    self._taken_for_utc.add(name)
            else:
                self._others[name] = verdict
        return self._good.issuperset(filenames)

    def _judge(self, names: Collection[bytes]) -> Iterator[tuple[bytes, _Verdict]]:
        if not names:
            return
        texts = []
        for name in names:
            try:
                name.decode()
            except UnicodeDecodeError:
                yield name, _Verdict(f"the filename {name!r} is no UTF-8 text", is_wanted=False)
            else:
                texts.append(name)
        recordings = parse_filenames(
            pa.array(texts, pa.binary()).cast(pa.string()), self.rules.filenames
        )
        wanted = self.rules.selection.may_take(recordings).tolist()
        guessed = recordings.taken_for_utc.tolist()
        sites = recordings.site.to_pylist()
        for name, problem, is_wanted, guess, site in zip(
            texts, recordings.problems, wanted, guessed, sites, strict=True
        ):
            yield name, _Verdict(problem, is_wanted, guess, None if is_wanted else site)

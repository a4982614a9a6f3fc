"""What the first pass observes of records, apart from their windows."""

from collections import Counter
from collections.abc import Iterable
from typing import Self

from pydantic import BaseModel, ConfigDict

from a20_parquet.windows.filter import Intake
from a20_parquet.windows.name_sketch import NameSketch
from a20_parquet.windows.records import DecodedRecords
from a20_parquet.windows.selection import LeftOut
from a20_parquet.windows.spacing import SpacingSample, SpacingSampler, merge_samples


class Observations(BaseModel):
    """Observations of some shards; part of a unit's commit marker.

    Merging is associative and commutative: the result does not depend on the units of the pass.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    other_features: tuple[str, ...] = ()
    """Names of features that are in the records but not in the dataset, sorted."""
    spacing: SpacingSample = ()
    """Time between the records of some recordings."""
    left_out: LeftOut = LeftOut()
    """Windows outside the selection."""
    taken_for_utc: NameSketch = NameSketch()
    """Names of recordings whose time zone is unknown."""
    widths: tuple[tuple[int, int], ...] = ()
    """Pairs ``(floats of an embedding, number of records)``."""

    @classmethod
    def merged(cls, several: Iterable[Self]) -> Self:
        """Merge observations of different shards."""
        each = list(several)
        widths: Counter[int] = Counter()
        for one in each:
            widths.update(dict(one.widths))
        return cls(
            widths=tuple(sorted(widths.items())),
            other_features=tuple(sorted({n for one in each for n in one.other_features})),
            taken_for_utc=NameSketch.merged(one.taken_for_utc for one in each),
            spacing=merge_samples(one.spacing for one in each),
            left_out=LeftOut.merged(one.left_out for one in each),
        )

    def other_widths(self, dims: int) -> tuple[tuple[int, int], ...]:
        """Return ``widths``, that of ``dims`` floats first; empty if there is no other."""
        counts = dict(self.widths)
        own = counts.pop(dims, 0)
        return ((dims, own), *counts.items()) if counts else ()


class Observer:
    """Collects observations, batch after batch; for one thread."""

    def __init__(self) -> None:
        self._other_features: frozenset[str] = frozenset()
        self._widths: Counter[int] = Counter()
        self._taken_for_utc = NameSketch()
        self._spacing = SpacingSampler()

    def add(self, decoded: DecodedRecords, intake: Intake) -> None:
        """Observe a batch: what was decoded, and what of it was taken."""
        self._other_features |= decoded.other_features
        self._widths.update(dims for _, _, dims in decoded.metadata.shapes)
        if intake.taken_for_utc:
            found = NameSketch.of(intake.taken_for_utc)
            self._taken_for_utc = NameSketch.merged([self._taken_for_utc, found])
        self._spacing.add(intake.taken.metadata)

    def observations(self, left_out: LeftOut) -> Observations:
        """Return the observations, with the windows that were left out."""
        return Observations(
            other_features=tuple(sorted(self._other_features)),
            spacing=self._spacing.sample(),
            left_out=left_out,
            widths=tuple(sorted(self._widths.items())),
            taken_for_utc=self._taken_for_utc,
        )

"""What the first pass noticed besides windows: what a user should know of, and can act on."""

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
    """Observations of a unit's shards, or of all; part of a unit's commit marker.

    Merging is associative and does not depend on the order: what is noticed is the same whatever
    the units of the pass were.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    other_features: tuple[str, ...] = ()
    """Names of features that the records have and the dataset has not, sorted."""
    spacing: SpacingSample = ()
    """How far the records of some recordings are apart."""
    left_out: LeftOut = LeftOut()
    """Windows outside of the selection."""
    taken_for_utc: NameSketch = NameSketch()
    """Names of recordings of which nothing tells what their clock showed."""

    widths: tuple[tuple[int, int], ...] = ()
    """Each number of floats that embeddings have, and how many records have so many."""

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
        """Return ``widths``, that of ``dims`` floats first; nothing where there is no other."""
        counts = dict(self.widths)
        own = counts.pop(dims, 0)
        return ((dims, own), *counts.items()) if counts else ()


class Observer:
    """Notices what there is in records, batch after batch; for one thread."""

    def __init__(self) -> None:
        self._other_features: frozenset[str] = frozenset()
        self._widths: Counter[int] = Counter()
        self._taken_for_utc = NameSketch()
        self._spacing = SpacingSampler()

    def add(self, decoded: DecodedRecords, intake: Intake) -> None:
        """Look at a batch: what was decoded, and which of it was taken."""
        self._other_features |= decoded.other_features
        self._widths.update(dims for _, _, dims in decoded.metadata.shapes)
        if intake.taken_for_utc:
            found = NameSketch.of(intake.taken_for_utc)
            self._taken_for_utc = NameSketch.merged([self._taken_for_utc, found])
        self._spacing.add(intake.taken.metadata)

    def observations(self, left_out: LeftOut) -> Observations:
        """Return what was noticed, with the windows that were left out."""
        return Observations(
            other_features=tuple(sorted(self._other_features)),
            spacing=self._spacing.sample(),
            left_out=left_out,
            widths=tuple(sorted(self._widths.items())),
            taken_for_utc=self._taken_for_utc,
        )

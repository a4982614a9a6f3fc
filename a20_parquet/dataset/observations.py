"""What the first pass noticed besides windows: what a user should know of, and can act on."""

from collections.abc import Iterable
from typing import Self

from pydantic import BaseModel, ConfigDict


class Observations(BaseModel):
    """Observations of one shard, of a unit's shards, or of all; part of a unit's commit marker.

    Merging is associative and does not depend on the order: what is noticed is the same whatever
    the units of the pass were.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    other_features: tuple[str, ...] = ()
    """Names of features that the records have and the dataset has not, sorted."""

    @classmethod
    def merged(cls, several: Iterable[Self]) -> Self:
        """Merge observations of different shards."""
        each = list(several)
        return cls(other_features=tuple(sorted({n for one in each for n in one.other_features})))

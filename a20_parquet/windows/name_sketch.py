"""Counts different names in bounded memory: exactly while they are few, else nearly.

The smallest hashes are kept. How dense they lie tells how many names there are, and those of two
sketches together are the smallest of both, so that counting is the same in any order and division.
"""

import hashlib
from collections.abc import Iterable
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

MOST_HASHES: Final = 4096
"""Below so many names the count is exact; of more it is mostly within 3 %."""
_HASH_BITS: Final = 64


class NameSketch(BaseModel):
    """The smallest hashes of some names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hashes: tuple[int, ...] = ()
    """64-bit numbers, ascending, ``MOST_HASHES`` at the most."""

    @classmethod
    def of(cls, names: Iterable[bytes]) -> Self:
        """Sketch names; those that come again count once."""
        return cls(hashes=_smallest(map(_hash, names)))

    @classmethod
    def merged(cls, several: Iterable[Self]) -> Self:
        """Sketch the names of several sketches."""
        return cls(hashes=_smallest(each for one in several for each in one.hashes))

    @property
    def is_exact(self) -> bool:
        """Whether ``count`` is."""
        return len(self.hashes) < MOST_HASHES

    @property
    def count(self) -> int:
        """How many different names there are."""
        if self.is_exact:
            return len(self.hashes)
        return (MOST_HASHES - 1 << _HASH_BITS) // (self.hashes[-1] + 1)


def _hash(name: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(name, digest_size=_HASH_BITS // 8).digest())


def _smallest(hashes: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(hashes))[:MOST_HASHES])

"""Counts distinct names in bounded memory: exactly if there are few, else approximately.

A sketch keeps the smallest hashes (k minimum values). Their density gives the count. Merged
sketches keep the smallest hashes of all, so that the order and division of the names do not matter.
"""

import hashlib
from collections.abc import Iterable
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

MOST_HASHES: Final = 4096
"""With fewer names the count is exact, with more mostly within 3 %."""
_HASH_BITS: Final = 64


class NameSketch(BaseModel):
    """The smallest hashes of some names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hashes: tuple[int, ...] = ()
    """At most ``MOST_HASHES`` 64-bit numbers, ascending."""

    @classmethod
    def of(cls, names: Iterable[bytes]) -> Self:
        """Sketch names; duplicates count once."""
        return cls(hashes=_smallest(map(_hash, names)))

    @classmethod
    def merged(cls, several: Iterable[Self]) -> Self:
        """Merge several sketches."""
        return cls(hashes=_smallest(each for one in several for each in one.hashes))

    @property
    def is_exact(self) -> bool:
        """Whether ``count`` is."""
        return len(self.hashes) < MOST_HASHES

    @property
    def count(self) -> int:
        """Number of distinct names."""
        if self.is_exact:
            return len(self.hashes)
        return (MOST_HASHES - 1 << _HASH_BITS) // (self.hashes[-1] + 1)


def _hash(name: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(name, digest_size=_HASH_BITS // 8).digest())


def _smallest(hashes: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(hashes))[:MOST_HASHES])

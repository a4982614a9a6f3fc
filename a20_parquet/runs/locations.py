"""Where embeddings are in the shards."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

LOCATION = np.dtype(
    [
        ("shard", "<i4"),
        ("payload", "<i8"),
        ("payload_bytes", "<i4"),
        ("checksum", "<u4"),
        ("at", "<i4"),
        ("item_bytes", "<i4"),
    ]
)
"""Where a window's embedding is: position of the shard; offset of the record's payload in the file,
its bytes and its CRC32C; offset of the embedding in the payload; bytes of a float, 4 or 2."""

Locations = npt.NDArray[np.void]
"""Shape ``(windows,)``, dtype ``LOCATION``."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Embeddings of consecutive rows, divided where the next one is elsewhere in the shards."""

    rows: Numbers
    """First row of each piece, from 0, then the number of rows; shape ``(pieces + 1,)``."""
    first: Locations
    """Of each piece's first embedding; the others follow it in the same record."""
    dims: int
    """Floats per embedding."""

    @classmethod
    def of(cls, places: Locations, dims: int) -> Self:
        """Divide embeddings of ``dims`` floats, in the order of their rows."""
        differs = np.ones(len(places), np.bool_)
        after, before = places[1:], places[:-1]
        differs[1:] = after["at"] - before["at"] != after["item_bytes"] * dims
        for name in ("payload", "shard"):
            differs[1:] |= after[name] != before[name]
        firsts = np.flatnonzero(differs)
        return cls(np.append(firsts, len(places)), places[firsts], dims)

    def within(self, start: int, stop: int) -> Self:
        """Return the pieces of rows ``start`` to before ``stop``; these count from 0."""
        first = int(np.searchsorted(self.rows, start, "right")) - 1
        last = int(np.searchsorted(self.rows, stop)) if start < stop else first
        rows = self.rows[first : last + 1].clip(start, stop) - start
        pieces = self.first[first:last]
        if len(pieces) and self.rows[first] < start:
            pieces = pieces.copy()
            skipped = int(start - self.rows[first])
            pieces["at"][0] += skipped * self.dims * pieces["item_bytes"][0]
        return type(self)(rows, pieces, self.dims)

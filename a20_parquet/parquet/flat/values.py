"""One row group's values of a column, PLAIN or as a dictionary and indices into it.

Source: apache/parquet-format, ``Encodings.md``. The choice depends on the values only, so that
equal rows give equal bytes.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from a20_parquet.parquet.format.encodings import Array, hybrid, hybrid_runs, run

RUN_LENGTH = 4
"""Mean length of runs above which Python's dictionary of the runs is faster than Arrow's of the
rows; both give the same bytes. Sorted windows share most values with the window before."""

# A second page costs about this many bytes of header; a dictionary has to save more.
_DICTIONARY_PAGE_BYTES = 16

Key = TypeVar("Key", int, bytes)


class Values(NamedTuple):
    """Content of a column chunk's pages, before levels, compression and headers."""

    body: bytes
    """PLAIN values, or indices into the dictionary."""
    low: bytes | None = None
    """The smallest value as PLAIN encodes it, strings without their length; None if unknown."""
    high: bytes | None = None
    dictionary: bytes | None = None
    """PLAIN values that the indices point to; None without a dictionary."""
    entries: int = 0
    """Number of values in the dictionary."""
    text_bytes: int = 0
    """Bytes of all strings, without lengths and nulls; 0 if the values are numbers."""


NO_VALUES = Values(b"")
"""Only nulls."""


def pays(dictionary: int, indices: int, plain: int) -> bool:
    """Whether a dictionary is worth its page; all sizes in bytes."""
    return dictionary + indices + _DICTIONARY_PAGE_BYTES < plain


def zeros(count: int) -> bytes:
    """Return indices into a dictionary of one value."""
    return b"\x01" + run(0, count, 1)


def indices(encoded: Any) -> bytes:
    """Encode the indices of an Arrow dictionary array."""
    numbers: Array = np.frombuffer(encoded.indices.buffers()[1], np.int32, len(encoded))
    width = index_width(len(encoded.dictionary))
    return bytes((width,)) + hybrid(numbers, width)


def indices_of_runs(keys: list[Key], bounds: Array) -> tuple[Iterable[Key], int, bytes]:
    """Find the dictionary of runs of values.

    Args:
        keys: one value per run.
        bounds: shape (runs + 1,), the starts of the runs and the end of the last.

    Returns:
        The distinct keys in the order they first appear, their number, and the rows' indices.
    """
    entries = dict.fromkeys(keys)
    count = len(entries)
    if count == len(keys):
        numbers: Array = np.arange(count)
    else:
        places = dict(zip(entries, range(count), strict=True))
        numbers = np.fromiter(map(places.__getitem__, keys), np.int64, len(keys))
    width = index_width(count)
    return entries, count, bytes((width,)) + hybrid_runs(numbers, bounds, width)


def index_width(entries: int) -> int:
    """Return the bits per index, which precede the indices in one byte."""
    return max(1, (entries - 1).bit_length())

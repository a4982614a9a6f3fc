"""Strings of a row group.

Source: apache/parquet-format, ``Encodings.md``.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow.compute as pc

from a20_parquet.dataset.parquet.encoding import Array, bounds_of, plain_strings
from a20_parquet.dataset.parquet.values import (
    NO_VALUES,
    RUN_LENGTH,
    Values,
    indices,
    indices_of_runs,
    pays,
    zeros,
)

# Up to here one comparison of all bytes takes less than hashing the strings with Arrow.
_FEW_ROWS = 512


def encode_strings(array: Any, valid: Array | None) -> Values:
    """Encodes a string column.

    Args:
        array: an Arrow array of shape (rows,), rows > 0; it may be a slice.
        valid: shape (rows,), bool: what is not null; None where nothing is.
    """
    present = array if valid is None else array.drop_null()
    count = len(present)
    if not count:
        return NO_VALUES
    offsets, text = _parts(present)
    size = len(text) + 4 * count
    length, rest = divmod(len(text), count)
    # Names of one site are mostly of one length.
    if length and not rest and (offsets[1:] - offsets[:-1] == length).all():
        first = bytes(text[:length])
        if text == first * count:
            body = zeros(count)
            if pays(4 + length, len(body), size):
                return Values(body, first, first, _joined([first]), 1)
        elif count <= _FEW_ROWS:
            texts: Array = np.frombuffer(text, f"V{length}")
            bounds = bounds_of(texts[1:] != texts[:-1])
            if RUN_LENGTH * (len(bounds) - 1) <= count:
                keys = texts[bounds[:-1]].tolist()
                entries, number, body = indices_of_runs(keys, bounds)
                low, high = min(entries), max(entries)
                if pays(number * (4 + length), len(body), size):
                    return Values(body, low, high, _joined(entries), number)
                return Values(plain_strings(offsets, text), low, high)
    return _in_any_order(present, offsets, text)


def _in_any_order(present: Any, offsets: Array, text: memoryview) -> Values:
    encoded = present.dictionary_encode()
    number = len(encoded.dictionary)
    limits = pc.min_max(encoded.dictionary)
    low, high = (limits[name].as_buffer().to_pybytes() for name in ("min", "max"))
    entry_offsets, entry_text = _parts(encoded.dictionary)
    size = len(text) + 4 * len(present)
    dictionary_size = len(entry_text) + 4 * number
    if pays(dictionary_size, 0, size):
        body = indices(encoded)
        if pays(dictionary_size, len(body), size):
            return Values(body, low, high, plain_strings(entry_offsets, entry_text), number)
    return Values(plain_strings(offsets, text), low, high)


def _joined(entries: Iterable[bytes]) -> bytes:
    """A dictionary's few strings, PLAIN."""
    return b"".join([part for text in entries for part in (len(text).to_bytes(4, "little"), text)])


def _parts(array: Any) -> tuple[Array, memoryview]:
    """Offsets of an array of strings, and the bytes from the first offset to the last."""
    _, offset_buffer, text = array.buffers()
    offsets: Array = np.frombuffer(offset_buffer, np.int32, len(array) + 1, array.offset * 4)
    text = memoryview(text or b"").cast("B")
    return offsets, text[offsets[0] : offsets[-1]]

"""Strings and bytes of a row group.

Source: apache/parquet-format, ``Encodings.md``.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from a20_parquet.parquet.flat.values import (
    NO_VALUES,
    RUN_LENGTH,
    Values,
    indices,
    indices_of_runs,
    pays,
    zeros,
)
from a20_parquet.parquet.format.encodings import Array, plain_strings


def encode_strings(array: Any, valid: Array | None) -> Values:
    """Encode an Arrow array of strings, with one row or more, and its ``validity``."""
    present = array if valid is None else array.drop_null()
    count = len(present)
    if not count:
        return NO_VALUES
    offsets, text = _parts(present)
    if _is_constant(offsets, text):
        first = bytes(text[: len(text) // count])
        return _with_dictionary([first], 1, zeros(count), offsets, text)
    # Reading imports this file too, but not that library.
    import pyarrow.compute as pc

    runs = pc.run_end_encode(present)
    ends = runs.run_ends.to_numpy()
    if RUN_LENGTH * len(ends) > count:
        return _in_any_order(present, offsets, text)
    bounds = np.zeros(len(ends) + 1, np.int64)
    bounds[1:] = ends
    keys = runs.values.cast(pa.binary()).to_pylist()
    return _with_dictionary(*indices_of_runs(keys, bounds), offsets, text)


def _is_constant(offsets: Array, text: memoryview) -> bool:
    """Whether all strings, one or more, are equal."""
    count = len(offsets) - 1
    length, rest = divmod(len(text), count)
    # In windows sorted by time the last name is seldom the first again.
    if rest or text[:length] != text[len(text) - length :]:
        return False
    # Comparing bytes takes a tenth of the time of comparing memoryviews.
    whole = bytes(text)
    return whole.startswith(whole[length:]) and bool((offsets[1:] - offsets[:-1] == length).all())


def _with_dictionary(
    entries: Iterable[bytes], number: int, body: bytes, offsets: Array, text: memoryview
) -> Values:
    """Encode a dictionary of few strings, or PLAIN if that does not pay.

    ``entries`` are distinct, in the order they first appear; ``body`` has the rows' indices into
    them; ``offsets`` and ``text`` of the rows are from ``_parts``.
    """
    low, high = min(entries), max(entries)
    dictionary = b"".join([len(entry).to_bytes(4, "little") + entry for entry in entries])
    if pays(len(dictionary), len(body), len(text) + 4 * (len(offsets) - 1)):
        return Values(body, low, high, dictionary, number, len(text))
    return Values(plain_strings(offsets, text), low, high, text_bytes=len(text))


def _in_any_order(present: Any, offsets: Array, text: memoryview) -> Values:
    import pyarrow.compute as pc

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
            dictionary = plain_strings(entry_offsets, entry_text)
            return Values(body, low, high, dictionary, number, len(text))
    return Values(plain_strings(offsets, text), low, high, text_bytes=len(text))


def _parts(array: Any) -> tuple[Array, memoryview]:
    """Return the offsets of an array of strings, and the bytes from the first to the last."""
    _, offset_buffer, text = array.buffers()
    offsets: Array = np.frombuffer(offset_buffer, np.int32, len(array) + 1, array.offset * 4)
    text = memoryview(text or b"").cast("B")
    return offsets, text[offsets[0] : offsets[-1]]

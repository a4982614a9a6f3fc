"""Digests of what windows hold."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.table.fingerprint import content_digests

BITS = st.sampled_from([0, 0x80000000, 0x7FC00000, 0x7FC00001, 0x3F800000])
WINDOW = st.tuples(st.tuples(BITS, BITS), st.none() | st.tuples(BITS, BITS), st.none() | BITS)
Window = tuple[tuple[int, int], tuple[int, int] | None, int | None]


def digests_of(windows: Sequence[Window], offset: int) -> list[bytes]:
    """Digests of windows, whose features lie ``offset`` rows into their arrays."""
    embeddings = np.array([window[0] for window in windows], np.uint32).view(np.float32)
    features = [
        _lists([window[1] for window in windows], 2, offset),
        _lists([None if w[2] is None else (w[2],) for w in windows], 1, offset),
    ]
    return list(content_digests(embeddings, features))


def _lists(rows: Sequence[tuple[int, ...] | None], size: int, offset: int) -> pa.Array:
    full = [(7,) * size] * offset + [row or (9,) * size for row in rows]
    floats = np.array(full, np.uint32).view(np.float32).reshape(-1)
    mask = pa.array([False] * offset + [row is None for row in rows])
    lists = pa.FixedSizeListArray.from_arrays(pa.array(floats), size, mask=mask)
    return lists.slice(offset)


@given(st.lists(WINDOW, min_size=1, max_size=12), st.integers(0, 3))
def test_digests_are_equal_when_all_bits_are(windows: list[Window], offset: int) -> None:
    """Equal bits give equal digests, any other bits others, a null other than any value."""
    digests = digests_of(windows, offset)
    assert [digests.index(digest) for digest in digests] == [windows.index(w) for w in windows]
    assert digests == digests_of(windows, 0)


def test_a_digest_is_blake2b_of_the_little_endian_bytes() -> None:
    """Without features it is the plain BLAKE2b of the floats."""
    import hashlib
    import struct

    expected = hashlib.blake2b(struct.pack("<3f", 1, -0.0, 2.5), digest_size=16).digest()
    assert list(content_digests(np.array([[1, -0.0, 2.5]], np.float32))) == [expected]

"""The flat columns of many small row groups at once.

For a file of some dozen rows, calling numpy or Arrow for each column takes longer than copying the
embeddings. Here they are called once for a batch of files, and each file takes slices; what columns
repeat from file to file is encoded once. The encoding of a row group depends on its own rows only.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
import pyarrow as pa
from isal.isal_zlib import crc32

from a20_parquet.parquet.flat.columns import FlatChunk, FlatColumn, validity
from a20_parquet.parquet.flat.numbers import NumberType, float_bounds
from a20_parquet.parquet.flat.values import NO_VALUES, Values, index_width, pays, zeros
from a20_parquet.parquet.format.chunks import chunk_statistics
from a20_parquet.parquet.format.encodings import Array, run
from a20_parquet.parquet.format.page_index import column_index
from a20_parquet.parquet.format.thrift import checksum
from a20_parquet.parquet.pages import PageEncoder

# Of each column; a chunk takes some 500 bytes.
_KEPT_CHUNKS = 1 << 9

_EncodeGroup: TypeAlias = Callable[[int], FlatChunk]
"""Encodes the row group of a number, without nulls."""


class GroupBounds(NamedTuple):
    """First and last rows of row groups in a batch."""

    starts: Array
    """First row of each, shape (groups,), int64."""
    spans: list[tuple[int, int]]
    """First row of each, and the row behind its last."""

    @classmethod
    def of(cls, rows: Sequence[int]) -> Self:
        """Return the bounds of consecutive row groups of 1 or more rows each."""
        ends = np.cumsum(np.asarray(rows, np.int64))
        starts = ends - rows
        return cls(starts, list(zip(starts.tolist(), ends.tolist(), strict=True)))


class GroupColumn:
    """Encodes a flat column of many row groups at once; for one thread."""

    def __init__(self, column: FlatColumn, pages: PageEncoder) -> None:
        self._column = column
        self._pages = pages
        self._constant = lru_cache(maxsize=_KEPT_CHUNKS)(self._encode_constant)
        self._frame = lru_cache(maxsize=_KEPT_CHUNKS)(column.uncompressed_frame)
        self._all_null = lru_cache(maxsize=_KEPT_CHUNKS)(self._encode_all_null)

    def encode(self, array: Any, bounds: GroupBounds) -> Iterator[FlatChunk]:
        """Encode consecutive row groups of an Arrow array, which may be a slice, one at a time.

        Raises:
            DatasetError: the array has nulls and the column is not nullable.
        """
        column = self._column
        valid = validity(array, column.name, nullable=column.nullable)
        if column.number is None:
            encode = self._strings(array, bounds)
        else:
            encode = self._numbers(column.number, array, bounds)
        if valid is None:
            return map(encode, range(len(bounds.spans)))
        return self._with_nulls(encode, array, valid, bounds)

    def _with_nulls(
        self, encode: _EncodeGroup, array: Any, valid: Array, bounds: GroupBounds
    ) -> Iterator[FlatChunk]:
        counts = np.add.reduceat(valid, bounds.starts, dtype=np.int64).tolist()
        for group, (count, (first, end)) in enumerate(zip(counts, bounds.spans, strict=True)):
            if count == end - first:
                yield encode(group)
            elif not count:
                yield self._all_null(end - first)
            else:
                part = array.slice(first, end - first)
                yield self._column.encode_array(part, valid[first:end], self._pages)

    def _encode_constant(self, value: bytes, rows: int) -> FlatChunk:
        """One PLAIN value for all rows, in a dictionary if that pays."""
        low = value if self._column.number else value[4:]
        text_bytes = 0 if self._column.number else len(low) * rows
        indices = zeros(rows)
        if pays(len(value), len(indices), len(value) * rows):
            values = Values(indices, low, low, value, 1, text_bytes)
        else:
            values = Values(value * rows, low, low, text_bytes=text_bytes)
        return self._column.encode(values, rows, 0, None, self._pages)

    def _encode_all_null(self, rows: int) -> FlatChunk:
        return self._column.encode(NO_VALUES, rows, rows, np.zeros(rows, np.bool_), self._pages)

    def _numbers(self, kind: NumberType, array: Any, bounds: GroupBounds) -> _EncodeGroup:
        """PLAIN, or a dictionary of one integer; nulls are treated as numbers."""
        start = array.offset * kind.arrow.itemsize
        bits: Array = np.frombuffer(array.buffers()[1], kind.arrow, len(array), start)
        size = kind.size
        body = bits.astype(f"<i{size}", copy=False).tobytes()
        values = bits.view(kind.floats) if kind.is_float else bits
        lows = np.minimum.reduceat(values, bounds.starts)
        highs = np.maximum.reduceat(values, bounds.starts)
        if kind.is_float:
            limits = float_bounds(lows, highs, kind)

            def encode_floats(group: int) -> FlatChunk:
                first, end = bounds.spans[group]
                return self._plain(body[first * size : end * size], *limits[group], end - first)

            return encode_floats
        is_constant = (lows == highs).tolist()
        low_bytes = lows.astype(f"<i{size}").tobytes()
        high_bytes = highs.astype(f"<i{size}").tobytes()

        def encode(group: int) -> FlatChunk:
            first, end = bounds.spans[group]
            # A list of all limits would keep the garbage collector busy.
            low = low_bytes[group * size : (group + 1) * size]
            if is_constant[group]:
                return self._constant(low, end - first)
            high = high_bytes[group * size : (group + 1) * size]
            return self._plain(body[first * size : end * size], low, high, end - first)

        return encode

    def _plain(self, body: bytes, low: bytes | None, high: bytes | None, rows: int) -> FlatChunk:
        if self._pages.compresses:
            return self._column.encode(Values(body, low, high), rows, 0, None, self._pages)
        front, back, levels_crc, sizes, end = self._frame(rows)
        crc = checksum(crc32(body, levels_crc))
        content = b"".join((front, crc, back, body))
        return FlatChunk(
            content,
            len(content),
            0,
            sizes[len(crc) - 1],
            chunk_statistics(0, low, high) + end,
            column_index(rows, 0, low, high),
        )

    def _strings(self, array: Any, bounds: GroupBounds) -> _EncodeGroup:
        """A dictionary and its runs, or PLAIN; nulls are treated as the first string."""
        encoded = array.dictionary_encode()
        texts: list[bytes] = encoded.dictionary.cast(pa.binary()).to_pylist() or [b""]
        sized = [len(text).to_bytes(4, "little") + text for text in texts]
        codes: Array = encoded.indices.fill_null(0).to_numpy()

        begins = np.empty(len(codes), np.bool_)
        np.not_equal(codes[1:], codes[:-1], out=begins[1:])
        begins[bounds.starts] = True
        run_starts = begins.nonzero()[0]
        run_codes = codes[run_starts].tolist()
        run_lengths = np.diff(run_starts, append=len(codes)).tolist()
        run_bounds = [*np.searchsorted(run_starts, bounds.starts).tolist(), len(run_starts)]

        def encode(group: int) -> FlatChunk:
            first, end = bounds.spans[group]
            first_run, last_run = run_bounds[group], run_bounds[group + 1]
            if last_run == first_run + 1:
                return self._constant(sized[run_codes[first_run]], end - first)
            keys, lengths = run_codes[first_run:last_run], run_lengths[first_run:last_run]
            values = _runs_of_strings([sized[code] for code in keys], lengths)
            return self._column.encode(values, end - first, 0, None, self._pages)

        return encode


def _runs_of_strings(keys: Sequence[bytes], lengths: Sequence[int]) -> Values:
    """Encode runs of strings, each as PLAIN bytes and its number of rows."""
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    texts = [key[4:] for key in places]
    low, high = min(texts), max(texts)
    dictionary = b"".join(places)
    plain_size = sum([len(key) * length for key, length in zip(keys, lengths, strict=True)])
    text_bytes = plain_size - 4 * sum(lengths)
    if pays(len(dictionary), 0, plain_size):
        width = index_width(len(places))
        pairs = zip(keys, lengths, strict=True)
        indices = bytes((width,)) + b"".join([run(places[key], n, width) for key, n in pairs])
        if pays(len(dictionary), len(indices), plain_size):
            return Values(indices, low, high, dictionary, len(places), text_bytes)
    pairs = zip(keys, lengths, strict=True)
    plain = b"".join([key * length for key, length in pairs])
    return Values(plain, low, high, text_bytes=text_bytes)

"""Repetition and definition levels: where lists begin, and what is null.

Source: apache/parquet-format, ``README.md`` (nested encoding) and ``Encodings.md``. In a data page
of version 1 each kind follows its length in bytes, repetition before definition levels.
"""

import numpy as np

from a20_parquet.parquet.format.encodings import Array, hybrid, packed_header, run


def flat(count: int, valid: Array | None) -> bytes:
    """Return the definition levels of a nullable flat column of ``count`` rows."""
    return _sized(run(1, count, 1) if valid is None else hybrid(valid, 1))


class ListLevels:
    """Levels of a column of lists that all have one length and no null elements."""

    def __init__(self, length: int, *, nullable: bool) -> None:
        """Plan the levels of lists of ``length`` elements, 1 or more."""
        self._length = length
        # The repeated level, plus the list's own if it may be null.
        self._present = 2 if nullable else 1
        self._width = self._present.bit_length()
        # A list's first element has level 0, the others 1: two runs, or the bits of eight lists,
        # the fewest that fill whole bytes.
        self._runs = run(0, 1, 1) + (run(1, length - 1, 1) if length > 1 else b"")
        self._bits = b""
        if length <= 8 * len(self._runs):
            starts = np.arange(8 * length) % length == 0
            self._bits = np.packbits(~starts, bitorder="little").tobytes()

    def full(self, rows: int) -> bytes:
        """Return the levels of rows without nulls."""
        elements = rows * self._length
        if self._length == 1:
            repetition = run(0, rows, 1)
        elif self._bits:
            packed = self._bits * -(-rows // 8)
            repetition = packed_header(elements) + packed[: -(-elements // 8)]
        else:
            repetition = self._runs * rows
        return _sized(repetition) + _sized(run(self._present, elements, self._width))

    def sparse(self, valid: Array) -> bytes:
        """Return the levels of rows with nulls, each of them one value on level 0."""
        counts = np.where(valid, self._length, 1)
        repetition = np.ones(int(counts.sum()), np.uint8)
        repetition[np.cumsum(counts) - counts] = 0
        definition = np.repeat(np.where(valid, self._present, 0).astype(np.uint8), counts)
        return _sized(hybrid(repetition, 1)) + _sized(hybrid(definition, self._width))


def _sized(levels: bytes) -> bytes:
    return len(levels).to_bytes(4, "little") + levels

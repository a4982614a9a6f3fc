"""Encodes many structs of the same form at once, in a table with one row per struct."""

import numpy as np

from a20_parquet.parquet.format.encodings import Array

_BITS_A_GROUP = 7
_MOST = 1 << 32


class ByteTable:
    """Bytes of structs, column by column; of each row only the used bytes count."""

    def __init__(self, rows: int) -> None:
        """Begin with empty structs."""
        self._rows = rows
        self._columns: list[Array] = []
        self._used: list[Array | None] = []

    def add(self, content: bytes, where: Array | None = None) -> None:
        """Append the same bytes to all structs, or to those ``where`` holds, shape (rows,)."""
        for byte in content:
            self._columns.append(np.full(self._rows, byte, np.uint8))
            self._used.append(where)

    def add_integers(self, numbers: Array, where: Array | None = None) -> None:
        """Append a number to each struct, like ``thrift.integer``.

        Args:
            numbers: shape (rows,), int64, not negative.
            where: which structs get theirs, shape (rows,), bool; None for all.
        """
        rest = numbers << 1
        most = int(rest.max(initial=0))
        if most < _MOST:
            # Half as many bytes to go through.
            rest = rest.astype(np.uint32)
        used = where
        while most >> _BITS_A_GROUP:
            after = rest >> _BITS_A_GROUP
            goes_on = after > 0
            byte = rest.astype(np.uint8)
            byte &= 0x7F
            byte |= goes_on.view(np.uint8) << _BITS_A_GROUP
            self._columns.append(byte)
            self._used.append(used)
            used = goes_on if where is None else goes_on & where
            rest = after
            most >>= _BITS_A_GROUP
        self._columns.append(rest.astype(np.uint8))
        self._used.append(used)

    def encode(self) -> list[bytes]:
        """Return all structs."""
        shape = (self._rows, len(self._columns))
        table, used = np.empty(shape, np.uint8), np.ones(shape, np.bool_)
        for index, (column, where) in enumerate(zip(self._columns, self._used, strict=True)):
            table[:, index] = column
            if where is not None:
                used[:, index] = where
        content = table[used].tobytes()
        ends = np.cumsum(np.count_nonzero(used, axis=1)).tolist()
        return [content[start:end] for start, end in zip([0, *ends], ends, strict=False)]

"""Writes one Parquet file, row group by row group."""

from types import TracebackType
from typing import Any, BinaryIO, Self

from a20_parquet.dataset.parquet.columns import FlatGroup, encode_group
from a20_parquet.dataset.parquet.footer import MAGIC, RowGroup
from a20_parquet.dataset.parquet.layout import ParquetLayout
from a20_parquet.dataset.parquet.output import Output
from a20_parquet.dataset.parquet.pages import Pages


class ParquetWriter:
    """One file in the making; for one thread.

    As a context manager it closes the file's format (not the file object) where the block ends
    without an exception. Without ``close`` there is no footer, and every reader refuses the file.
    """

    def __init__(self, file: BinaryIO, layout: ParquetLayout) -> None:
        """Writes the magic.

        Args:
            file: where to write to, at its position 0; it stays open. An unbuffered local file
                gets many buffers a call, any other object needs only ``write``.
            layout: of the file.

        Raises:
            OSError: the file does not take the bytes.
        """
        self.rows = 0
        """Rows written so far."""
        self._layout = layout
        self._output = Output(file)
        self._pages = Pages(self._output, layout.compression)
        self._row_groups: list[bytes] = []
        self._open = True
        self._output.put(MAGIC)

    @property
    def size(self) -> int:
        """Bytes written so far; after ``close`` the file's size."""
        return self._output.size

    @property
    def checksum(self) -> int:
        """CRC32C of the bytes written so far."""
        return self._output.checksum

    def write_row_group(self, windows: Any, flat: FlatGroup | None = None) -> None:
        """Writes one row group. When it returns, the windows' memory may be used for others.

        Args:
            windows: a ``pyarrow.RecordBatch`` with the layout's schema; it may be a slice.
            flat: its flat columns, where ``ParquetLayout.encode_groups`` has encoded them.

        Raises:
            ValueError: there are no rows, or the writer is closed or has failed before.
            DatasetError: the schema differs, or there are nulls where it forbids them.
            OSError: the file does not take the bytes.
        """
        rows = windows.num_rows
        if not rows:
            raise ValueError("a row group needs at least one row")
        self._layout.check(windows)
        self._begin()
        layout, output, pages = self._layout, self._output, self._pages
        offset, size = output.size, pages.size
        arrays = windows.columns
        chunks = [b""] * len(arrays)
        for index, column in layout.lists.items():
            chunks[index] = column.put(arrays[index], pages)
        columns = layout.flat.values()
        if flat is None:
            flat = encode_group(list(columns), [arrays[index] for index in layout.flat], rows)
        for index, chunk in zip(layout.flat, flat.put(columns, pages), strict=True):
            chunks[index] = chunk
        output.flush()
        group = RowGroup(chunks, rows, offset, pages.size - size, output.size - offset)
        self._row_groups.append(group.encode())
        self.rows += rows
        self._open = True

    def close(self) -> None:
        """Writes the footer, once; the file object stays open.

        Raises:
            ValueError: a write has failed before, so that the file can't be completed.
            OSError: the file does not take the bytes.
        """
        self._begin()
        self._output.put(self._layout.footer.encode(self.rows, self._row_groups))
        self._output.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()

    def _begin(self) -> None:
        # A write that fails leaves a torn file: it never gets a footer.
        if not self._open:
            raise ValueError("the Parquet writer is closed, or a write has failed before")
        self._open = False

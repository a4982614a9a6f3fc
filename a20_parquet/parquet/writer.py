"""Writes one Parquet file, row group by row group."""

from types import TracebackType
from typing import Any, BinaryIO, Self

from a20_parquet.parquet.encoder import EncodedGroup, GroupEncoder
from a20_parquet.parquet.format.footer import MAGIC, chunk_places, row_group
from a20_parquet.parquet.layout import ParquetLayout
from a20_parquet.parquet.output import Output


class ParquetWriter:
    """One file in the making; for one thread.

    As a context manager it closes the file's format (not the file object) where the block ends
    without an exception. Without ``close`` there is no footer, and every reader refuses the file.
    """

    def __init__(
        self, file: BinaryIO, layout: ParquetLayout, encoder: GroupEncoder | None = None
    ) -> None:
        """Writes the magic.

        Args:
            file: where to write to, at its position 0; it stays open. An unbuffered local file
                gets many buffers a call, any other object needs only ``write``.
            layout: of the file.
            encoder: of this layout; whoever writes many files gives all of them the same.

        Raises:
            OSError: the file does not take the bytes.
        """
        self.rows = 0
        """Rows written so far."""
        self._encoder = encoder or GroupEncoder(layout)
        self._output = Output(file)
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

    def write_row_group(self, windows: Any) -> None:
        """Writes one row group. When it returns, the windows' memory may be used for others.

        Args:
            windows: a ``pyarrow.RecordBatch`` with the layout's schema; it may be a slice.

        Raises:
            ValueError: there are no rows, or the writer is closed or has failed before.
            DatasetError: the schema differs, or there are nulls where it forbids them.
            OSError: the file does not take the bytes.
        """
        self._put(self._encoder.encode(windows))
        self._output.flush()
        self._open = True

    def put(self, group: EncodedGroup) -> None:
        """Puts one row group. Until ``close`` the memory of its lists must not change.

        Lists that are read page by page are written before the next page is read.

        Args:
            group: from this writer's encoder, or another of the same layout.

        Raises:
            ValueError: the writer is closed or has failed before.
            DatasetError: there are nulls where the schema forbids them.
            OSError: the file does not take the bytes.
        """
        self._put(group)
        self._open = True

    def close(self) -> None:
        """Writes the footer, once; the file object stays open.

        Raises:
            ValueError: a write has failed before, so that the file can't be completed.
            OSError: the file does not take the bytes.
        """
        self._begin()
        self._output.put(self._encoder.layout.footer.encode(self.rows, self._row_groups))
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

    def _put(self, group: EncodedGroup) -> None:
        self._begin()
        layout, output = self._encoder.layout, self._output
        rows = group.last - group.first
        chunks = [b""] * len(layout.schema)
        offset, size = output.size, 0
        for index, lists in zip(layout.lists, group.lists, strict=True):
            start, list_size = output.size, 0
            for page in lists.pages(group.first, group.last, self._encoder.pages):
                output.put(page.head)
                output.put(page.body)
                if lists.changes:
                    output.flush()
                list_size += page.size
            nulls = lists.count_nulls(group.first, group.last)
            stored_size = output.size - start
            chunks[index] = lists.column.chunk(rows, nulls, start, list_size, stored_size)
            size += list_size
        contents = []
        start = output.size
        for index, flat in zip(layout.flat, group.flat, strict=True):
            content, flat_size, dictionary_size, sizes, statistics = flat
            contents.append(content)
            chunks[index] = b"".join((sizes, chunk_places(start, dictionary_size), statistics))
            start += len(content)
            size += flat_size
        output.put(b"".join(contents))
        self._row_groups.append(row_group(chunks, rows, offset, size, output.size - offset))
        self.rows += rows

    def _begin(self) -> None:
        # A write that fails leaves a torn file: it never gets a footer.
        if not self._open:
            raise ValueError("the Parquet writer is closed, or a write has failed before")
        self._open = False

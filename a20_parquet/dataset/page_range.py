"""Finds the pages of a column chunk that have certain rows, by its offset index."""

from typing import NamedTuple, Self

from a20_parquet.parquet import ColumnChunk, read_offset_index


class PageRange(NamedTuple):
    """Consecutive pages of a column chunk."""

    first: int
    """Number of the first page's first row in the row group."""
    end: int
    """One past the last page's last row."""
    start: int
    """Offset of the first page in the file, in bytes."""
    stop: int
    """Where the last page ends in the file, in bytes."""

    @classmethod
    def whole(cls, chunk: ColumnChunk, rows: int) -> Self:
        """Return all pages of a column chunk."""
        return cls(0, rows, chunk.start, chunk.start + chunk.stored_size)

    @classmethod
    def of_rows(cls, chunk: ColumnChunk, rows: int, index: bytes, first: int, last: int) -> Self:
        """Return the pages from one row's to another's.

        An index has no checksum. So it is used only if it describes what this program writes:
        pages without gaps, of equally many rows but for the last. A reader that compares each
        page's own header with it then notices any wrong value.

        Args:
            chunk: of a column without a dictionary.
            rows: of the row group.
            index: the chunk's ``OffsetIndex``, which nobody has checked.
            first: number of the first wanted row in the row group.
            last: number of the last wanted row.

        Returns:
            All pages if the index is damaged or has another form.
        """
        whole = cls.whole(chunk, rows)
        try:
            pages = read_offset_index(
                index, rows=rows, start=chunk.start, stored_size=chunk.stored_size
            )
        except ValueError:
            return whole
        each = pages[1].first_row if len(pages) > 1 else rows
        stops = [page.start + page.stored_size for page in pages]
        starts = [chunk.start, *stops[:-1]]
        is_known = (
            [page.first_row for page in pages] == list(range(0, rows, each))
            and [page.start for page in pages] == starts
            and stops[-1] == whole.stop
        )
        if not is_known:
            return whole
        begin, end = first // each, last // each
        return cls(begin * each, min(rows, (end + 1) * each), starts[begin], stops[end])

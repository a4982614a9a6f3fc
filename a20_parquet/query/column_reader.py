"""Reads columns of slices of data files: those that a filter tests first, then the others."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.joined_files import Turn
from a20_parquet.query.file_slices import (
    FileSlice,
    Mask,
    count_rows,
    read_embeddings,
    read_metadata,
)
from a20_parquet.windows.schema import EMBEDDING


class ColumnReader:
    """Reads the columns of a query; may be shared by threads."""

    def __init__(
        self,
        catalog: Catalog,
        listed: Sequence[str],
        needed: Sequence[str],
        tested: Sequence[str],
        predicate: pl.Expr | None,
    ) -> None:
        """Prepare to read.

        Args:
            catalog: of the dataset.
            listed: names of the columns whose values are the ``keys`` of slices.
            needed: names of all columns to read.
            tested: names of the columns of ``predicate``.
            predicate: a filter on windows; None for all.
        """
        self._catalog = catalog
        self._listed = listed
        self._needed = needed
        self._tested = tested
        self._predicate = predicate
        self._turn = Turn()

    def test(self, slices: Sequence[FileSlice]) -> tuple[list[Mask], pl.DataFrame]:
        """Test the predicate before any embedding is read.

        Returns:
            A mask of each slice's rows, and the tested columns of the rows that pass.

        Raises:
            DatasetError: a file is missing or damaged.
        """
        kept = [part.wanted() for part in slices]
        tested = self._metadata(slices, kept, self._tested)
        passed = tested.select(self._predicate).to_series().fill_null(value=False)
        if len(passed) != tested.height:  # the predicate is a constant
            passed = passed.new_from_index(0, tested.height)
        of_rows = passed.to_numpy()
        position = 0
        for rows in kept:
            count = int(np.count_nonzero(rows))
            rows[rows] = of_rows[position : position + count]
            position += count
        return kept, tested.filter(passed)

    def gather(
        self, slices: Sequence[FileSlice], kept: Sequence[Mask], tested: pl.DataFrame | None
    ) -> pl.DataFrame:
        """Read the needed columns of the kept rows.

        Args:
            slices: of data files.
            kept: a mask of the rows of each.
            tested: columns of the kept rows that are read already; None without any.

        Returns:
            ``tested``, and the other needed columns.

        Raises:
            DatasetError: a file is missing or damaged.
        """
        frame = self.gather_metadata(slices, kept, tested)
        if EMBEDDING not in self._needed:
            return frame
        out = np.empty((count_rows(kept), self._catalog.dims), np.float32)
        read_embeddings(slices, kept, out)
        floats = pa.Array.from_buffers(pa.float32(), out.size, [None, pa.py_buffer(out)])
        lists = pa.FixedSizeListArray.from_arrays(floats, self._catalog.dims)
        embeddings = pl.DataFrame(pa.table({EMBEDDING: lists}))
        return pl.concat([frame, embeddings], how="horizontal")

    def gather_metadata(
        self, slices: Sequence[FileSlice], kept: Sequence[Mask], tested: pl.DataFrame | None
    ) -> pl.DataFrame:
        """See ``gather``, but without embeddings."""
        frames = [pl.DataFrame(height=count_rows(kept)) if tested is None else tested]
        have = () if tested is None else tested.columns
        missing = [name for name in self._needed if name not in have and name != EMBEDDING]
        if missing:
            used = [(part, rows) for part, rows in zip(slices, kept, strict=True) if rows.any()]
            slices, kept = [part for part, _ in used], [rows for _, rows in used]
            frames.append(self._metadata(slices, kept, missing))
        return pl.concat(frames, how="horizontal")

    def _metadata(
        self, slices: Sequence[FileSlice], kept: Sequence[Mask], names: Sequence[str]
    ) -> pl.DataFrame:
        """Read columns other than the embedding, for the kept rows."""
        schema = self._catalog.schema
        stored = [name for name in names if name not in self._listed]
        owners = np.repeat(np.arange(len(slices)), [np.count_nonzero(rows) for rows in kept])
        series = [
            pl.Series(key, [part.keys[index] for part in slices], schema[key])
            for index, key in enumerate(self._listed)
            if key in names
        ]
        frames = [pl.DataFrame(series).select(pl.all().gather(_series(owners)))] if series else []
        if stored and not slices:
            frames.append(pl.DataFrame(schema={name: schema[name] for name in stored}))
        elif stored:
            # polars is slow with many small chunks.
            frame = pl.DataFrame(read_metadata(slices, stored, self._turn).combine_chunks())
            passed = np.concatenate(kept)
            # A filter copies all rows.
            frames.append(frame if passed.all() else frame.filter(_series(passed)))
        return pl.concat(frames, how="horizontal").select(names)


def _series(values: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> pl.Series:
    """Convert an array as a table, since of others than tables polars imports much to convert."""
    if values.dtype == np.bool_:
        kind, buffer = pa.bool_(), pa.py_buffer(np.packbits(values, bitorder="little"))
    else:
        kind, buffer = pa.int64(), pa.py_buffer(values)
    array = pa.Array.from_buffers(kind, len(values), [None, buffer])
    return pl.DataFrame(pa.table({"values": array})).to_series()

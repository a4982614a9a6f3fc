"""Windows while they are gathered and sorted: what a filename tells is kept once a recording."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.windows.filenames.parse import Recordings

RECORDING_COLUMNS = ("filename", *Recordings.columns(), "site")
"""Columns that are the same in all windows of a recording."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowTable:
    """Metadata and sort keys of windows.

    A window takes a quarter of the memory of its row in a record batch, and is moved as much
    faster.
    """

    schema: Any
    """``keyed_schema(features)``."""
    recordings: Any
    """Record batch of ``RECORDING_COLUMNS``, a row per recording; one may be there repeatedly."""
    recording: npt.NDArray[np.int32]
    """For each window its row in ``recordings``."""
    windows: Any
    """Record batch or table of the schema's other columns, a row per window."""

    def __post_init__(self) -> None:
        """Check that both parts have the same windows."""
        if len(self.recording) != len(self.windows):
            raise ValueError(f"{len(self.recording)} windows here, {len(self.windows)} there")

    def __len__(self) -> int:
        """Count the windows."""
        return len(self.recording)

    def column(self, name: str) -> Any:
        """Return a column of the schema with an item per window."""
        if name in RECORDING_COLUMNS:
            return self.recordings.column(name).take(pa.array(self.recording))
        return self.windows.column(name)

    def take(self, rows: npt.NDArray[np.int64]) -> Self:
        """Return windows by their numbers."""
        taken = pa.table(self.windows).take(pa.array(rows))
        columns = [column.combine_chunks() for column in taken.columns]
        return self._with(self.recording[rows], pa.record_batch(columns, taken.schema))

    def filter(self, taken: npt.NDArray[np.bool_]) -> Self:
        """Return the windows for which ``taken`` is true."""
        return self._with(self.recording[taken], self.windows.filter(pa.array(taken)))

    def slice(self, start: int, stop: int) -> Self:
        """Return windows ``start`` to before ``stop``, or to the last one; nothing is copied."""
        return self._with(self.recording[start:stop], self.windows.slice(start, stop - start))

    def to_batch(self) -> Any:
        """Return all as one record batch of ``schema``."""
        # One call for all columns: a slice is so short that calls cost more than rows.
        recordings = self.recordings.take(pa.array(self.recording))
        return pa.record_batch(
            [
                recordings.column(name) if name in RECORDING_COLUMNS else self.windows.column(name)
                for name in self.schema.names
            ],
            self.schema,
        )

    @classmethod
    def concat(cls, tables: Sequence[Self]) -> Self:
        """Join tables of the same schema, at least one; ``windows`` is not copied."""
        counts = [len(table.recordings) for table in tables]
        firsts = np.cumsum([0, *counts[:-1]])
        return cls(
            tables[0].schema,
            pa.concat_batches([table.recordings for table in tables]),
            np.concatenate(
                [table.recording + first for table, first in zip(tables, firsts, strict=True)],
                dtype=np.int32,
            ),
            pa.concat_tables([pa.table(table.windows) for table in tables]),
        )

    def _with(self, recording: npt.NDArray[np.int32], windows: Any) -> Self:
        return type(self)(self.schema, self.recordings, recording, windows)

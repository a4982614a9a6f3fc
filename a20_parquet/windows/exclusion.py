"""Leaves out windows that a list names, or for which a condition is not true."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from a20_parquet.windows.filenames.clock import Flags
from a20_parquet.windows.selection import LeftOut
from a20_parquet.windows.window_list import Seconds, WindowMatcher, WindowTimes, marked_rows
from a20_parquet.windows.window_table import WindowTable

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exclusion:
    """What to leave out of the windows of the selected sites and dates."""

    listed: WindowMatcher | None = None
    """Names windows to leave out."""
    where: "pl.Expr | None" = None
    """True for windows to take."""

    def apply(self, windows: WindowTable, selected: Flags) -> tuple[Flags, LeftOut]:
        """Say for each window whether it is taken.

        Args:
            windows: of whole records, in the order of ``sort_table``.
            selected: the windows of the selected sites and dates.

        Returns:
            Those of them that are taken, and a description of the others.
        """
        taken = selected
        listed, used = 0, ""
        if self.listed is not None:
            times = _times(windows)
            named = self.listed.match(times)
            listed = int(np.count_nonzero(taken & named))
            taken = taken & ~named
            used = marked_rows(self.listed.used(times))
        if self.where is None:
            return taken, LeftOut(listed=listed, used_rows=used)
        passed = taken & _test(self.where, windows)
        failed = int(np.count_nonzero(taken)) - int(np.count_nonzero(passed))
        return passed, LeftOut(listed=listed, used_rows=used, where=failed)


def _times(windows: WindowTable) -> WindowTimes:
    offset_s = windows.column("recording_offset_in_file").to_numpy()
    numbers = [windows.column(name).to_numpy() for name in ("shard", "record")]
    is_first = np.ones(len(offset_s), np.bool_)
    is_first[1:] = np.any([np.diff(each) != 0 for each in numbers], axis=0)
    record_s: Seconds = offset_s[is_first][np.cumsum(is_first) - 1]
    channel = windows.column("channel").to_numpy().astype(np.int64)
    return WindowTimes(windows.column("filename"), channel, offset_s, record_s)


def _test(where: "pl.Expr", windows: WindowTable) -> Flags:
    import polars as pl

    local = "window_start_local"
    keys = {
        "date": pl.col(local).dt.date(),
        "month": pl.col(local).dt.strftime("%Y-%m"),
        "year": pl.col(local).dt.year().cast(pl.Int64),
    }
    roots = set(where.meta.root_names())
    derived = [expression.alias(name) for name, expression in keys.items() if name in roots]
    needed = (roots - keys.keys()) | ({local} if derived else set()) | {"channel"}
    frame = pl.DataFrame(pa.table({name: windows.column(name) for name in sorted(needed)}))
    passed = frame.with_columns(derived).select(where.alias("passed"))["passed"]
    flags: Flags = passed.fill_null(value=False).to_numpy()
    # The condition may be a constant.
    return np.broadcast_to(flags, len(frame))

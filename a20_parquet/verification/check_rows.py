"""Checks a data file's rows: nulls, order, and keys as in the file's path."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from a20_parquet.windows.filenames.site_token import DISTINCT_TOKENS, recording_sites
from a20_parquet.windows.order import first_out_of_order
from a20_parquet.windows.partition import PartitionBy, period_value, periods
from a20_parquet.windows.schema import METADATA

_US = 1_000_000


class RowChecker:
    """Checks a data file's rows; takes them in the file's order."""

    def __init__(
        self, site: str, period: int | None, by: PartitionBy, rule: int = DISTINCT_TOKENS
    ) -> None:
        """Start before the file's first row.

        Args:
            site: value of the Hive key ``site`` in the file's path.
            period: value of the second Hive key, see ``partition.periods``.
            by: the Hive keys.
            rule: how names became tokens, see ``name_tokens``.
        """
        self.first_us: int | None = None
        """Earliest ``window_start`` so far, microseconds since 1970 in UTC."""
        self.last_us: int | None = None
        """Latest ``window_start`` so far."""
        self._site = site
        self._period = period
        self._by = by
        self._rule = rule
        self._rows = 0
        self._last_row: Any = None

    def check(self, metadata: Any) -> Iterator[str]:
        """Check the next rows.

        Args:
            metadata: a table with the columns of ``metadata_schema()``, at least one row.

        Yields:
            For each kind of problem, a message with its first row.
        """
        yield from self._nulls(metadata)
        yield from self._order(metadata)
        yield from self._sites(metadata)
        yield from self._periods(metadata)
        starts = pc.min_max(metadata["window_start"].cast(pa.int64())).as_py()
        if starts["min"] is not None:
            firsts = [each for each in (self.first_us, starts["min"]) if each is not None]
            lasts = [each for each in (self.last_us, starts["max"]) if each is not None]
            self.first_us, self.last_us = min(firsts), max(lasts)
        self._rows += len(metadata)

    def _nulls(self, metadata: Any) -> Iterator[str]:
        for column in METADATA:
            nulls = metadata[column.name].null_count
            if nulls and not column.nullable:
                yield f"{column.name} is null in {nulls:,} rows from row {self._rows} on"

    def _order(self, metadata: Any) -> Iterator[str]:
        rows = metadata
        if self._last_row is not None:
            rows = pa.concat_tables([self._last_row, metadata])
        found = first_out_of_order(rows)
        if found is not None:
            row = self._rows + found - (len(rows) - len(metadata))
            yield f"row {row} should come before row {row - 1}: the rows are not in sort order"
        self._last_row = metadata.slice(len(metadata) - 1)

    def _sites(self, metadata: Any) -> Iterator[str]:
        tokens = recording_sites(
            metadata["site_id"], metadata["site_name"], metadata["subsite_name"], self._rule
        )
        wrong = pc.fill_null(pc.not_equal(tokens, self._site), False)
        if (row := _first(wrong)) is not None:
            yield (
                f"row {self._rows + row} belongs to site={tokens[row]}, but the file is in "
                f"site={self._site}"
            )

    def _periods(self, metadata: Any) -> Iterator[str]:
        if self._by.period is None:
            return
        local = metadata["window_start_local"].combine_chunks().cast(pa.int64())
        found = periods(pc.fill_null(local, 0).to_numpy() // _US, self._by)
        is_null = local.is_null().to_numpy(zero_copy_only=False)
        wrong = ~is_null if self._period is None else is_null | (found != self._period)
        if wrong.any():
            row = int(np.argmax(wrong))
            belongs = None if is_null[row] else int(found[row])
            yield (
                f"row {self._rows + row} belongs to {self._by.period}="
                f"{period_value(belongs, self._by)}, but the file is in {self._by.period}="
                f"{period_value(self._period, self._by)}"
            )


def _first(mask: Any) -> int | None:
    index = pc.index(mask, pa.scalar(True)).as_py()
    return None if index < 0 else int(index)

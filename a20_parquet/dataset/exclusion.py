"""What one conversion leaves out besides other sites and dates, made of its options."""

import pyarrow as pa

from a20_parquet.dataset.options import ReadingOptions, TableOptions
from a20_parquet.windows.exclusion import Exclusion
from a20_parquet.windows.schema import EMBEDDING, KEYS, window_schema
from a20_parquet.windows.window_list import WindowList, WindowMatcher


def make_exclusion(
    table: TableOptions, reading: ReadingOptions, listed: WindowList | None
) -> Exclusion | None:
    """Return what a conversion leaves out; None if it has neither a list nor a condition.

    Args:
        table: options of the table, with its dims and features.
        reading: options of the conversion.
        listed: the list that ``reading.exclude`` names.

    Raises:
        UsageError: ``reading.where`` is not a condition on the table's columns.
    """
    if listed is None and reading.where is None:
        return None
    matcher = None
    if listed is not None:
        matcher = WindowMatcher(listed, table.window_seconds, knows_records=True)
    where = None
    if reading.where is not None:
        import polars as pl

        from a20_parquet.dataset.where import parse_where

        schema = window_schema(table.dims, table.features)
        fields = [field for field in schema if field.name != EMBEDDING]
        fields += [KEYS[key].field for key in table.partition_by.keys]
        where = parse_where(reading.where, pl.DataFrame(pa.schema(fields).empty_table()).schema)
    return Exclusion(listed=matcher, where=where)

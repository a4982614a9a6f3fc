"""The rules by which one conversion turns records into windows, made of its options.

Apart from the options: queries read these, and importing the rules takes them a tenth of a second.
"""

from typing import TYPE_CHECKING

import pyarrow as pa

from a20_parquet.dataset.options import ReadingOptions, TableOptions
from a20_parquet.windows.build import WindowRules
from a20_parquet.windows.exclusion import Exclusion
from a20_parquet.windows.filenames.parse import FilenameRules
from a20_parquet.windows.schema import EMBEDDING, KEYS, window_schema
from a20_parquet.windows.selection import Selection
from a20_parquet.windows.window_list import WindowList, WindowMatcher

if TYPE_CHECKING:
    from a20_parquet.windows.filenames.site_table import SiteTable


def window_rules(
    table: TableOptions,
    reading: ReadingOptions,
    sites: "SiteTable | None",
    exclusion: Exclusion | None = None,
) -> WindowRules:
    """Return the rules by which one conversion turns records into windows.

    Args:
        table: options of the table.
        reading: options of the conversion.
        sites: the sites table that it was given.
        exclusion: see ``make_exclusion``.
    """
    return WindowRules(
        window_s=table.window_seconds,
        by=table.partition_by,
        dims=table.dims,
        channels=table.channels,
        features=table.features,
        store=table.store,
        filenames=FilenameRules(
            reading.filename_pattern, sites, reading.unknown_site, table.site_tokens
        ),
        selection=Selection.of(
            reading.site, reading.from_date, reading.until_date, site_tokens=table.site_tokens
        ),
        exclusion=exclusion,
    )


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
        where = parse_where(reading.where, pl.Schema(pa.schema(fields)))
    return Exclusion(listed=matcher, where=where)

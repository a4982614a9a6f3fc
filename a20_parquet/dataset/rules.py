"""How a conversion's options make records into windows."""

from typing import TYPE_CHECKING

from a20_parquet.dataset.manifest import ReadingOptions, TableOptions
from a20_parquet.windows.build import WindowRules
from a20_parquet.windows.filenames.parse import FilenameRules
from a20_parquet.windows.selection import Selection

if TYPE_CHECKING:
    from a20_parquet.windows.filenames.site_table import SiteTable


def window_rules(
    table: TableOptions, reading: ReadingOptions, sites: "SiteTable | None"
) -> WindowRules:
    """Put the rules together.

    Args:
        table: options of the dataset.
        reading: options of one of its conversions.
        sites: the sites table of that conversion, where it had one.
    """
    return WindowRules(
        window_s=table.window_seconds,
        by=table.partition_by,
        dims=table.dims,
        channels=table.channels,
        features=table.features,
        filenames=FilenameRules(
            reading.filename_pattern, sites, reading.unknown_site, table.site_tokens
        ),
        selection=Selection.of(
            reading.site, reading.from_date, reading.until_date, site_tokens=table.site_tokens
        ),
    )

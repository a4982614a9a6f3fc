"""Creates DuckDB's view and function over the files in a dataset's list."""

import logging
from typing import TYPE_CHECKING, Final

import polars as pl

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile, file_size
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.query.kept_links import read_links
from a20_parquet.query.link_macro import create_link_macro
from a20_parquet.query.sql import comments
from a20_parquet.query.view_sql import FilesInSql, create_macro, create_view

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LOGGER: Final = logging.getLogger(__name__)
_FIX: Final = "Copy or convert the dataset again."


def make_view(connection: "DuckDBPyConnection", catalog: Catalog) -> None:
    """Create the view ``windows`` over the files in a dataset's list.

    Raises:
        DatasetError: a local file is missing or has another size, or the first one is damaged.
        UsageError: DuckDB cannot read files from this path.
    """
    if catalog.is_local:
        check_files(catalog, catalog.files)
        _check_first_footer(catalog)
    connection.begin()
    connection.execute(create_view(_files(catalog)))
    comment_columns(connection, catalog)
    connection.commit()


def make_macro(connection: "DuckDBPyConnection", catalog: Catalog) -> None:
    """Create the function ``windows_of``, which reads the files of one site.

    Raises:
        UsageError: DuckDB cannot read files from this path.
    """
    connection.execute(create_macro(_files(catalog)))


def make_link_macros(connection: "DuckDBPyConnection", catalog: Catalog) -> None:
    """Create a macro for each template of links that is kept in a dataset.

    Raises:
        DatasetError: the templates cannot be read.
    """
    for name, template in read_links(catalog).items():
        try:
            macro = create_link_macro(name, template, catalog.schema)
        except UsageError as error:
            # The dataset may have been converted again without a column.
            _LOGGER.info("no macro for the link %s: %s", name, error)
            continue
        connection.execute(macro)


def comment_columns(connection: "DuckDBPyConnection", catalog: Catalog) -> None:
    """Say what each column of ``windows`` means."""
    for statement in comments(catalog.dims, catalog.partition_by, catalog.features):
        connection.execute(statement)


def check_files(catalog: Catalog, files: pl.DataFrame) -> None:
    """Check that files of a local dataset are regular files of the right size.

    DuckDB would wait for ever for a named pipe.

    Args:
        catalog: of the dataset.
        files: some of its list of files.

    Raises:
        DatasetError: a file is missing or has another size.
    """
    for path, size in files.select("path", "bytes").iter_rows():
        url = catalog.url(path)
        try:
            found = file_size(url)
        except OSError as error:
            raise DatasetError(f"{url}: cannot be read: {error}. {_FIX}") from error
        if found != size:
            raise DatasetError(
                f"{url} has {found} bytes, expected {size} as in files.parquet. {_FIX}"
            )


def _check_first_footer(catalog: Catalog) -> None:
    """Read the first file's footer, of which DuckDB's errors do not name the file."""
    for path, size, rows in catalog.files.head(1).select("path", "bytes", "rows").iter_rows():
        with DataFile(catalog, path, rows=rows, size=size) as opened:
            _ = opened.schema  # reads the footer


def _files(catalog: Catalog) -> FilesInSql:
    return FilesInSql(
        root=catalog.location,
        files=dict(catalog.files.select("path", "checksum").iter_rows()),
        dims=catalog.dims,
        by=catalog.partition_by,
        features=catalog.features,
    )

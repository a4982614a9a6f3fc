"""Opens a dataset as a DuckDB connection."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile, file_size
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.query.kept_links import read_links
from a20_parquet.query.link_macro import create_link_macro
from a20_parquet.query.sql import comments, create_view

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LOGGER: Final = logging.getLogger(__name__)
_FIX: Final = "Copy or convert the dataset again."
OFFLINE: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
"""Settings with which DuckDB downloads nothing."""


def connect(dataset: str | Path) -> "DuckDBPyConnection":
    """Open a dataset in DuckDB, in memory, as the view ``windows``.

    Queries read only what they need: filters on ``site`` and the other keys choose files, filters
    on ``window_start`` choose row groups. ``embedding`` is a ``FLOAT[dims]``, a feature of n floats
    a ``FLOAT[n]``, null if a record lacks it. After an overwrite of a local dataset, queries
    raise DuckDB's ``InvalidInputException``. Windows appended later are not seen. Connections are
    independent; ``cursor()`` returns one for another thread. Each template of links that is kept in
    the dataset is a macro of its columns, such as ``link_a2o(file_seq_id)``.

    Args:
        dataset: its folder, or any fsspec URL of it.

    Raises:
        DatasetError: the path is not a complete dataset, or DuckDB cannot read it.
        UsageError: DuckDB cannot read files from this path.
    """
    import duckdb

    catalog = Catalog.open(dataset)
    connection = duckdb.connect(":memory:", config=OFFLINE)
    try:
        if not catalog.is_local:
            connection.register_filesystem(catalog.filesystem)
        make_view(connection, catalog)
        make_link_macros(connection, catalog)
    # An error whose text is not UTF-8 arrives as a ValueError.
    except (duckdb.Error, OSError, ValueError) as error:
        connection.close()
        raise DatasetError(
            f"{catalog.location}: DuckDB cannot read its files: {error}. {_FIX}"
        ) from error
    return connection


def make_view(connection: "DuckDBPyConnection", catalog: Catalog) -> None:
    """Create the view ``windows`` over the files in a dataset's list.

    Raises:
        DatasetError: a local file is missing or has another size, or the first one is damaged.
    """
    if catalog.is_local:
        _check_files(catalog)
    of = catalog.dims, catalog.partition_by, catalog.features
    # In one transaction, because each comment stores the view with all its paths again.
    connection.begin()
    files = dict(catalog.files.select("path", "checksum").iter_rows())
    connection.execute(create_view(catalog.location, files, *of))
    for comment in comments(*of):
        connection.execute(comment)
    connection.commit()


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


def _check_files(catalog: Catalog) -> None:
    """Check that all files are regular files of the right size, and read the first footer.

    DuckDB would wait for ever for a named pipe, and its errors do not name the damaged file.
    """
    files = catalog.files.select("path", "bytes", "rows").rows()
    for path, size, _ in files:
        url = catalog.url(path)
        try:
            found = file_size(url)
        except OSError as error:
            raise DatasetError(f"{url}: cannot be read: {error}. {_FIX}") from error
        if found != size:
            raise DatasetError(
                f"{url} has {found} bytes, expected {size} as in files.parquet. {_FIX}"
            )
    for path, size, rows in files[:1]:
        with DataFile(catalog, path, rows=rows, size=size) as opened:
            _ = opened.schema  # reads the footer

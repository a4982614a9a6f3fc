"""A dataset as a DuckDB connection."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile, file_size
from a20_parquet.errors import DatasetError
from a20_parquet.query.sql import comments, create_view

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEND: Final = "Copy or convert the dataset again."
OFFLINE: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
"""DuckDB's settings under which it downloads nothing."""


def connect(dataset: str | Path) -> "DuckDBPyConnection":
    """Open a dataset in DuckDB, in memory, as the view ``windows``.

    Only the files are read that a query needs: filters on ``site`` and the other keys choose files,
    those on ``window_start`` row groups. ``embedding`` is a ``FLOAT[dims]``, a feature of n floats
    a ``FLOAT[n]``, null if a record has none. After an overwrite of a local dataset, queries
    raise DuckDB's ``InvalidInputException``; an append adds nothing to what is open. Connections
    are independent; ``cursor()`` gives one for each further thread.

    Args:
        dataset: its folder, or any fsspec URL of it.

    Raises:
        DatasetError: the path is not a complete dataset, or DuckDB cannot read it.
        UsageError: DuckDB cannot read files at such a path.
    """
    import duckdb

    catalog = Catalog.open(dataset)
    connection = duckdb.connect(":memory:", config=OFFLINE)
    try:
        if not catalog.is_local:
            connection.register_filesystem(catalog.filesystem)
        make_view(connection, catalog)
    # An error whose text is not UTF-8 arrives as a ValueError.
    except (duckdb.Error, OSError, ValueError) as error:
        connection.close()
        raise DatasetError(
            f"{catalog.location}: DuckDB cannot read its files: {error}. {_MEND}"
        ) from error
    return connection


def make_view(connection: "DuckDBPyConnection", catalog: Catalog) -> None:
    """Create the view ``windows`` over the files that a dataset's list names.

    Raises:
        DatasetError: a local file is missing or is another one, or the first one is damaged.
    """
    if catalog.is_local:
        _check_files(catalog)
    of = catalog.dims, catalog.partition_by, catalog.features
    # In one transaction: each comment alone would store the view, with all its paths, once more.
    connection.begin()
    files = dict(catalog.files.select("path", "checksum").iter_rows())
    connection.execute(create_view(catalog.location, files, *of))
    for comment in comments(*of):
        connection.execute(comment)
    connection.commit()


def _check_files(catalog: Catalog) -> None:
    """Check kind and size of all files, and the first footer, which DuckDB reads now.

    DuckDB would wait for ever for a named pipe, and does not name a damaged file.
    """
    files = catalog.files.select("path", "bytes", "rows").rows()
    for path, size, _ in files:
        url = catalog.url(path)
        try:
            found = file_size(url)
        except OSError as error:
            raise DatasetError(f"{url}: cannot be read: {error}. {_MEND}") from error
        if found != size:
            raise DatasetError(
                f"{url} has {found} bytes, expected {size} as in files.parquet. {_MEND}"
            )
    for path, size, rows in files[:1]:
        with DataFile(catalog, path, rows=rows, size=size) as opened:
            _ = opened.schema

"""Opens a dataset as a DuckDB connection."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError
from a20_parquet.query.duckdb_view import comment_columns, make_link_macros, make_view
from a20_parquet.query.sql import RELATION, identifier

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

OFFLINE: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
"""Settings with which DuckDB downloads nothing."""
_SOURCE_VERSIONS: Final = ("2.0.",)
"""Versions of DuckDB whose protocol ``duckdb_source`` implements."""


def connect(dataset: str | Path) -> "DuckDBPyConnection":
    """Open a dataset in DuckDB, in memory, as the view ``windows``.

    Queries read only what they need, as those of ``scan`` do: comparisons of ``site`` and the other
    keys, of times, ``filename`` and ``file_seq_id`` with constants choose files from the list of
    files, and none is opened to count windows by keys. ``embedding`` is a ``FLOAT[dims]``, a
    feature of n floats a ``FLOAT[n]``, null if a record lacks it. After an overwrite of the
    dataset, and if a data file is missing or damaged, queries raise DuckDB's
    ``InvalidInputException``. Windows appended later are not seen. Connections are independent;
    ``cursor()`` returns one for another thread. Each template of links that is kept in the
    dataset is a macro of its columns, such as ``link_a2o(file_seq_id)``.

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
        if duckdb.__version__.startswith(_SOURCE_VERSIONS):
            _register_source(connection, catalog)
        else:
            if not catalog.is_local:
                connection.register_filesystem(catalog.filesystem)
            make_view(connection, catalog)
        make_link_macros(connection, catalog)
    # An error whose text is not UTF-8 arrives as a ValueError.
    except (duckdb.Error, OSError, ValueError) as error:
        connection.close()
        raise DatasetError(
            f"{catalog.location}: DuckDB cannot read its files: {error}. "
            "Copy or convert the dataset again."
        ) from error
    return connection


def _register_source(connection: "DuckDBPyConnection", catalog: Catalog) -> None:
    """Create the view ``windows`` over files that are chosen for each query."""
    from a20_parquet.query.duckdb_source import WindowSource

    source = connection.from_arrow(WindowSource(catalog))
    source.project(", ".join(map(identifier, catalog.schema))).create_view(RELATION)
    comment_columns(connection, catalog)

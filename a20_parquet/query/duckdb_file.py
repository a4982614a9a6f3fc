"""Writes a dataset as a DuckDB database file."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
import psutil
import pyarrow as pa

from a20_parquet.checks import check_size, count_workers
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import A20ParquetError, DatasetError, UsageError
from a20_parquet.progress import Progress, ProgressOption, open_progress
from a20_parquet.query.connect import OFFLINE
from a20_parquet.query.duckdb_view import make_macro, make_view
from a20_parquet.query.sql import RELATION, comments, create_table, identifier, literal
from a20_parquet.query.window_query import WindowQuery
from a20_parquet.resources import METADATA_ROW_BYTES, default_budget
from a20_parquet.storage.path import local_file
from a20_parquet.windows.schema import feature_bytes

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LOGGER = logging.getLogger(__name__)
As = Literal["view", "table"]

_MAGIC = b"DUCK"
_MAGIC_OFFSET = 8
# The oldest stable one: programs such as R often have an older DuckDB.
_STORAGE_VERSION = "v1.0.0"
_VECTOR_ROWS = 2048
_MAX_ROW_GROUP_ROWS = 60 * _VECTOR_ROWS
_ROW_GROUPS = 8
# A batch is in memory here, in Arrow, and in DuckDB before DuckDB counts it as its own.
_COPIES = 3
_READ_SHARE = 4
"""What is read takes one part in this number of the budget; DuckDB takes the rest."""
_SOURCE = "a20_source"


@dataclass(frozen=True, slots=True, kw_only=True)
class DuckDBFile:
    """A database that ``duckdb`` wrote."""

    file: Path
    """Absolute."""
    dataset: str
    """An absolute path or a URL."""
    as_: As
    """Whether ``windows`` is a view over the dataset's files or a table."""
    windows: int
    files: int
    """Number of the dataset's data files."""
    bytes: int
    """Size of the database."""


def duckdb(  # noqa: PLR0913 - the command's options, each a keyword
    dataset: str | Path,
    file: str | Path,
    *,
    as_: As = "view",
    force: bool = False,
    memory: int | str | None = None,
    workers: int | None = None,
    progress: ProgressOption = None,
) -> DuckDBFile:
    """Write a DuckDB database with the windows of a dataset as the relation ``windows``.

    A view has the absolute paths of the dataset's files: make it again after the dataset was moved
    or has grown, which takes some 10 s with 374,000 files. With it comes the function
    ``windows_of(site, date)``, which reads the files of one site, or of one site and date, without
    a look at all others. A table is a copy of all windows.

    Args:
        dataset: its folder, or any fsspec URL of it; a view needs a folder.
        file: the database to write; an existing one is replaced when the new one is complete.
        as_: ``view`` or ``table``.
        force: whether to replace an existing database.
        memory: bytes for all buffers while a table is loaded, or a size such as ``500MB``; by
            default a quarter of what this process may use.
        workers: threads; by default the cores that this process may use.
        progress: ``True`` shows bars in a terminal or a notebook, and elsewhere a line every 30 s;
            or an object that receives the progress, see ``a20_parquet.progress.Progress``.

    Raises:
        UsageError: the file exists or cannot be at this path, or an option is invalid.
        DatasetError: the dataset cannot be read or the file cannot be written.
    """
    if as_ not in ("view", "table"):
        raise UsageError(f"--as {as_}: expected view or table")
    workers = count_workers(workers)
    budget = default_budget() if memory is None else check_size(memory)
    catalog = Catalog.open(dataset)
    if as_ == "view" and not catalog.is_local:
        raise UsageError(
            f"{catalog.location}: plain DuckDB cannot read it through a view. Give --as table, "
            "or open it with a20_parquet.connect."
        )
    target = local_file(file)
    _check(target, catalog, force=force)
    with _replacement(target) as temporary, _database(temporary, budget, workers, catalog) as made:
        if as_ == "view":
            make_view(made, catalog)
            make_macro(made, catalog)
        else:
            with open_progress(progress) as shown:
                _load_table(made, catalog, budget // _READ_SHARE, workers, shown)
    return DuckDBFile(
        file=target,
        dataset=catalog.location,
        as_=as_,
        windows=catalog.head.totals.windows,
        files=catalog.head.totals.files,
        bytes=target.stat().st_size,
    )


@contextmanager
def _database(
    file: Path, budget: int, workers: int, catalog: Catalog
) -> Iterator["DuckDBPyConnection"]:
    """Lend a connection to a new database, which afterwards is one file without a log."""
    import duckdb

    config = OFFLINE | {
        "memory_limit": f"{budget - budget // _READ_SHARE}B",
        "threads": workers,
        "temp_directory": str(file.parent / "spill"),
    }
    _LOGGER.info("DuckDB: %s", {name: config[name] for name in ("memory_limit", "threads")})
    row_bytes = METADATA_ROW_BYTES + 4 * catalog.dims + feature_bytes(catalog.features)
    # DuckDB gathers a row group before it writes it: several have to fit the budget.
    vectors = max(budget // _ROW_GROUPS // row_bytes // _VECTOR_ROWS, 1)
    rows = min(vectors * _VECTOR_ROWS, _MAX_ROW_GROUP_ROWS)
    try:
        with closing(duckdb.connect(":memory:", config=config)) as connection:
            options = f"ROW_GROUP_SIZE {rows}, STORAGE_VERSION {literal(_STORAGE_VERSION)}"
            connection.execute(f"ATTACH {literal(str(file))} AS made ({options})")
            connection.execute("USE made")
            yield connection
            connection.execute("CHECKPOINT made")
    except duckdb.OutOfMemoryException as error:
        raise UsageError(
            f"--memory {budget} is too little for windows of {catalog.dims} floats: {error}. "
            "Give more."
        ) from error
    except duckdb.Error as error:
        raise DatasetError(f"{file.parent}: the database cannot be made: {error}") from error


def _load_table(
    connection: "DuckDBPyConnection",
    catalog: Catalog,
    read_bytes: int,
    workers: int,
    progress: Progress,
) -> None:
    """Create the table ``windows`` with all windows in the dataset's order.

    Raises:
        DatasetError: a data file is missing or damaged.
    """
    of = catalog.dims, catalog.partition_by, catalog.features
    for statement in (create_table(*of), *comments(*of)):
        connection.execute(statement)
    # Each worker has a batch in hand and another one waiting.
    batch_bytes = read_bytes // (_COPIES * (2 * workers + 1))
    query = WindowQuery(catalog, None, batch_bytes=batch_bytes)
    # DuckDB hides the errors of what it reads from, so they are kept here.
    failed: list[A20ParquetError] = []

    def record_batches() -> Iterator[Any]:
        frames = query.map(query.read, name="loading", progress=progress, workers=workers)
        try:
            for frame in frames:
                yield from frame.to_arrow().to_batches()
        except A20ParquetError as error:
            failed.append(error)
            raise

    names = ", ".join(identifier(name) for name in catalog.schema)
    schema = pl.DataFrame(schema=catalog.schema).to_arrow().schema
    connection.register(_SOURCE, pa.RecordBatchReader.from_batches(schema, record_batches()))
    try:
        # One statement per batch would rewrite the last row group every time.
        fill = f"INSERT INTO {RELATION} SELECT {names} FROM {_SOURCE}"  # noqa: S608 - all quoted
        connection.execute(fill)
    except Exception as error:
        if failed:
            raise failed[0] from error
        raise
    finally:
        connection.unregister(_SOURCE)


def _check(target: Path, catalog: Catalog, *, force: bool) -> None:
    """Raise ``UsageError`` if the database cannot or must not be written."""
    if target.is_dir():
        raise UsageError(f"{target} is a folder. Name a file for the database.")
    if "?" in str(target):
        raise UsageError(f"{target}: DuckDB ends a path at a question mark. Name another path.")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is not a folder. Make it first, or name another file.")
    if catalog.is_local and target.resolve().is_relative_to(Path(catalog.root, "data").resolve()):
        raise UsageError(f"{target} is among the dataset's data files. Name another path.")
    if not target.exists():
        return
    if not target.is_file():
        raise UsageError(
            f"{target} is not a file, but a named pipe, a socket or a device. Name another."
        )
    if not force:
        raise UsageError(f"{target} already exists. Name another file, or give --force.")
    try:
        with target.open("rb") as opened:
            is_database = opened.read(_MAGIC_OFFSET + len(_MAGIC))[_MAGIC_OFFSET:] == _MAGIC
    except OSError as error:
        raise DatasetError(f"{target}: cannot be read: {error}") from error
    if not is_database:
        raise UsageError(
            f"{target} is not a DuckDB database, so --force does not replace it. Name another file."
        )


@contextmanager
def _replacement(target: Path) -> Iterator[Path]:
    """Lend a path beside ``target`` for a file that replaces it if nothing fails."""
    prefix, suffix = f".{target.name}.", ".tmp"
    folder = target.with_name(f"{prefix}{os.getpid()}{suffix}")
    for path in target.parent.iterdir():
        if path.name.startswith(prefix) and path.name.endswith(suffix):
            process = path.name.removeprefix(prefix).removesuffix(suffix)
            if process.isdecimal() and not psutil.pid_exists(int(process)):
                shutil.rmtree(path, ignore_errors=True)  # a killed process left it
    try:
        folder.mkdir()
        yield folder / target.name
        # DuckDB would apply a log beside the new file to the new file.
        target.with_name(target.name + ".wal").unlink(missing_ok=True)
        (folder / target.name).replace(target)
    except OSError as error:
        raise DatasetError(f"{target}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)

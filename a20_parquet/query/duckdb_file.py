"""A dataset as a DuckDB database file."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from a20_parquet.checks import check_size, count_workers
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.progress import ProgressOption, open_progress
from a20_parquet.query.connect import OFFLINE, make_view
from a20_parquet.query.duckdb_load import database_memory, load_windows, row_group_rows
from a20_parquet.query.sql import comments, create_table, literal
from a20_parquet.resources import default_budget
from a20_parquet.storage.path import local_file
from a20_parquet.windows.schema import feature_bytes

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LOGGER = logging.getLogger(__name__)
As = Literal["view", "table"]

_MAGIC = b"DUCK"
_MAGIC_OFFSET = 8
# Others open the file with a DuckDB of their own, often an older one, such as R's.
_STORAGE_VERSION = "v1.0.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class DuckDBFile:
    """A database that was made."""

    file: Path
    """Absolute."""
    dataset: str
    """Where the dataset lies: an absolute path or a URL."""
    as_: As
    """Whether ``windows`` is a view over the dataset's files or a table of its own."""
    windows: int
    files: int
    """Data files of the dataset."""
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
    """Make a DuckDB database with the windows of a dataset as the relation ``windows``.

    A view names the dataset's files by their absolute paths: it is of no use once the dataset has
    moved or grown, and is made anew in an instant. A table holds everything itself.

    Args:
        dataset: its folder, or any fsspec URL of it; a view needs a folder.
        file: the database to write; replaced only when it is whole.
        as_: ``view`` or ``table``.
        force: whether to replace a database that is already there.
        memory: bytes for all buffers while a table is loaded, or a size such as ``500MB``; by
            default a quarter of what this process may use.
        workers: threads; by default the cores that this process may use.
        progress: ``True`` shows bars in a terminal or a notebook, and elsewhere a line every 30 s;
            or an object that receives the progress, see ``a20_parquet.progress.Progress``.

    Raises:
        UsageError: the file is there already or lies where none can be, or an option makes no
            sense.
        DatasetError: the dataset cannot be read or the file cannot be written.
    """
    if as_ not in ("view", "table"):
        raise UsageError(f"--as {as_}: expected view or table")
    workers = count_workers(workers)
    budget = default_budget() if memory is None else check_size(memory)
    catalog = Catalog.open(dataset)
    if as_ == "view" and not catalog.is_local:
        raise UsageError(
            f"{catalog.location}: plain DuckDB could not read it through a view. Give --as table, "
            "or open it with a20_parquet.connect."
        )
    target = local_file(file)
    _check(target, catalog, force=force)
    with _replacement(target) as temporary, _database(temporary, budget, workers, catalog) as made:
        if as_ == "view":
            make_view(made, catalog)
        else:
            _make_table(made, catalog)
            with open_progress(progress) as shown:
                load_windows(made, catalog, budget=budget, workers=workers, progress=shown)
    return DuckDBFile(
        file=target,
        dataset=catalog.location,
        as_=as_,
        windows=catalog.manifest.totals.windows,
        files=catalog.manifest.totals.files,
        bytes=target.stat().st_size,
    )


@contextmanager
def _database(
    file: Path, budget: int, workers: int, catalog: Catalog
) -> Iterator["DuckDBPyConnection"]:
    """Lend a connection to a new database, which afterwards is one file without a log."""
    import duckdb

    config = OFFLINE | {
        "memory_limit": f"{database_memory(budget)}B",
        "threads": workers,
        "temp_directory": str(file.parent / "spill"),
    }
    _LOGGER.info("DuckDB: %s", {name: config[name] for name in ("memory_limit", "threads")})
    rows = row_group_rows(budget, 4 * catalog.dims + feature_bytes(catalog.features))
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


def _make_table(connection: "DuckDBPyConnection", catalog: Catalog) -> None:
    of = catalog.dims, catalog.partition_by, catalog.features
    connection.execute(create_table(*of))
    for comment in comments(*of):
        connection.execute(comment)


def _check(target: Path, catalog: Catalog, *, force: bool) -> None:
    if target.is_dir():
        raise UsageError(f"{target} is a folder. Name a file for the database.")
    if "?" in str(target):
        raise UsageError(f"{target}: DuckDB ends a path at a question mark. Name another place.")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is no folder. Make it first, or name another file.")
    if catalog.is_local and target.resolve().is_relative_to(Path(catalog.root, "data").resolve()):
        raise UsageError(f"{target} lies among the dataset's data files. Name another place.")
    if not target.exists():
        return
    if not target.is_file():
        raise UsageError(f"{target} is no file: a named pipe, a socket or a device. Name another.")
    if not force:
        raise UsageError(f"{target} is already there. Name another file, or give --force.")
    try:
        with target.open("rb") as opened:
            is_database = opened.read(_MAGIC_OFFSET + len(_MAGIC))[_MAGIC_OFFSET:] == _MAGIC
    except OSError as error:
        raise DatasetError(f"{target}: cannot be read: {error}") from error
    if not is_database:
        raise UsageError(
            f"{target} is no DuckDB database. Name another file: this one is not replaced, with "
            "--force neither."
        )


@contextmanager
def _replacement(target: Path) -> Iterator[Path]:
    """Lend a path beside ``target`` for a file that takes its place if nothing fails."""
    _remove_leftovers(target)
    folder = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        folder.mkdir()
        yield folder / target.name
        # A log beside the new file would be taken for the new file's.
        target.with_name(target.name + ".wal").unlink(missing_ok=True)
        (folder / target.name).replace(target)
    except OSError as error:
        raise DatasetError(f"{target}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(target: Path) -> None:
    """Remove what a killed process left."""
    prefix, suffix = f".{target.name}.", ".tmp"
    for path in target.parent.iterdir():
        name = path.name
        if name.startswith(prefix) and name.endswith(suffix):
            process = name.removeprefix(prefix).removesuffix(suffix)
            if process.isdecimal() and not psutil.pid_exists(int(process)):
                shutil.rmtree(path, ignore_errors=True)

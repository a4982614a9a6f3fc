"""Writes selected windows as a Hoplite database, through perch-hoplite's own API."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta, timezone
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.summaries import Origin
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.exporting.folder import new_folder
from a20_parquet.exporting.select_rows import SelectedRows
from a20_parquet.exporting.source_rows import open_cursor, selected_partitions
from a20_parquet.formatting import format_bytes, format_count
from a20_parquet.progress import Progress
from a20_parquet.resources import free_memory
from a20_parquet.runs.run import Rows
from a20_parquet.windows.half import HalfRounder, overflows

_ORIGIN: Final = "a20_parquet_origin"
"""Key of the database's metadata whose value is the export's ``Origin``."""
_DATABASE: Final = "hoplite.sqlite"
_FILES: Final = {_DATABASE, "hoplite.sqlite-shm", "hoplite.sqlite-wal", "usearch.index"}
_BATCH_ROWS: Final = 2048
_GRAPH_BYTES: Final = 600
"""About what the index holds of a window besides its vector."""
_COLUMNS: Final = (
    *("filename", "file_timestamp", "utc_offset_minutes", "recording_offset_in_file", "channel"),
)


def check_hoplite(catalog: Catalog) -> None:
    """Raise UsageError if perch-hoplite is not installed, or no window is wide enough."""
    _load()
    if not catalog.dims:
        raise UsageError(f"{catalog.location} has no embeddings to write.")


def write_hoplite(
    catalog: Catalog, rows: SelectedRows, origin: Origin, folder: Path, progress: Progress
) -> list[str]:
    """Write a database: deployments (sites), recordings, windows, embeddings, model, in one thread.

    Hoplite holds all vectors in memory while it is written, and stores them as float16.

    Args:
        catalog: the dataset.
        rows: the selected ones.
        origin: which part it is.
        folder: checked; what is in it is replaced when all is written.
        progress: of the bytes of embeddings.

    Returns:
        Lines on what a user may not expect.

    Raises:
        UsageError: perch-hoplite is not installed, the windows do not fit into the memory, or one
            has a value that float16 cannot hold.
        DatasetError: a file cannot be read or written.
    """
    total = int(rows.counts.sum())
    need = total * (2 * catalog.dims + _GRAPH_BYTES)
    if need > (free := free_memory()):
        raise UsageError(
            f"{format_count(total, 'window')} take about {format_bytes(need)} of memory while "
            f"Hoplite writes them, and {format_bytes(free)} are free. Export fewer, such as with "
            "--per site,date 100."
        )
    progress.start("writing Hoplite", total * catalog.dims * 4)
    with new_folder(folder) as new, _quiet(), _write_errors(folder):
        writer = _Writer(catalog, new, origin)
        with closing(writer):
            for site, metadata, embeddings in _batches(catalog, rows):
                writer.add(site, metadata, embeddings)
                progress.advance(embeddings.nbytes)
            catalog.check_unchanged()
            writer.commit()
    return [f"Hoplite stores float16: {writer.rounder.take()}"]


def is_hoplite_export(folder: Path) -> bool:
    """Whether an export wrote a folder with a database, and nothing else is in it."""
    try:
        if not {path.name for path in folder.iterdir()} <= _FILES:
            return False
        with closing(
            sqlite3.connect(f"{(folder / _DATABASE).as_uri()}?mode=ro", uri=True)
        ) as found:
            query = "select count(*) from hoplite_metadata where key = ?"
            return bool(found.execute(query, (_ORIGIN,)).fetchone()[0])
    except (OSError, sqlite3.Error):
        return False


class _Writer:
    """Fills one database; nothing of it is kept before ``commit``.

    Attributes:
        rounder: measures what float16 changes.
    """

    def __init__(self, catalog: Catalog, folder: Path, origin: Origin) -> None:
        database, configs = _load()
        options = catalog.head.options
        usearch = database.get_default_usearch_config(options.dims)
        self.rounder = HalfRounder()
        self._database = database.SQLiteUSearchDB.create(str(folder), usearch)
        self._project = catalog.location.rstrip("/").rpartition("/")[2] or "a20_parquet"
        self._length_s = options.window_size_seconds or options.window_seconds
        self._sites: dict[str, int] = {}
        self._recordings: dict[tuple[str, str], int] = {}
        self._database.add_extra_table_column("windows", "channel", int)
        model = {"hop_size_s": options.window_seconds, "window_size_s": self._length_s}
        self._database.insert_metadata(
            "model_config",
            configs.ConfigDict(
                {
                    "model_key": options.model or "unknown",
                    "embedding_dim": options.dims,
                    "model_config": model,
                }
            ),
        )
        self._database.insert_metadata(_ORIGIN, configs.ConfigDict(origin.model_dump(mode="json")))

    def add(self, site: str, metadata: Any, embeddings: Rows) -> None:
        """Add windows of one site."""
        if overflows(embeddings):
            row = next(row for row, each in enumerate(embeddings) if overflows(each))
            name = metadata.column("filename")[row]
            offset_s = metadata.column("recording_offset_in_file")[row].as_py()
            raise UsageError(
                f"{name}@{offset_s:.15g} has a value that float16, as Hoplite stores it, cannot "
                "hold. Leave the window out with --exclude."
            )
        halves = np.empty(embeddings.shape, np.float16)
        self.rounder.round(embeddings, halves)
        columns = [metadata.column(name).to_pylist() for name in _COLUMNS]
        windows = [
            {
                "recording_id": self._recording(site, filename, start, offset_minutes),
                "offsets": [offset_s, offset_s + self._length_s],
                "channel": channel,
            }
            for filename, start, offset_minutes, offset_s, channel in zip(*columns, strict=True)
        ]
        # Looking for duplicates reads the table for each window.
        self._database.insert_windows_batch(windows, halves, handle_duplicates="allow")

    def commit(self) -> None:
        """Write what was added."""
        self._database.commit()

    def close(self) -> None:
        """Close the files."""
        self._database.db.close()

    def _recording(self, site: str, filename: str, start: Any, offset_minutes: int | None) -> int:
        key = site, filename
        if key not in self._recordings:
            if site not in self._sites:
                self._sites[site] = self._database.insert_deployment(site, self._project)
            if start is not None:
                start = start.astimezone(timezone(timedelta(minutes=offset_minutes or 0)))
            self._recordings[key] = self._database.insert_recording(
                filename, start, self._sites[site]
            )
        return self._recordings[key]


def _load() -> tuple[Any, Any]:
    """Import perch-hoplite's database, and the package of its configurations."""
    try:
        return (
            import_module("perch_hoplite.db.sqlite_usearch_impl"),
            import_module("ml_collections.config_dict"),
        )
    except ImportError as error:
        raise UsageError(
            f"perch-hoplite cannot be imported ({error}). It writes Hoplite databases: pip install "
            "'a20_parquet[hoplite]', in an environment of its own."
        ) from error


def _batches(catalog: Catalog, rows: SelectedRows) -> Iterator[tuple[str, Any, Rows]]:
    """Yield site, metadata and embeddings of windows in order; the next overwrites the memory."""
    dims = catalog.dims
    staging = np.empty((_BATCH_ROWS, dims), np.float32)
    buffer = np.empty((_BATCH_ROWS, dims), np.float32)
    for partition in selected_partitions(catalog.data_files(), rows):
        cursor = open_cursor(catalog, partition, rows, staging)
        left = partition.rows
        while left:
            out = buffer[: min(left, len(buffer))]
            yield partition.key[0], cursor.read(out), out
            left -= len(out)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Hoplite from logging each statement, which takes a third of its time."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, RuntimeError) as error:
        raise DatasetError(f"{folder}: perch-hoplite cannot write it: {error}") from error

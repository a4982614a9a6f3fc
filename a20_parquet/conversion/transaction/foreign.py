"""Files of others in the folders of a dataset that ``--overwrite`` deletes as a whole."""

import os
from collections.abc import Iterator
from pathlib import Path

from a20_parquet.dataset.layout import DATA, DatasetLayout, is_data_path
from a20_parquet.dataset.quarantine import DAMAGED, LIST, RECORDS
from a20_parquet.errors import UsageError
from a20_parquet.formatting import format_count
from a20_parquet.storage.files import files_below
from a20_parquet.storage.path import AnyPath


def refuse_foreign(layout: DatasetLayout) -> None:
    """Check that ``data/`` and ``quarantine/`` have only files with names of this program.

    A conversion that was killed leaves files that no manifest names, so names decide.

    Raises:
        UsageError: there is another file, or a link to a folder.
        OSError: a folder cannot be listed.
    """
    foreign = [
        folder / name
        for folder in (layout.data, layout.quarantine)
        for name in _names_below(folder)
        if not _is_named_by_us(folder, name)
    ]
    if not foreign:
        return
    others = f" and {format_count(len(foreign) - 1, 'other file')}" if len(foreign) > 1 else ""
    raise UsageError(
        f"{foreign[0]}{others} would be deleted by --overwrite, and a20-parquet did not write "
        f"{'them' if others else 'it'}. Move {'them' if others else 'it'} to another folder, then "
        "give the same command again."
    )


def _names_below(folder: AnyPath) -> Iterator[str]:
    """Yield the paths of files below a folder, relative to it, and of links to folders."""
    # Some tools make empty objects for folders in stores.
    yield from (name for name in files_below(folder) if name and not name.endswith("/"))
    if isinstance(folder, Path):
        for inner, names, _ in os.walk(folder):
            paths = (Path(inner, name) for name in names)
            yield from (str(path.relative_to(folder)) for path in paths if path.is_symlink())


def _is_named_by_us(folder: AnyPath, name: str) -> bool:
    if folder.name == DATA:
        return is_data_path(f"{DATA}/{Path(name).as_posix()}")
    return "/" not in name and name.endswith((RECORDS, DAMAGED, LIST))

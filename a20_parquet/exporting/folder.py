"""A folder that an export writes: it gets its name when it is complete."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.storage.files import TEMPORARY

IsExport = Callable[[Path], bool]
"""Says whether an export wrote a folder, and nothing else is in it."""

_MARK: Final = ".a20-export"


def check_folder(folder: Path, is_export: IsExport, *, overwrite: bool) -> None:
    """Raise UsageError if a folder cannot or must not be written."""
    if not folder.parent.is_dir():
        raise UsageError(f"{folder.parent} is not a folder. Make it first, or name another one.")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder. Name another place.")
    if folder.samefile(Path.cwd()):
        raise UsageError(f"{folder} is the current folder, which is not replaced. Name another.")
    if not any(folder.iterdir()):
        return
    if not is_export(folder):
        raise UsageError(
            f"{folder} is not empty and holds something else than an export of this kind. Name "
            "another folder."
        )
    if not overwrite:
        raise UsageError(f"{folder} already exists. Name another folder, or give --overwrite.")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Lend a hidden folder beside ``folder``, which replaces that one when the block ends.

    If the block fails, it is deleted. What a killed process left is deleted by the next one, which
    first gives ``folder`` its name back if the process was killed while it replaced that.

    Raises:
        DatasetError: something cannot be written.
    """
    hidden = folder.with_name(f".{folder.name}{_MARK}{TEMPORARY}")
    former = folder.with_name(f".{folder.name}{_MARK}.old")
    try:
        if former.is_dir() and not former.is_symlink() and not folder.exists():
            # A process was killed between the two renames below.
            former.rename(folder)
        for left in (hidden, former):
            _remove(left)
        hidden.mkdir()
        yield hidden
        if folder.exists():
            folder.rename(former)
        hidden.rename(folder)
        _remove(former)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)

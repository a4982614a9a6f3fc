"""Who may convert into a folder, and what lies there already."""

import enum
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from a20_parquet.dataset.layout import DatasetLayout, is_ours, temporary
from a20_parquet.errors import DatasetError, UsageError


class State(enum.Enum):
    """What lies where a dataset is to be written."""

    EMPTY = enum.auto()
    """Nothing, or what is left of a conversion that died before it began or after it ended."""
    UNFINISHED = enum.auto()
    """A conversion that was not finished; beside it a dataset that it appends to, or none."""
    COMPLETE = enum.auto()
    """A dataset."""


def find_state(layout: DatasetLayout) -> State:
    """Say what lies at a place.

    Raises:
        UsageError: a file, or a folder with anything else in it, which must not be touched.
    """
    root = layout.root
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file. Name a folder for the dataset.")
    if is_ours(layout.plan):
        return State.UNFINISHED
    if is_ours(layout.manifest):
        return State.COMPLETE
    if not root.exists() or _is_hardly_begun(layout):
        return State.EMPTY
    raise UsageError(
        f"{root} is not empty and holds no dataset. Name another folder: this one is not touched, "
        "with --overwrite neither."
    )


def _is_hardly_begun(layout: DatasetLayout) -> bool:
    # Before the plan is written there is nothing else, and after it is deleted as well.
    known = {layout.lock.name, temporary(layout.plan).name}
    return all(
        path == layout.conversion
        and path.is_dir()
        and {inner.name for inner in path.iterdir()} <= known
        for path in layout.root.iterdir()
    )


@contextmanager
def locked(layout: DatasetLayout) -> Iterator[None]:
    """Keep others from converting into the same folder while the body runs.

    The operating system frees the lock of a process that died.

    Raises:
        UsageError: another process converts into it, or something lies there that must not be
            touched.
        DatasetError: the folder can't be written.
    """
    find_state(layout)
    try:
        made = [path for path in (layout.conversion, layout.root) if not path.exists()]
        layout.conversion.mkdir(parents=True, exist_ok=True)
        lock = FileLock(layout.lock, blocking=False)
        lock.acquire()
    except Timeout:
        raise UsageError(
            f"{layout.root}: another process is converting into it. Wait until it has ended, or "
            "stop it."
        ) from None
    except OSError as error:
        raise DatasetError(f"{layout.root}: can't be written: {error}") from error
    try:
        yield
    finally:
        # Whoever waits for the removed file notices: a lock on it counts for nothing. Windows
        # removes no open file, hence the second time.
        with suppress(OSError):
            layout.lock.unlink()
        lock.release()
        with suppress(OSError):
            layout.lock.unlink(missing_ok=True)
        for path in (layout.conversion, *made[1:]):
            with suppress(OSError):
                path.rmdir()  # only where it is empty


def clear_conversion(layout: DatasetLayout) -> None:
    """Delete what a conversion needed, but for its plan and lock."""
    for path in layout.conversion.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path not in (layout.plan, layout.lock):
            path.unlink()

"""The lock on a dataset's folder, and the state in which the folder is."""

import enum
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from a20_parquet.dataset.layout import DatasetLayout, is_ours
from a20_parquet.dataset.presence import name_shards
from a20_parquet.errors import A20ParquetError, DatasetError, UsageError
from a20_parquet.storage.files import TEMPORARY, remove_tree
from a20_parquet.storage.lease import HeldError, leased
from a20_parquet.storage.path import AnyPath, StorePath, check_bucket
from a20_parquet.storage.store import Guard

_LOGGER = logging.getLogger(__name__)
# Besides a card, what a new repository of the Hugging Face Hub holds.
_OF_GIT = (".git", ".gitattributes")


class State(enum.Enum):
    """State of the folder of a dataset."""

    EMPTY = enum.auto()
    """Empty, or with what a new repository has: a card, and what Git needs; or with files of a
    conversion that died before it began or after it was abandoned."""
    UNFINISHED = enum.auto()
    """With an unfinished conversion, and perhaps the dataset that it appends to or replaces."""
    COMPLETE = enum.auto()
    """With a complete dataset."""


def find_state(layout: DatasetLayout) -> State:
    """Return the state of a dataset's folder.

    Raises:
        UsageError: it is a file, contains anything else, or a folder in it is a symbolic link.
    """
    root = layout.root
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file. Name a folder for the dataset, behind the sources.")
    _refuse_links(layout)
    if is_ours(layout.plan):
        return State.UNFINISHED
    if is_ours(layout.manifest):
        return State.COMPLETE
    if not root.exists() or _is_hardly_begun(layout):
        return State.EMPTY
    shards = name_shards(root)
    instead = f" but {shards}. SOURCE comes first, DATASET last" if shards else ""
    raise UsageError(
        f"{root} is not empty and holds no dataset{instead}. Name another folder: this one is not "
        "touched, not even with --overwrite."
    )


def _refuse_links(layout: DatasetLayout) -> None:
    """Raise UsageError if a folder of the dataset is a symbolic link."""
    folders = [layout.data, layout.quarantine, layout.conversion]
    with suppress(OSError):
        folders += layout.conversion.iterdir() if layout.conversion.is_dir() else ()
    for folder in folders:
        if isinstance(folder, Path) and folder.is_symlink():
            raise UsageError(
                f"{folder} is a symbolic link, through which nothing is written or deleted. Put "
                "the folder itself there, or name another dataset."
            )


def _is_hardly_begun(layout: DatasetLayout) -> bool:
    # Nothing else exists before the plan is written, or after it is deleted.
    known = {layout.lock.name, f"{layout.plan.name}{TEMPORARY}"}
    return all(
        (
            path == layout.conversion
            and path.is_dir()
            and {inner.name for inner in path.iterdir()} <= known
        )
        # A card is the user's: it may be there before its dataset, and stays when that is deleted.
        or (path == layout.card and not path.is_dir())
        or path.name in _OF_GIT
        for path in layout.root.iterdir()
    )


@contextmanager
def locked(
    layout: DatasetLayout, notify: Callable[[str], None] = lambda _: None
) -> Iterator[DatasetLayout]:
    """Keep other processes from converting into the same folder while the body runs.

    The lock of a process that died is taken over: at once on the same machine; in a store, by other
    machines, when its lease has expired. A process that is suspended or cut off for longer than
    that loses its lock.

    Args:
        layout: of the dataset.
        notify: called with a message if waiting for the lock takes long.

    Yields:
        The layout to use: in a store it cannot write any more once the lock is lost.

    Raises:
        UsageError: another process converts into it, or see ``find_state``.
        DatasetError: the folder cannot be written, or the lock was lost.
    """
    try:
        find_state(layout)
        with ExitStack() as stack:
            if isinstance(layout.lock, Path):
                stack.enter_context(_locked_here(layout, layout.lock))
            else:
                check_bucket(layout.lock)
                guard = stack.enter_context(leased(layout.lock, notify))
                layout = DatasetLayout(_guarded(layout.root, guard))
            lock = stack.pop_all()
    except (Timeout, HeldError) as error:
        by = f" ({error})" if isinstance(error, HeldError) else ""
        raise UsageError(
            f"{layout.root}: another process is converting into it{by}. Wait until it has ended, "
            "or stop it."
        ) from None
    except OSError as error:
        raise DatasetError(f"{layout.root}: cannot be written: {error}") from error
    _LOGGER.debug("locked %s", layout.lock)
    with lock:
        try:
            yield layout
        except (OSError, A20ParquetError):
            # The process that has the lock now may have removed files of this one.
            check_lock(layout)
            raise


def guarded_like(layout: DatasetLayout, place: AnyPath) -> AnyPath:
    """Return a path outside the dataset, guarded by the same lock if it is in a store."""
    guard = _guard_of(layout)
    return place if guard is None else _guarded(place, guard)


def _guarded(place: AnyPath, guard: Guard) -> AnyPath:
    if isinstance(place, Path):
        return place
    return StorePath(place.filesystem.guarded(guard), place.path)


def check_lock(layout: DatasetLayout) -> None:
    """Raise DatasetError if this process has lost its lock."""
    guard = _guard_of(layout)
    if guard is not None:
        guard.check()


def confirm_lock(layout: DatasetLayout) -> None:
    """Check the lock by asking the store, as this process may have been suspended.

    Raises:
        DatasetError: the lock is lost.
        OSError: the store cannot be asked.
    """
    guard = _guard_of(layout)
    if guard is not None:
        guard.confirm()


def _guard_of(layout: DatasetLayout) -> Guard | None:
    """Return the guard of a layout; None for local ones, and for those of other processes."""
    if not isinstance(layout.root, StorePath):
        return None
    guard: Guard | None = layout.root.filesystem.guard
    return guard


@contextmanager
def _locked_here(layout: DatasetLayout, lock_file: Path) -> Iterator[None]:
    """Hold a lock that the operating system frees when this process dies.

    Raises:
        Timeout: another process holds it.
        OSError: the folder cannot be written.
    """
    made = [path for path in (layout.conversion, layout.root) if not path.exists()]
    layout.conversion.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file, blocking=False)
    lock.acquire()
    try:
        yield
    finally:
        # A process that waits for the removed file notices that it is gone. Windows cannot remove
        # open files, hence the second time.
        with suppress(OSError):
            lock_file.unlink()
        lock.release()
        with suppress(OSError):
            lock_file.unlink(missing_ok=True)
        for path in (layout.conversion, *made[1:]):
            with suppress(OSError):
                path.rmdir()  # fails unless it is empty


def clear_conversion(layout: DatasetLayout) -> None:
    """Delete the files of a conversion, except its plan and lock."""
    remove_tree(layout.conversion, keep=(layout.plan.name, layout.lock.name))

"""Who may convert into a folder, and what lies there already."""

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


class State(enum.Enum):
    """What lies where a dataset is to be written."""

    EMPTY = enum.auto()
    """Nothing, or what is left of a conversion that died before it began or after it ended."""
    UNFINISHED = enum.auto()
    """A conversion that was not finished; beside it a dataset that it appends to, or none."""
    COMPLETE = enum.auto()
    """A dataset."""


def find_state(layout: DatasetLayout) -> State:
    """Say what is at a place.

    Raises:
        UsageError: a file, or a folder with anything else in it, which must not be touched; or a
            dataset of which a part is a link to elsewhere.
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
        "touched, with --overwrite neither."
    )


def _refuse_links(layout: DatasetLayout) -> None:
    """Refuse to write, or delete, where a link in the dataset leads out of it."""
    folders = [layout.data, layout.quarantine, layout.conversion]
    with suppress(OSError):
        folders += layout.conversion.iterdir() if layout.conversion.is_dir() else ()
    for folder in folders:
        if isinstance(folder, Path) and folder.is_symlink():
            raise UsageError(
                f"{folder} is a symbolic link: nothing is written or deleted where it leads. Put "
                "the folder itself there, or name another dataset."
            )


def _is_hardly_begun(layout: DatasetLayout) -> bool:
    # Before the plan is written there is nothing else, and after it is deleted as well.
    known = {layout.lock.name, f"{layout.plan.name}{TEMPORARY}"}
    return all(
        path == layout.conversion
        and path.is_dir()
        and {inner.name for inner in path.iterdir()} <= known
        for path in layout.root.iterdir()
    )


@contextmanager
def locked(
    layout: DatasetLayout, tell: Callable[[str], None] = lambda _: None
) -> Iterator[DatasetLayout]:
    """Keep others from converting into the same folder while the body runs.

    The lock of a process that died is taken over: at once on the machine where it died, in a store
    after a while on any other. Through what it yields nothing in a store changes any more once the
    lock is lost, which happens to a process that was stopped or cut off for longer than that.

    Args:
        layout: of the dataset.
        tell: told why it takes long.

    Yields:
        The layout to write by.

    Raises:
        UsageError: another process converts into it, or something lies there that must not be
            touched.
        DatasetError: the folder cannot be written, or the lock was lost.
    """
    try:
        find_state(layout)
        with ExitStack() as stack:
            if isinstance(layout.lock, Path):
                stack.enter_context(_locked_here(layout, layout.lock))
            else:
                check_bucket(layout.lock)
                guard = stack.enter_context(leased(layout.lock, tell))
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
            # Whoever has it now may have removed what this process needs.
            check_lock(layout)
            raise


def guarded_like(layout: DatasetLayout, place: AnyPath) -> AnyPath:
    """Return a place outside of the dataset, guarded by the same lock where it is in a store."""
    guard = _guard_of(layout)
    return place if guard is None else _guarded(place, guard)


def _guarded(place: AnyPath, guard: Guard) -> AnyPath:
    if isinstance(place, Path):
        return place
    return StorePath(place.filesystem.guarded(guard), place.path)


def check_lock(layout: DatasetLayout) -> None:
    """Make sure that this process has not lost its lock, before it writes anywhere else.

    Raises:
        DatasetError: it has.
    """
    guard = _guard_of(layout)
    if guard is not None:
        guard.check()


def confirm_lock(layout: DatasetLayout) -> None:
    """Make sure of it by asking the store, which knows better than a process that may have slept.

    Raises:
        DatasetError: the lock is lost.
        OSError: the store cannot be asked.
    """
    guard = _guard_of(layout)
    if guard is not None:
        guard.confirm()


def _guard_of(layout: DatasetLayout) -> Guard | None:
    """What guards a layout; None for local ones, and for those of other processes."""
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
        # Whoever waits for the removed file notices: a lock on it counts for nothing. Windows
        # removes no open file, hence the second time.
        with suppress(OSError):
            lock_file.unlink()
        lock.release()
        with suppress(OSError):
            lock_file.unlink(missing_ok=True)
        for path in (layout.conversion, *made[1:]):
            with suppress(OSError):
                path.rmdir()  # only where it is empty


def clear_conversion(layout: DatasetLayout) -> None:
    """Delete what a conversion needed, but for its plan and lock."""
    remove_tree(layout.conversion, keep=(layout.plan.name, layout.lock.name))

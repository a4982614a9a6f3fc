"""Beginning a conversion, or resuming an unfinished one."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from a20_parquet.conversion.transaction.checkpoints import Plan, SortedShards, sorted_units
from a20_parquet.conversion.transaction.commit import clean_up, is_committed, remove_strays
from a20_parquet.conversion.transaction.foreign import refuse_foreign
from a20_parquet.conversion.transaction.lock import State, check_lock, clear_conversion, find_state
from a20_parquet.conversion.transaction.scratch import make_scratch, remove_scratch, scratch_place
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.execution.fencing import FencingToken
from a20_parquet.storage.files import remove_tree, write_whole
from a20_parquet.storage.path import AnyPath

_LOGGER = logging.getLogger(__name__)
_START_AGAIN = "Name another folder, or give --overwrite to delete what is there and start again."


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionState:
    """A conversion under way."""

    plan: Plan
    """As stored."""
    sorted: tuple[SortedShards, ...]
    """Units of the first pass that were finished before."""
    is_resumed: bool
    own_scratch: tuple[AnyPath, ...]
    """Folders of its runs; new runs go to the last one."""

    @property
    def scratch(self) -> AnyPath:
        """Folder for new runs."""
        return self.own_scratch[-1]


def find_existing(layout: DatasetLayout, *, overwrite: bool) -> ExistingDataset | None:
    """Open the complete dataset that a conversion would append to, if there is one.

    If a conversion was killed after its commit, its cleaning up is finished first.

    Raises:
        UsageError: the folder contains something that must not be touched, or folders that
            ``overwrite`` would delete contain files of others.
        DatasetError: the dataset is damaged.
    """
    try:
        state = _tidy(layout, overwrite=overwrite)
        if overwrite:
            refuse_foreign(layout)
    except OSError as error:
        raise DatasetError(
            f"{layout.root}: files of an earlier conversion cannot be read, or cannot be moved to "
            f"their final paths: {error}. Mend that, and give the same command again."
        ) from error
    if overwrite or state is State.EMPTY:
        return None
    if state is State.UNFINISHED and Plan.read(layout).base is None:
        return None
    return ExistingDataset.open(layout)


def _tidy(layout: DatasetLayout, *, overwrite: bool) -> State:
    """Finish cleaning up after a commit, and return the state after that."""
    state = find_state(layout)
    _LOGGER.debug("%s holds: %s", layout.root, state.name.lower())
    if state is not State.EMPTY and is_committed(layout):
        plan = _plan_before(layout, overwrite=overwrite)
        # A repair has no plan.
        scratch = () if plan is None else tuple(plan.own_scratch(layout).values())
        clean_up(layout, scratch)
        state = find_state(layout)
    if state is State.COMPLETE:
        # A conversion may have been killed while it removed its files.
        clear_conversion(layout)
    return state


def begin(
    layout: DatasetLayout,
    plan: Plan,
    *,
    overwrite: bool,
    check: Callable[[ConversionState, Sequence[AnyPath]], None] = lambda _begun, _deleted: None,
) -> ConversionState:
    """Begin a conversion, or resume the unfinished one of the same inputs and options.

    A complete dataset that it overwrites stays until ``make_way``. ``check`` is called before
    anything is written or deleted, with the folders that will be deleted; it raises if the
    conversion must not begin.

    Raises:
        UsageError: there is an unfinished conversion of other inputs or options.
        OSError: the folder cannot be written.
    """
    check_lock(layout)
    before = _plan_before(layout, overwrite=overwrite)
    if before is not None:
        differences = list(before.differences(plan))
        if not differences:
            return _resume(layout, before, plan, check)
        if not overwrite:
            raise UsageError(
                f"{layout.root} holds an unfinished conversion of other inputs or options: "
                f"{'; '.join(differences)}. Give the same ones to resume it. {_START_AGAIN}"
            )
    state = ConversionState(
        plan=plan, sorted=(), is_resumed=False, own_scratch=_scratch(layout, plan)
    )
    scratch = tuple(before.own_scratch(layout).values()) if before else ()
    published = (layout.data, layout.quarantine) if plan.base is None else ()
    check(state, [layout.conversion, *published, *scratch])
    with suppress(OSError):
        remove_scratch(scratch)
    # Results of an earlier conversion must never be taken for this one's.
    clear_conversion(layout)
    # If this process dies from here on, an unfinished conversion is found.
    write_whole(layout.plan, plan.model_dump_json(indent=1))
    if plan.base is None and not layout.manifest.exists():
        # Without a manifest these files are from an unfinished conversion.
        _clear_published(layout)
        remove_tree(layout.data)
    _make_folders(layout, plan)
    return state


def make_way(layout: DatasetLayout, state: ConversionState) -> None:
    """Delete the dataset that a conversion overwrites, or resume deleting it.

    Raises:
        UsageError: files of others came into it since the conversion began.
        OSError: something cannot be deleted.
    """
    if state.plan.base is not None:
        return
    # Without a manifest, data/ contains what this conversion has written.
    is_whole = layout.manifest.exists()
    if is_whole:
        refuse_foreign(layout)
    if is_whole or state.is_resumed:
        _clear_published(layout)
    if is_whole:
        remove_tree(layout.data)
        layout.data.mkdir(parents=True, exist_ok=True)


def abandon(layout: DatasetLayout, state: ConversionState) -> None:
    """Remove all files of a conversion before ``make_way``; the dataset stays as it was.

    Raises:
        OSError: something cannot be removed.
    """
    with suppress(OSError):
        remove_scratch(state.own_scratch)
    clear_conversion(layout)
    # An append that was killed may have left data files. A damaged dataset stays as it is.
    with suppress(DatasetError):
        remove_strays(layout, [file.path for file in _published_files(layout)])
    if isinstance(layout.data, Path):
        with suppress(OSError):
            layout.data.rmdir()  # fails unless it is empty
    # Last: until here an unfinished conversion is found, afterwards an empty folder.
    layout.plan.unlink(missing_ok=True)


def _published_files(layout: DatasetLayout) -> list[FileSummary]:
    """Return the data files of the complete dataset; none if there is no dataset."""
    from a20_parquet.dataset.catalog import Catalog

    return Catalog.open(str(layout.root)).data_files() if layout.manifest.exists() else []


def _plan_before(layout: DatasetLayout, *, overwrite: bool) -> Plan | None:
    """Return the unfinished conversion's plan; None if there is none, or none to overwrite."""
    if find_state(layout) is not State.UNFINISHED:
        return None
    try:
        return Plan.read(layout)
    except UsageError:
        if overwrite:
            return None
        raise


def _resume(
    layout: DatasetLayout,
    before: Plan,
    plan: Plan,
    check: Callable[[ConversionState, Sequence[AnyPath]], None],
) -> ConversionState:
    own = before.own_scratch(layout)
    wanted = scratch_place(layout, plan.scratch[-1]).parent
    is_at_hand = bool(own) and list(own.values())[-1].parent == wanted
    scratch = (*own,) if is_at_hand else (*own, *plan.scratch)
    # The first pass writes the notebook's files: if they are new, all shards are read again.
    is_done = plan.npy_json in (None, before.npy_json)
    units = tuple(sorted_units(layout, own, len(before.shards))) if is_done else ()
    now = plan.model_copy(update={"id": before.id, "scratch": scratch})
    state = ConversionState(
        plan=now, sorted=units, is_resumed=True, own_scratch=_scratch(layout, now)
    )
    check(state, ())
    FencingToken.end_all(layout)
    if before != now:
        if not units:
            remove_tree(layout.sorted)
        write_whole(layout.plan, now.model_dump_json(indent=1))
    _make_folders(layout, now)
    return state


def _scratch(layout: DatasetLayout, plan: Plan) -> tuple[AnyPath, ...]:
    """Return the folders of a conversion's runs."""
    return tuple(scratch_place(layout, name) for name in plan.scratch)


def _make_folders(layout: DatasetLayout, plan: Plan) -> None:
    """Create the folders that a conversion writes to."""
    for folder in (layout.data, layout.sorted, layout.units):
        folder.mkdir(parents=True, exist_ok=True)
    for name in plan.scratch:
        make_scratch(layout, plan.id, name)


def _clear_published(layout: DatasetLayout) -> None:
    """Delete all of an overwritten dataset except for its data files."""
    # The manifest first: without it the dataset is not complete.
    for path in (layout.manifest, layout.files, layout.sites):
        path.unlink(missing_ok=True)
    remove_tree(layout.quarantine)

"""Beginning a conversion, or going on with one that was not finished."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from a20_parquet.conversion.transaction.checkpoints import Plan, SortedShards, sorted_units
from a20_parquet.conversion.transaction.commit import clean_up, is_committed, remove_strays
from a20_parquet.conversion.transaction.lock import State, check_lock, clear_conversion, find_state
from a20_parquet.conversion.transaction.scratch import make_scratch, remove_scratch, scratch_place
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest import FileSummary
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.execution.fencing import FencingToken
from a20_parquet.storage.files import remove_tree, write_whole
from a20_parquet.storage.path import AnyPath

_LOGGER = logging.getLogger(__name__)
_AFRESH = "Name another folder, or give --overwrite to delete what is there and start afresh."


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionState:
    """A conversion under way."""

    plan: Plan
    """As it is written down."""
    sorted: tuple[SortedShards, ...]
    """Units of the first pass that were finished before."""
    is_resumed: bool
    own_scratch: tuple[AnyPath, ...]
    """Folders in which it has runs."""

    @property
    def scratch(self) -> AnyPath:
        """Where runs are written."""
        return self.own_scratch[-1]


def find_existing(layout: DatasetLayout, *, overwrite: bool) -> ExistingDataset | None:
    """Open the complete dataset that a conversion would append to, if there is one.

    A conversion that was killed after its commit is finished first.

    Args:
        layout: of the dataset; the caller has its lock.
        overwrite: whether what is there will be deleted.

    Raises:
        UsageError: something lies there that must not be touched.
        DatasetError: the dataset is damaged.
    """
    try:
        state = _tidy(layout, overwrite=overwrite)
    except OSError as error:
        raise DatasetError(
            f"{layout.root}: what an earlier conversion left cannot be read, or cannot be moved to "
            f"its place: {error}. Mend that, and give the same command again."
        ) from error
    if overwrite or state is State.EMPTY:
        return None
    if state is State.UNFINISHED and Plan.read(layout).base is None:
        return None
    return ExistingDataset.open(layout)


def _tidy(layout: DatasetLayout, *, overwrite: bool) -> State:
    """Finish what was committed, and say what lies there then."""
    state = find_state(layout)
    _LOGGER.debug("%s holds: %s", layout.root, state.name.lower())
    if state is not State.EMPTY and is_committed(layout):
        plan = _plan_before(layout, overwrite=overwrite)
        # A repair has none.
        scratch = () if plan is None else tuple(plan.own_scratch(layout).values())
        clean_up(layout, scratch)
        state = find_state(layout)
    if state is State.COMPLETE:
        # Traces of a conversion that was killed while it removed them.
        clear_conversion(layout)
    return state


def begin(
    layout: DatasetLayout,
    plan: Plan,
    *,
    overwrite: bool,
    check: Callable[[ConversionState, Sequence[AnyPath]], None] = lambda _begun, _deleted: None,
) -> ConversionState:
    """Begin a conversion, or go on with the unfinished one of the same inputs and options.

    A complete dataset that it overwrites stays until ``make_way``.

    Args:
        layout: of the dataset; the caller has its lock.
        plan: what is to be done; its scratch folder is for runs that are still to be written.
        overwrite: whether what is there may be deleted.
        check: called before anything is written or deleted, with the folders that will be deleted;
            raises if the conversion must not begin.

    Raises:
        UsageError: an unfinished conversion of other inputs or options lies there.
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
                f"{'; '.join(differences)}. Give the same ones to go on with it. {_AFRESH}"
            )
    state = ConversionState(
        plan=plan, sorted=(), is_resumed=False, own_scratch=_scratch(layout, plan)
    )
    scratch = tuple(before.own_scratch(layout).values()) if before else ()
    published = (layout.data, layout.quarantine) if plan.base is None else ()
    check(state, [layout.conversion, *published, *scratch])
    with suppress(OSError):
        remove_scratch(scratch)
    # What an earlier conversion has finished must never be taken for this one's.
    clear_conversion(layout)
    # Whatever dies from now on is known as an unfinished conversion.
    write_whole(layout.plan, plan.model_dump_json(indent=1))
    if plan.base is None and not layout.manifest.exists():
        # What lies there is nobody's: an unfinished conversion has left it.
        _clear_published(layout)
        remove_tree(layout.data)
    _make_folders(layout, plan)
    return state


def make_way(layout: DatasetLayout, state: ConversionState) -> None:
    """Delete the dataset that a conversion overwrites, or go on where that was stopped.

    Raises:
        OSError: something cannot be deleted.
    """
    if state.plan.base is not None:
        return
    # Without a manifest data/ holds what this conversion has written.
    is_whole = layout.manifest.exists()
    if is_whole or state.is_resumed:
        _clear_published(layout)
    if is_whole:
        remove_tree(layout.data)
        layout.data.mkdir(parents=True, exist_ok=True)


def abandon(layout: DatasetLayout, state: ConversionState) -> None:
    """Remove all traces of a conversion before ``make_way``: what was there stays.

    Raises:
        OSError: something cannot be removed.
    """
    with suppress(OSError):
        remove_scratch(state.own_scratch)
    clear_conversion(layout)
    # An append that died before may have left data files; a dataset that is damaged stays as it is.
    with suppress(DatasetError):
        remove_strays(layout, [file.path for file in _published_files(layout)])
    if isinstance(layout.data, Path):
        with suppress(OSError):
            layout.data.rmdir()  # only where it is empty
    # Without anything else a folder counts as empty: until here it is an unfinished conversion.
    layout.plan.unlink(missing_ok=True)


def _published_files(layout: DatasetLayout) -> list[FileSummary]:
    """The data files of the dataset that lies there, if there is one."""
    from a20_parquet.dataset.catalog import Catalog

    return Catalog.open(str(layout.root)).data_files() if layout.manifest.exists() else []


def _plan_before(layout: DatasetLayout, *, overwrite: bool) -> Plan | None:
    """The plan of the unfinished conversion; none without one, or where it may not be readable."""
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
    # The notebook's files come from the first pass: those that were not asked for before are
    # still to be written, of all shards.
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
    """The folders of a conversion's runs."""
    return tuple(scratch_place(layout, name) for name in plan.scratch)


def _make_folders(layout: DatasetLayout, plan: Plan) -> None:
    """Make the folders that a conversion writes to."""
    for folder in (layout.data, layout.sorted, layout.units):
        folder.mkdir(parents=True, exist_ok=True)
    for name in plan.scratch:
        make_scratch(layout, plan.id, name)


def _clear_published(layout: DatasetLayout) -> None:
    """Delete what an overwritten dataset consisted of, but for its data files."""
    # The manifest goes first: from here on nothing passes for complete.
    for path in (layout.manifest, layout.files, layout.sites):
        path.unlink(missing_ok=True)
    remove_tree(layout.quarantine)

"""Beginning a conversion, or going on with one that was not finished."""

from contextlib import suppress
from dataclasses import dataclass

from a20_parquet.dataset.claim import State, clear_conversion, find_state
from a20_parquet.dataset.commit import is_committed, settle
from a20_parquet.dataset.held import HeldDataset
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.scratch import make_scratch, remove_scratch, scratch_place
from a20_parquet.dataset.unfinished import Plan, SortedShards, sorted_units
from a20_parquet.errors import UsageError
from a20_parquet.storage.files import remove_tree, write_whole
from a20_parquet.storage.place import Place

_AFRESH = "Name another folder, or give --overwrite to delete what is there and start afresh."


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A conversion under way."""

    plan: Plan
    """As it is written down."""
    sorted: tuple[SortedShards, ...]
    """Units of the first pass that were finished before."""
    is_resumed: bool
    own_scratch: tuple[Place, ...]
    """Folders in which it has runs."""

    @property
    def scratch(self) -> Place:
        """Where runs are written."""
        return self.own_scratch[-1]


def find_held(layout: DatasetLayout, *, overwrite: bool) -> HeldDataset | None:
    """Open the complete dataset that a conversion would append to, if there is one.

    A conversion that was killed after its commit is finished first.

    Args:
        layout: of the dataset; the caller has its lock.
        overwrite: whether what is there will be deleted.

    Raises:
        UsageError: something lies there that must not be touched.
        DatasetError: the dataset is damaged.
    """
    state = find_state(layout)
    if state is not State.EMPTY and is_committed(layout):
        # A repair has no plan.
        is_planned = state is State.UNFINISHED
        settle(layout, tuple(Plan.read(layout).own_scratch(layout).values()) if is_planned else ())
        state = find_state(layout)
    if state is State.COMPLETE:
        # Traces of a conversion that was killed while it removed them.
        clear_conversion(layout)
    if overwrite or state is State.EMPTY:
        return None
    if state is State.UNFINISHED and Plan.read(layout).base is None:
        return None
    return HeldDataset.open(layout)


def begin(layout: DatasetLayout, plan: Plan, *, overwrite: bool) -> Begun:
    """Begin a conversion, or go on with the unfinished one of the same inputs and options.

    Args:
        layout: of the dataset; the caller has its lock.
        plan: what is to be done; its scratch folder is for runs that are still to be written.
        overwrite: whether what is there may be deleted.

    Raises:
        UsageError: an unfinished conversion of other inputs or options lies there.
        OSError: the folder can't be written.
    """
    before = _plan_before(layout, overwrite=overwrite)
    if before is not None:
        differences = list(before.differences(plan))
        if not differences:
            return _resume(layout, before, plan)
        if not overwrite:
            raise UsageError(
                f"{layout.root} holds an unfinished conversion of other inputs or options: "
                f"{'; '.join(differences)}. Give the same ones to go on with it. {_AFRESH}"
            )
        with suppress(OSError):
            remove_scratch(tuple(before.own_scratch(layout).values()))
    # What an earlier conversion has finished must never be taken for this one's.
    clear_conversion(layout)
    # Whatever dies from now on is known as an unfinished conversion.
    write_whole(layout.plan, plan.model_dump_json(indent=1))
    if plan.base is None:
        _clear_published(layout)
        remove_tree(layout.data)
    return Begun(plan=plan, sorted=(), is_resumed=False, own_scratch=_make_folders(layout, plan))


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


def _resume(layout: DatasetLayout, before: Plan, plan: Plan) -> Begun:
    own = before.own_scratch(layout)
    wanted = scratch_place(layout, plan.scratch[-1]).parent
    is_at_hand = bool(own) and list(own.values())[-1].parent == wanted
    scratch = (*own,) if is_at_hand else (*own, *plan.scratch)
    # The notebook's files come from the first pass: those that were not asked for before are
    # still to be written, of all shards.
    is_done = plan.npy_json in (None, before.npy_json)
    units = tuple(sorted_units(layout, own)) if is_done else ()
    now = plan.model_copy(update={"id": before.id, "scratch": scratch})
    if before != now:
        if not units:
            remove_tree(layout.sorted)
        write_whole(layout.plan, now.model_dump_json(indent=1))
    if plan.base is None:
        _clear_published(layout)
    made = _make_folders(layout, now)
    return Begun(plan=now, sorted=units, is_resumed=True, own_scratch=made)


def _make_folders(layout: DatasetLayout, plan: Plan) -> tuple[Place, ...]:
    """Make the folders that a conversion writes to; return those of its runs."""
    for folder in (layout.data, layout.sorted, layout.units):
        folder.mkdir(parents=True, exist_ok=True)
    for name in plan.scratch:
        make_scratch(layout, plan.id, name)
    return tuple(scratch_place(layout, name) for name in plan.scratch)


def _clear_published(layout: DatasetLayout) -> None:
    """Delete what an overwritten dataset consisted of, but for its data files."""
    # The manifest goes first: from here on nothing passes for complete.
    for path in (layout.manifest, layout.files, layout.sites):
        path.unlink(missing_ok=True)
    remove_tree(layout.quarantine)

"""Beginning a conversion, or going on with one that was not finished."""

import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from a20_parquet.dataset.claim import State, clear_conversion, find_state
from a20_parquet.dataset.commit import is_committed, settle
from a20_parquet.dataset.held import HeldDataset
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.unfinished import Plan, SortedShards, sorted_units
from a20_parquet.errors import UsageError
from a20_parquet.storage.files import remove_tree, write_whole
from a20_parquet.storage.place import Place, place_of

_AFRESH = "Name another folder, or give --overwrite to delete what is there and start afresh."


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A conversion under way."""

    plan: Plan
    """As it is written down."""
    sorted: tuple[SortedShards, ...]
    """Units of the first pass that were finished before."""
    is_resumed: bool

    @property
    def scratch(self) -> Place:
        """Where runs are written."""
        return place_of(self.plan.scratch[-1])


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
    if find_state(layout) is State.UNFINISHED and is_committed(layout):
        settle(layout, Plan.read(layout).scratch)
    state = find_state(layout)
    if state is State.COMPLETE:
        # Traces of a conversion that was killed while it removed them.
        clear_conversion(layout)
    if overwrite or state is State.EMPTY:
        return None
    if state is State.UNFINISHED and Plan.read(layout).base is None:
        return None
    return HeldDataset.open(layout)


def scratch_folder(layout: DatasetLayout, parent: str | Path | None) -> Place:
    """Name a folder for the runs of a new conversion."""
    if parent is None:
        return layout.conversion / "runs"
    return place_of(parent) / f"a20-parquet-runs-{secrets.token_hex(8)}"


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
        _remove(before.scratch)
    # What an earlier conversion has finished must never be taken for this one's.
    clear_conversion(layout)
    # Whatever dies from now on is known as an unfinished conversion.
    write_whole(layout.plan, plan.model_dump_json(indent=1))
    if plan.base is None:
        _clear_published(layout)
        remove_tree(layout.data)
    _make_folders(layout, plan)
    return Begun(plan=plan, sorted=(), is_resumed=False)


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
    same_place = place_of(before.scratch[-1]).parent == place_of(plan.scratch[-1]).parent
    scratch = before.scratch if same_place else (*before.scratch, *plan.scratch)
    # The notebook's files come from the first pass: those that were not asked for before are
    # still to be written, of all shards.
    units = () if plan.npy_json not in (None, before.npy_json) else tuple(sorted_units(layout))
    now = plan.model_copy(update={"scratch": scratch})
    if before != now:
        if not units:
            remove_tree(layout.sorted)
        write_whole(layout.plan, now.model_dump_json(indent=1))
    if plan.base is None:
        _clear_published(layout)
    _make_folders(layout, now)
    return Begun(plan=now, sorted=units, is_resumed=True)


def _make_folders(layout: DatasetLayout, plan: Plan) -> None:
    for folder in (layout.data, layout.sorted, layout.units, place_of(plan.scratch[-1])):
        folder.mkdir(parents=True, exist_ok=True)


def _clear_published(layout: DatasetLayout) -> None:
    """Delete what an overwritten dataset consisted of, but for its data files."""
    # The manifest goes first: from here on nothing passes for complete.
    for path in (layout.manifest, layout.files, layout.sites):
        path.unlink(missing_ok=True)
    remove_tree(layout.quarantine)


def _remove(folders: tuple[str, ...]) -> None:
    for folder in folders:
        with suppress(OSError):
            remove_tree(place_of(folder))

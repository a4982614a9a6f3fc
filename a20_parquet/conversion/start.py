"""Starting a conversion: free space is checked, and errors say how to go on."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from a20_parquet.conversion.job import ConversionSetup
from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.conversion.transaction.begin import (
    ConversionState,
    abandon,
    begin,
    make_way,
)
from a20_parquet.conversion.transaction.checkpoints import Plan, written_bytes
from a20_parquet.conversion.transaction.scratch import new_scratch
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.errors import A20ParquetError, DatasetError, NoWindowsError, SameFolderError
from a20_parquet.progress import Progress
from a20_parquet.resources import METADATA_ROW_BYTES
from a20_parquet.storage.files import files_below
from a20_parquet.storage.path import AnyPath


@contextmanager
def started(
    layout: DatasetLayout,
    setup: ConversionSetup,
    options: ConvertOptions,
    existing: ExistingDataset | None,
    progress: Progress,
) -> Iterator[ConversionState]:
    """Begin or resume a conversion; an error in the body says how to go on.

    Args:
        layout: of the dataset; the caller has its lock.
        setup: the conversion.
        options: as they were given.
        existing: the dataset that it appends to, or None.
        progress: gets a line if the conversion is resumed or stops.

    Yields:
        The state from which it goes on. Units that are finished stay so whatever stops the body; of
        a conversion that keeps no window nothing stays.

    Raises:
        UsageError: an unfinished conversion of other inputs or options is there.
        DatasetError: a file cannot be written, or a disk has too little room.
    """
    plan = Plan(
        options=setup.table,
        reading=setup.reading,
        shards=setup.planned_shards,
        npy_json=None if setup.notebook is None else str(setup.notebook.folder.root),
        base=existing.manifest.files_checksum if existing else None,
        scratch=(new_scratch(options.scratch),),
    )
    try:
        state = begin(
            layout,
            plan,
            overwrite=options.overwrite,
            check=partial(_check_free_space, setup, layout),
        )
    except OSError as error:
        raise DatasetError(f"{layout.root}: cannot be written: {error}") from error
    if state.is_resumed:
        done = sum(len(unit.positions) for unit in state.sorted)
        progress.say(
            f"going on with an unfinished conversion: {done} of {len(setup.shards)} shards are "
            "sorted"
        )
    try:
        if not _has_room_for_runs(setup, layout, state):
            make_way(layout, state)
        yield state
    except OSError as error:
        raise DatasetError(
            f"{error}. Mend that, for example make room. {_how_to_go_on(layout, plan)}"
        ) from error
    except (NoWindowsError, SameFolderError):
        abandon(layout, state)
        raise
    except (A20ParquetError, KeyboardInterrupt):
        progress.say(_how_to_go_on(layout, plan))
        raise


def _how_to_go_on(layout: DatasetLayout, plan: Plan) -> str:
    still_there = (
        f" The dataset that it replaces is still whole: to keep that, delete {layout.conversion}."
        if plan.base is None and layout.manifest.exists()
        else ""
    )
    return f"{layout.root} is unfinished. The same command goes on where it stopped.{still_there}"


def _check_free_space(
    setup: ConversionSetup,
    layout: DatasetLayout,
    state: ConversionState,
    deleted: Sequence[AnyPath],
) -> None:
    """Compare what a conversion has still to write with what is free.

    Args:
        setup: the conversion.
        layout: of the dataset.
        state: what of it was done before.
        deleted: folders that the conversion will delete, whose room it may use.

    Raises:
        DatasetError: a disk has too little.
    """
    written = written_bytes(layout) if state.is_resumed else 0
    needs = [(layout.root, sum(setup.windows) * _row_bytes(setup) - written)]
    needs.append((state.scratch, _run_bytes(setup, state)))
    here = [(_existing(place), need) for place, need in needs if isinstance(place, Path) and need]
    for device, folder in {folder.stat().st_dev: folder for folder, _ in here}.items():
        need = sum(each for place, each in here if place.stat().st_dev == device)
        free = shutil.disk_usage(folder).free
        if free >= need:
            continue
        room = free + _file_bytes(deleted, device)
        if room < need:
            also = f", {room - free:,} more once the old dataset is deleted" * (room > free)
            raise DatasetError(
                f"{folder}: about {need:,} bytes are needed and {free:,} are free{also}. Make "
                "room, or name another dataset or --scratch folder."
            )


def _has_room_for_runs(
    setup: ConversionSetup, layout: DatasetLayout, state: ConversionState
) -> bool:
    """Whether runs fit on the dataset's disk beside an old dataset, which is deleted later then."""
    root, scratch = layout.root, state.scratch
    if not isinstance(root, Path) or not isinstance(scratch, Path):
        return True
    is_same = _existing(scratch).stat().st_dev == root.stat().st_dev
    return not is_same or shutil.disk_usage(root).free >= _run_bytes(setup, state)


def _row_bytes(setup: ConversionSetup) -> int:
    return setup.table.row_bytes + METADATA_ROW_BYTES // 2


def _run_bytes(setup: ConversionSetup, state: ConversionState) -> int:
    """Bytes of the runs that are still to be written."""
    if setup.memory.holds_all:
        return 0
    done = {position for unit in state.sorted for position in unit.positions}
    left = (count for position, count in enumerate(setup.windows) if position not in done)
    return sum(left) * _row_bytes(setup)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above that is there."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def _file_bytes(folders: Iterable[AnyPath], device: int) -> int:
    """Bytes of all files below some folders, as far as they are on one disk."""
    here = [folder for folder in folders if isinstance(folder, Path)]
    paths = {folder / name for folder in here for name in files_below(folder)}
    stats = (path.lstat() for path in paths)
    return sum(stat.st_size for stat in stats if stat.st_dev == device)

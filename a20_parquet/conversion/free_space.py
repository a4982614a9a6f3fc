"""Free space on the disks of this machine, compared with what a conversion has still to write."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from a20_parquet.conversion.job import ConversionSetup
from a20_parquet.conversion.transaction.begin import ConversionState
from a20_parquet.conversion.transaction.checkpoints import written_bytes
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.errors import DatasetError
from a20_parquet.resources import METADATA_ROW_BYTES
from a20_parquet.storage.files import files_below
from a20_parquet.storage.path import AnyPath


def check_free_space(
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


def has_room_for_runs(
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
    """Bytes of all files below some folders, as far as they lie on one disk."""
    here = [folder for folder in folders if isinstance(folder, Path)]
    paths = {folder / name for folder in here for name in files_below(folder)}
    stats = (path.lstat() for path in paths)
    return sum(stat.st_size for stat in stats if stat.st_dev == device)

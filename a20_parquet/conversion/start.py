"""Starting a conversion: check free space, and make errors say how to resume."""

import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from a20_parquet.conversion.job import ConversionSetup
from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.conversion.transaction.begin import ConversionState, abandon, begin, make_way
from a20_parquet.conversion.transaction.checkpoints import Plan, written_bytes
from a20_parquet.conversion.transaction.scratch import new_scratch
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.errors import A20ParquetError, DatasetError, NoWindowsError, SameFolderError
from a20_parquet.progress import Progress
from a20_parquet.resources import METADATA_ROW_BYTES
from a20_parquet.runs.locations import LOCATION
from a20_parquet.storage.files import files_below
from a20_parquet.storage.path import AnyPath
from a20_parquet.tfrecord.shard import Codec

_LOGGER = logging.getLogger(__name__)


@contextmanager
def started(
    layout: DatasetLayout,
    setup: ConversionSetup,
    options: ConvertOptions,
    existing: ExistingDataset | None,
    progress: Progress,
) -> Iterator[ConversionState]:
    """Begin or resume a conversion; if the body fails, say how to resume.

    Finished units are kept if the body fails. If no window is kept, the conversion is abandoned.

    Yields:
        The state to continue from.

    Raises:
        UsageError: there is an unfinished conversion of other inputs or options.
        DatasetError: a file cannot be written, or a disk has too little free space.
    """
    if not setup.embeddings.remarks:
        _LOGGER.info("%s", setup.embeddings)
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
            f"{error}. Mend that, for example free some space. {_how_to_resume(layout, plan)}"
        ) from error
    except (NoWindowsError, SameFolderError):
        abandon(layout, state)
        raise
    except (A20ParquetError, KeyboardInterrupt):
        progress.say(_how_to_resume(layout, plan))
        raise


def _how_to_resume(layout: DatasetLayout, plan: Plan) -> str:
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
    """Raise DatasetError if a disk has too little space, even without the ``deleted`` folders."""
    written = written_bytes(layout) if state.is_resumed else 0
    needs = [(layout.root, sum(setup.windows) * _row_bytes(setup) - written)]
    needs.append((state.scratch, _run_bytes(setup, state)))
    here = [(_existing(path), need) for path, need in needs if isinstance(path, Path) and need]
    for device, folder in {folder.stat().st_dev: folder for folder, _ in here}.items():
        need = sum(each for path, each in here if path.stat().st_dev == device)
        free = shutil.disk_usage(folder).free
        if free >= need:
            continue
        more = _file_bytes(deleted, device)
        if free + more < need:
            also = f", {more:,} more once the old dataset is deleted" * (more > 0)
            located = " Or give --embeddings located, which needs little scratch space."
            raise DatasetError(
                f"{folder}: about {need:,} bytes are needed and {free:,} are free{also}. Free some "
                "space, or name another dataset or --scratch folder." + located * _has_copies(setup)
            )


def _has_copies(setup: ConversionSetup) -> bool:
    """Whether runs are planned of embeddings that could stay in the shards."""
    is_copied = not setup.memory.locates and not setup.memory.holds_all
    return is_copied and setup.embeddings.can_be_located


def _has_room_for_runs(
    setup: ConversionSetup, layout: DatasetLayout, state: ConversionState
) -> bool:
    """Whether the runs fit on the dataset's disk without deleting an old dataset first."""
    root, scratch = layout.root, state.scratch
    if not isinstance(root, Path) or not isinstance(scratch, Path):
        return True
    is_same = _existing(scratch).stat().st_dev == root.stat().st_dev
    return not is_same or shutil.disk_usage(root).free >= _run_bytes(setup, state)


def _row_bytes(setup: ConversionSetup) -> int:
    return setup.table.row_bytes + METADATA_ROW_BYTES // 2


def _run_bytes(setup: ConversionSetup, state: ConversionState) -> int:
    """Return the bytes of the runs that are still to be written."""
    memory = setup.memory
    if memory.holds_all and not memory.locates:
        return 0
    copied = _row_bytes(setup)
    # Windows of compressed shards and of long records are always written to runs.
    located = 0 if memory.holds_all else copied - setup.table.dims * 4 + LOCATION.itemsize
    locates = memory.locates and not setup.are_long
    is_located = [locates and codec is Codec.NONE for codec in setup.codecs]
    done = {position for unit in state.sorted for position in unit.positions}
    return sum(
        count * (located if is_located[position] else copied)
        for position, count in enumerate(setup.windows)
        if position not in done
    )


def _existing(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def _file_bytes(folders: Iterable[AnyPath], device: int) -> int:
    """Return the bytes of all files below some folders that are on one disk."""
    here = [folder for folder in folders if isinstance(folder, Path)]
    paths = {folder / name for folder in here for name in files_below(folder)}
    stats = (path.lstat() for path in paths)
    return sum(stat.st_size for stat in stats if stat.st_dev == device)

"""The stages of a conversion alone, each made of the package's own parts."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate, count, pairwise
from math import ceil
from typing import Any

import numpy as np

from a20_parquet.conversion.duplicates_pass import Comparison, find_duplicates
from a20_parquet.conversion.gather import WindowGatherer
from a20_parquet.conversion.job import ConversionSetup
from a20_parquet.conversion.merge_pass import merge_runs, plan_files
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.execution.threads import ThreadExecutor
from a20_parquet.parquet import Compression, GroupEncoder, ParquetLayout, ParquetWriter
from a20_parquet.progress import NoProgress
from a20_parquet.runs.cursor import MergeCursor
from a20_parquet.runs.merge_cut import unit_slices
from a20_parquet.runs.merge_plan import MergePlan, MergeUnit, plan_merge, unit_rows
from a20_parquet.runs.run import InMemoryRun, Rows, Run
from a20_parquet.runs.run_files import RunFiles
from a20_parquet.runs.stored_run import StoredRun, write_run
from a20_parquet.tfrecord.frames import read_records
from a20_parquet.tfrecord.shard import Shard
from a20_parquet.windows.build import with_embeddings
from a20_parquet.windows.records import DecodedRecords
from a20_parquet.windows.schema import window_schema
from benchmarks.names import COMPRESSIONS, DECODERS, KEYS
from benchmarks.work import Setting, Work

_HELD_BYTES = 64 << 20
_UNIT_BYTES = 64 << 20

_exhaust: Callable[[Iterator[Any]], None] = deque(maxlen=0).extend


def frame(setting: Setting) -> Work:
    """Reads shards, finds their records and checks both checksums of each."""
    job = setting.job()

    def work(shard: Shard) -> None:
        _exhaust(read_records(shard, job.memory.batch_bytes))

    return Work(pieces=[partial(work, shard) for shard in job.shards], size=setting.listing.bytes)


def decode(setting: Setting, *, decoder: str) -> Work:
    """Decodes the first batches of the shards, which lie framed in memory, again and again."""
    job = setting.job(decoder=decoder)
    # A batch is good until its shard's next one is asked for.
    readers = [read_records(shard, job.memory.batch_bytes) for shard in job.shards]
    batches = [next(reader) for reader in readers]
    held = list(accumulate(batch.payload_bytes for batch in batches))
    batches = [batch for batch, size in zip(batches, held, strict=True) if size <= _HELD_BYTES]
    size = held[len(batches) - 1]
    times = ceil(setting.listing.bytes / size)

    def work(batch: Any) -> None:
        for _ in range(times):
            job.decoder.decode(batch)

    return Work(pieces=[partial(work, batch) for batch in batches], size=times * size)


def frame_decode(setting: Setting, *, decoder: str) -> Work:
    """Frames, decodes and copies embeddings to where they are sorted."""
    job = setting.job(decoder=decoder)
    buffers = setting.buffers(max(job.windows), job.table.dims)

    def work(position: int) -> None:
        with buffers.borrow() as buffer:
            gatherer = WindowGatherer(buffer, job.rules)
            for records in read_records(job.shards[position], job.memory.batch_bytes):
                _exhaust(gatherer.add(job.decoder.decode(records)))

    pieces = [partial(work, shard.position) for shard in job.shards]
    return Work(pieces=pieces, size=setting.listing.bytes)


def sort(setting: Setting, *, spill: bool) -> Work:
    """Gathers decoded records up to the budget, sorts them, and writes runs if wanted."""
    job = setting.job()
    units = [[_decoded(job, position) for position in unit] for unit in job.units()]
    buffers = setting.buffers(job.memory.gather_rows, job.table.dims)
    numbers = count()

    def work(shards: Sequence[Sequence[DecodedRecords]]) -> None:
        with buffers.borrow() as buffer:
            gatherer = WindowGatherer(buffer, job.rules)
            for run in _gathered(gatherer, shards):
                if spill:
                    path = setting.scratch / f"run-{next(numbers)}"
                    write_run(run, path, job.memory.slice_rows)

    sizes = [each.embeddings for unit in units for shard in unit for each in shard]
    return Work(
        pieces=[partial(work, unit) for unit in units],
        size=sum(embedding.nbytes for embeddings in sizes for embedding in embeddings),
    )


def merge(setting: Setting) -> Work:
    """Reads runs from scratch disk in the order of the dataset's files, a row group at a time."""
    job = setting.job()
    runs: list[Run] = [StoredRun(files) for files in _spilled(setting, job)]
    units = _plan(job, runs)
    groups = setting.buffers(job.table.row_group_rows, job.table.dims)
    stagings = setting.buffers(job.memory.staging_rows, job.table.dims)

    def work(unit: MergeUnit) -> None:
        with groups.borrow() as group, stagings.borrow() as staging:
            batch_rows = job.memory.slice_rows_of(len(runs))
            slices = unit_slices(runs, unit, batch_rows=batch_rows)
            cursor = MergeCursor(runs, slices, batch_rows=batch_rows, staging=staging)
            for start in range(0, unit.rows, len(group)):
                cursor.read(group[: unit.rows - start])

    rows = int(units.rows.sum())
    return Work(pieces=[partial(work, unit) for unit in units], size=rows * job.table.dims * 4)


def parquet(setting: Setting, *, compression: str) -> Work:
    """Writes row groups, which lie sorted in memory, to files of 64 MB."""
    job = setting.job(compression=compression)
    layout = ParquetLayout(window_schema(job.table.dims), Compression(compression))
    run = _held_run(job, job.shards[0].position)
    rows, dims = int(run.partitions.rows.sum()), job.table.dims
    bounds = [*range(0, rows, job.table.row_group_rows), rows]
    groups = [_windows(run, start, stop, dims) for start, stop in pairwise(bounds)]
    groups_a_file = max(1, _UNIT_BYTES // (job.table.row_group_rows * dims * 4))
    numbers = count()

    def work(mine: Sequence[Any]) -> None:
        path = setting.scratch / f"part-{next(numbers):04}.parquet"
        encoder = GroupEncoder(layout)
        with open(path, "xb", buffering=0) as file, ParquetWriter(file, encoder) as writer:
            for group in mine:
                writer.put(encoder.encode(group))

    size = rows * dims * 4
    times = ceil(setting.listing.bytes / size)
    firsts = range(0, len(groups), groups_a_file)
    pieces = [partial(work, groups[first : first + groups_a_file]) for first in firsts]
    return Work(pieces=pieces * times, size=size * times)


def duplicates(setting: Setting) -> Work:
    """Looks for windows that come twice among those that lie sorted in memory."""
    job = setting.job()
    run = _held_run(job, *(shard.position for shard in job.shards))
    comparison = Comparison(
        runs=[run],
        existing=None,
        dims=job.table.dims,
        features=job.table.features,
        batch_rows=job.memory.slice_rows_of(1),
    )
    return Work(
        # One piece: it divides itself among the workers.
        pieces=[
            lambda: find_duplicates(comparison, workers=setting.threads, executor=_threads(setting))
        ],
        size=int(run.partitions.rows.sum()) * job.table.dims * 4,
    )


def write_dataset(setting: Setting, *, keys: str) -> Work:
    """The whole second pass, from windows that lie unsorted in memory to committed units."""
    job = setting.job(partition_by=",".join(KEYS[keys]))
    run = _held_run(job, *(shard.position for shard in job.shards))
    layout = DatasetLayout(setting.scratch / "dataset")
    for folder in (layout.data, layout.units):
        folder.mkdir(parents=True)
    return Work(
        # Likewise.
        pieces=[
            lambda: merge_runs(
                job, [run], plan_files(job, [run]), layout, _threads(setting), dataset_id=16 * "0"
            )
        ],
        size=int(run.partitions.rows.sum()) * job.table.dims * 4,
    )


def _threads(setting: Setting) -> ThreadExecutor:
    return ThreadExecutor(setting.threads, NoProgress())


def _decoded(job: ConversionSetup, position: int) -> list[DecodedRecords]:
    """A shard's records, their embeddings copied: the shard's buffer is used again."""
    return [
        replace(decoded, embeddings=[np.array(each) for each in decoded.embeddings])
        for decoded in map(
            job.decoder.decode, read_records(job.shards[position], job.memory.batch_bytes)
        )
    ]


def _gathered(
    gatherer: WindowGatherer, shards: Sequence[Sequence[DecodedRecords]]
) -> Iterator[InMemoryRun]:
    for shard in shards:
        for decoded in shard:
            yield from gatherer.add(decoded)
    yield from gatherer.rest()


def _spilled(setting: Setting, job: ConversionSetup) -> list[RunFiles]:
    """The runs that the first pass writes."""
    buffer = np.empty((job.memory.gather_rows, job.table.dims), np.float32)
    written: list[RunFiles] = []
    for unit in job.units():
        gatherer = WindowGatherer(buffer, job.rules)
        for run in _gathered(gatherer, [_decoded(job, position) for position in unit]):
            path = setting.scratch / f"run-{len(written)}"
            written.append(write_run(run, path, job.memory.slice_rows))
    return written


def _held_run(job: ConversionSetup, *positions: int) -> InMemoryRun:
    """The windows of shards, in memory as the first pass leaves them there."""
    windows = sum(job.windows[position] for position in positions)
    buffer: Rows = np.empty((windows, job.table.dims), np.float32)
    gatherer = WindowGatherer(buffer, job.rules)
    for position in positions:
        for records in read_records(job.shards[position], job.memory.batch_bytes):
            _exhaust(gatherer.add(job.decoder.decode(records)))
    found, rows = gatherer.take()
    return InMemoryRun(buffer, rows, found)


def _windows(run: InMemoryRun, start: int, stop: int, dims: int) -> Any:
    embeddings = np.empty((stop - start, dims), np.float32)
    run.read_embeddings(start, embeddings)
    return with_embeddings(run.read_metadata(start, stop), embeddings)


def _plan(job: ConversionSetup, runs: Sequence[Run]) -> MergePlan:
    return plan_merge(
        runs,
        rows_per_file=job.table.rows_per_file,
        rows_per_unit=unit_rows(_UNIT_BYTES // job.table.row_bytes, len(runs)),
    )


PIPELINE: dict[str, Callable[[Setting], Work]] = {
    "frame": frame,
    **{f"decode_{decoder}": partial(decode, decoder=decoder) for decoder in DECODERS},
    **{f"frame_decode_{decoder}": partial(frame_decode, decoder=decoder) for decoder in DECODERS},
    "sort": partial(sort, spill=False),
    "sort_spill": partial(sort, spill=True),
    "duplicates": duplicates,
    "merge": merge,
    **{f"parquet_{each}": partial(parquet, compression=each) for each in COMPRESSIONS},
    **{f"write_{keys}": partial(write_dataset, keys=keys) for keys in KEYS},
}

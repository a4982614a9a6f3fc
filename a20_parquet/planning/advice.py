"""Recommends Hive keys, memory and workers for a conversion, with reasons."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.errors import UsageError
from a20_parquet.formatting import format_bytes, format_count, format_seconds
from a20_parquet.planning.archive import Archive
from a20_parquet.planning.forecast import Forecast, memory_plan
from a20_parquet.resources import default_budget, default_workers
from a20_parquet.windows.partition import SMALL_FILE_BYTES

_LEAST_BYTES = 250_000_000
_BLOCK_BYTES = 1_000_000
_HOUR_S = 3600
_LONG_S = 12 * _HOUR_S
_UNITS_A_WORKER = 4
_MOST_DOUBLINGS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A recommended option."""

    option: str
    """Its name on the command line."""
    value: str
    reason: str


def advise(archive: Archive, options: ConvertOptions, found: Forecast) -> Iterator[Advice]:
    """Recommend Hive keys, memory and workers.

    Args:
        archive: the input.
        options: those that the user gave.
        found: the forecast with these options.
    """
    yield _key(found)
    workers = 1 if found.cluster else default_workers()
    yield _memory(archive, options.model_copy(update={"workers": workers}), cluster=found.cluster)
    yield _cluster_workers(found) if found.cluster else _local_workers(found)


def _key(found: Forecast) -> Advice:
    """Choose the finest key with at least half of its files large enough."""
    large = [key for key in found.keys if key.median_file_bytes >= SMALL_FILE_BYTES]
    chosen = next(iter(large), found.keys[-1])
    reason = _files(chosen.files, chosen.median_file_bytes)
    index = found.keys.index(chosen)
    if index:
        finer = found.keys[index - 1]
        more = _files(finer.files, finer.median_file_bytes)
        reason = f"{reason} ({finer.partition_by}: {more})"
    return Advice(option="--partition-by", value=chosen.partition_by, reason=reason)


def _files(number: int, median_bytes: int) -> str:
    return f"{format_count(number, 'file')}, half over {format_bytes(median_bytes)}"


def _memory(archive: Archive, options: ConvertOptions, *, cluster: bool) -> Advice:
    """Choose the smallest that keeps all windows in memory, or else reads runs in large blocks."""
    enough: tuple[int, int, int] | None = None
    for budget, divided in _budgets(archive, options, cluster=cluster):
        if divided.holds_all and budget <= default_budget():
            stays = "all but the embeddings stays" if divided.locates else "all windows stay"
            reason = f"{stays} in memory, no runs on scratch disk"
            return Advice(option="--memory", value=_size(budget), reason=reason)
        runs, block = _blocks(archive, divided)
        of_a_run = archive.volume.embedding_bytes * archive.volume.windows // max(runs, 1)
        # Embeddings that stay in the shards are read by record, however large a block.
        is_large = divided.locates or block >= min(_BLOCK_BYTES, of_a_run // 2)
        if enough is None and is_large:
            enough = budget, runs, block
        if enough is not None and budget > default_budget():
            break
    budget, runs, block = enough or (0, 0, 0)
    each = "for each worker: " if cluster else ""
    of = " of metadata" if archive.embeddings.located else ""
    reason = f"{each}{format_count(runs, 'run')}{of}, merged in blocks of {format_bytes(block)}"
    return Advice(option="--memory", value=_size(budget), reason=reason)


def _budgets(
    archive: Archive, options: ConvertOptions, *, cluster: bool
) -> Iterator[tuple[int, MemoryPlan]]:
    """Yield round budgets that are enough for all workers, smallest first."""
    for power in range(_MOST_DOUBLINGS):
        budget = (_LEAST_BYTES << power) * options.workers
        try:
            divided = memory_plan(
                archive, options.model_copy(update={"memory": budget}), cluster=cluster
            )
        except UsageError:
            continue
        if divided.workers == options.workers:
            yield budget, divided


def _blocks(archive: Archive, memory: MemoryPlan) -> tuple[int, int]:
    """Return the number of runs, and the bytes of each that the merge reads at a time."""
    sort = archive.volume.sort(memory)
    rows = memory.block_rows_of(sort.merged)
    return sort.runs, rows * archive.volume.embedding_bytes


def _local_workers(found: Forecast) -> Advice:
    cores = default_workers()
    seconds = found.worker_seconds / cores
    reason = f"the cores of this machine, {format_seconds(seconds)}"
    if seconds > _LONG_S:
        more = ceil(found.worker_seconds / _HOUR_S)
        reason += f"; {more} workers of a cluster would take an hour"
    return Advice(option="--workers", value=str(cores), reason=reason)


def _cluster_workers(found: Forecast) -> Advice:
    """Choose as many as finish in an hour, at most as many as there is work for."""
    wanted = ceil(found.worker_seconds / _HOUR_S)
    busy = max(1, min(found.sort.units, found.merge.ranges) // _UNITS_A_WORKER)
    workers = min(wanted, busy)
    reason = (
        f"{format_seconds(found.worker_seconds / workers)}; "
        f"{format_count(found.sort.units, 'unit')} of the first pass and "
        f"{format_count(found.merge.ranges, 'range')} of the second keep {busy:,} busy"
    )
    return Advice(option="--workers", value=str(workers), reason=reason)


def _size(budget: int) -> str:
    gigabytes, rest = divmod(budget, 10**9)
    return f"{budget // 10**6}MB" if rest else f"{gigabytes}GB"

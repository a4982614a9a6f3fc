"""Planning a conversion: all that is decided before the first byte is written."""

import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from a20_parquet.dataset.manifest import Plan, TableOptions
from a20_parquet.errors import DatasetError, SourceError
from a20_parquet.memory import METADATA_ROW_BYTES, MemoryPlan, plan_memory
from a20_parquet.options import ConvertOptions
from a20_parquet.source.decode import TensorFlowDecoder
from a20_parquet.source.discover import Listing
from a20_parquet.source.frames import read_records
from a20_parquet.source.perch_config import read_hop_s
from a20_parquet.source.shard import Codec, Shard, read_codec
from a20_parquet.table.decoded import Embedding

_PROBE_BYTES = 1 << 16
# Real embeddings shrink to about 0.85; a shard that shrinks more just spills more runs.
_INFLATED_RATIO = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A conversion, planned."""

    shards: tuple[Shard, ...]
    """In shard order."""
    windows: tuple[int, ...]
    """For each shard, how many windows it has at the most; a guess for compressed ones."""
    table: TableOptions
    memory: MemoryPlan
    decoder: TensorFlowDecoder

    @property
    def plan(self) -> Plan:
        """Inputs and options, as an unfinished conversion remembers them."""
        shards = tuple((shard.label, shard.url, shard.size) for shard in self.shards)
        return Plan(options=self.table, shards=shards)

    def units(self) -> list[range]:
        """Divide the shards into units of the first pass: ranges of their positions.

        A unit's windows fill one run, or are a single shard's where all of them stay in memory.
        """
        if self.memory.holds_all:
            return [range(i, i + 1) for i in range(len(self.shards))]
        bounds = [0]
        filled = 0
        for position, windows in enumerate(self.windows):
            if filled and filled + windows > self.memory.gather_rows:
                bounds.append(position)
                filled = 0
            filled += windows
        return [range(*bound) for bound in pairwise([*bounds, len(self.shards)])]


def plan_job(listing: Listing, options: ConvertOptions) -> Job:
    """Look at the shards' first records and plan their conversion.

    Raises:
        SourceError: a shard can't be read, or no shard holds a record.
        RecordError: a shard's first record can't be decoded.
        UsageError: the memory budget does not suffice.
    """
    window_s = options.window_seconds or read_hop_s(listing.configs)
    decoder = TensorFlowDecoder()
    firsts = [_first_embedding(shard, decoder) for shard in listing.shards]
    found = next((first.shape[2] for first in firsts if first is not None), None)
    if found is None:
        raise SourceError(f"none of the {len(listing.shards)} shards holds a record")
    dims = options.dims or found
    windows = tuple(
        0 if first is None else _count_windows(shard, dims * first.dtype.itemsize)
        for shard, first in zip(listing.shards, firsts, strict=True)
    )
    memory = plan_memory(
        budget=options.memory,
        workers=options.workers,
        dims=dims,
        row_group_rows=options.row_group_rows,
        windows=sum(windows),
    )
    table = TableOptions(
        partition_by=options.partition_by,
        compression=options.compression,
        max_file_size=options.max_file_size,
        row_group_rows=options.row_group_rows,
        window_seconds=window_s,
        dims=dims,
    )
    return Job(shards=listing.shards, windows=windows, table=table, memory=memory, decoder=decoder)


def check_free_space(job: Job, dataset: Path, scratch: Path) -> None:
    """Compare what a conversion will write with what the disks have free.

    Raises:
        DatasetError: a disk has too little.
    """
    row_bytes = job.table.dims * 4 + METADATA_ROW_BYTES // 2
    windows = sum(job.windows)
    needs = [(dataset, windows * row_bytes)]
    if not job.memory.holds_all:
        needs.append((scratch, windows * row_bytes))
    by_disk: dict[int, tuple[Path, int]] = {}
    for folder, need in needs:
        device = folder.stat().st_dev
        by_disk[device] = (folder, by_disk.get(device, (folder, 0))[1] + need)
    for folder, need in by_disk.values():
        free = shutil.disk_usage(folder).free
        if free < need:
            raise DatasetError(
                f"{folder}: about {need:,} bytes are needed and {free:,} are free. Make room, or "
                "name another dataset or --scratch folder."
            )


def _first_embedding(shard: Shard, decoder: TensorFlowDecoder) -> Embedding | None:
    """Decode a shard's first record; none where it has no record."""
    for records in read_records(shard, _PROBE_BYTES):
        return decoder.decode_strictly(records).embeddings[0]
    return None


def _count_windows(shard: Shard, window_bytes: int) -> int:
    is_plain = read_codec(shard) is Codec.NONE
    return int(np.ceil(shard.size * (1 if is_plain else _INFLATED_RATIO) / window_bytes))

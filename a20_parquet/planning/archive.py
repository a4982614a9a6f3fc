"""Estimates the input of a conversion from a listing and a sample of records."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from pathlib import Path

import numpy as np

from a20_parquet.conversion.embeddings import EmbeddingsChoice, choose_embeddings
from a20_parquet.conversion.job import plan_conversion
from a20_parquet.conversion.new_shards import NewShards
from a20_parquet.conversion.options import ConvertOptions, EmbeddingsIn
from a20_parquet.conversion.reading import Reading
from a20_parquet.dataset.file_layout import FileLayout
from a20_parquet.dataset.options import TableOptions
from a20_parquet.dataset.summaries import Assumption
from a20_parquet.execution.threads import ThreadExecutor
from a20_parquet.parquet import GroupEncoder, ParquetWriter
from a20_parquet.planning.partitions import DrawnWindows, FileSizes
from a20_parquet.planning.passes import Volume
from a20_parquet.planning.sample import Sample, read_sample, spread_over
from a20_parquet.progress import NoProgress
from a20_parquet.resources import free_memory
from a20_parquet.shards.discover import find_shards
from a20_parquet.shards.perch_config import read_configs
from a20_parquet.tfrecord.shard import Shard, some_in_store
from a20_parquet.windows.build import with_embeddings
from a20_parquet.windows.half import to_halves
from a20_parquet.windows.schema import Store

_MOST_SHARDS = 64
_ANY_ID = 16 * "0"
_ENCODED_ROWS = 1024
_FEWER = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What is known about the input."""

    sampled_shards: int
    sampled_records: int
    channels: int
    """Most channels of a record."""
    table: TableOptions
    volume: Volume
    drawn: DrawnWindows
    sizes: FileSizes
    shards: tuple[Shard, ...]
    """Some whose first records can be converted; none of a simulated archive."""
    embeddings: EmbeddingsChoice
    """Where a conversion leaves embeddings if its memory is enough."""
    record_bytes: int
    """Mean bytes of a record."""
    free_bytes: int
    """Free memory of this machine."""
    from_store: bool = False
    """Whether shards are read from a store."""
    assumptions: tuple[Assumption, ...] = ()


def look_at(
    sources: str | Path | Sequence[str | Path],
    options: ConvertOptions,
    records: int,
    *,
    cluster: bool = False,
) -> Archive:
    """List shards and read the first records of some.

    Args:
        sources: folders, files, globs or fsspec URLs.
        options: of the planned conversion.
        records: number of records to read.
        cluster: whether a Dask cluster converts.

    Raises:
        SourceError: shards cannot be found or read, or no record of the sample can be converted.
        UsageError: an option is invalid.
    """
    listing = read_configs(find_shards(sources), options.sample_rate)
    numbers = spread_over(len(listing.shards), min(_MOST_SHARDS, records))
    some = [listing.shards[i] for i in numbers]
    executor = ThreadExecutor(options.workers, NoProgress())
    # Where embeddings are is chosen below, once, for all shards.
    copied = options.model_copy(update={"embeddings": EmbeddingsIn.COPIED})
    job = plan_conversion(
        NewShards(shards=tuple(some)), copied, Reading.of(options, None), executor
    )
    sample = read_sample(job, records)
    sizes = [shard.size for shard in listing.shards]
    windows_a_byte = sum(job.windows) / max(sum(shard.size for shard in job.shards), 1)
    most_windows = [ceil(size * windows_a_byte) for size in sizes]
    is_all = sample.is_whole and sample.shards == len(sizes)
    times = 1.0 if is_all else max(1.0, sum(most_windows) / sample.most_windows)
    taken = len(np.unique(sample.record))
    nearest = np.searchsorted(numbers, np.arange(len(sizes)), side="right") - 1
    free_bytes = free_memory()
    return Archive(
        sampled_shards=sample.shards,
        sampled_records=sample.records,
        channels=sample.channels,
        table=job.table,
        assumptions=job.assumptions,
        volume=Volume(
            shard_bytes=sizes,
            records=round(taken * times),
            windows=round(len(sample.keyed) * times),
            most_windows=most_windows,
            embedding_bytes=job.table.row_bytes,
            metadata_bytes=sample.keyed.nbytes / len(sample.keyed),
            copied=np.array(sample.copied)[nearest].tolist(),
        ),
        drawn=drawn_windows(sample, round(taken * times)),
        sizes=_file_sizes(sample, job.table),
        shards=tuple(shard for shard in some if shard.position in sample.positions),
        embeddings=choose_embeddings(
            options.embeddings,
            listing.shards,
            record_bytes=sample.record_bytes,
            are_locatable=job.are_locatable,
            on_cluster=cluster,
            free_memory=lambda: free_bytes,
        ),
        record_bytes=sample.record_bytes,
        free_bytes=free_bytes,
        from_store=some_in_store(listing.shards),
    )


def drawn_windows(sample: Sample, total_records: int) -> DrawnWindows:
    """Describe the sample's windows as drawn from ``total_records`` records."""
    start = sample.keyed.column("window_start_local")
    dated = start.is_valid().to_numpy(zero_copy_only=False)
    seconds = start.cast("int64").fill_null(0).to_numpy() // 1_000_000
    return DrawnWindows(
        record=sample.record,
        site=sample.keyed.column("site"),
        start_local_s=seconds,
        dated=dated,
        total_records=total_records,
    )


def _file_sizes(sample: Sample, table: TableOptions) -> FileSizes:
    """Return the sizes of files encoded from the sample."""
    rows = min(len(sample.embeddings), table.row_group_rows, _ENCODED_ROWS)
    embeddings = np.ascontiguousarray(sample.embeddings[:rows])
    stored = to_halves(embeddings) if table.store is Store.FLOAT16 else embeddings
    windows = with_embeddings(sample.keyed.slice(0, rows), stored)
    encoder = GroupEncoder(FileLayout(table, _ANY_ID).parquet)

    def encode(count: int) -> int:
        with ParquetWriter(BytesIO(), encoder) as writer:
            writer.put(encoder.encode(windows.slice(0, count)))
        return writer.size

    few = ceil(rows / _FEWER)
    small, whole = encode(few), encode(rows)
    row_bytes = (whole - small) / (rows - few) if rows > few else windows.nbytes
    file_bytes = max(0.0, whole - rows * row_bytes)
    return FileSizes(row=row_bytes, file=file_bytes, most_rows=table.rows_per_file)

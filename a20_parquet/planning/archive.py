"""Estimates the input of a conversion from a listing and a sample of records."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil
from pathlib import Path

import numpy as np

from a20_parquet.conversion.job import ConversionSetup, plan_conversion
from a20_parquet.conversion.new_shards import NewShards
from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.conversion.reading import Reading
from a20_parquet.dataset.file_layout import file_layout
from a20_parquet.dataset.manifest import Assumption, TableOptions
from a20_parquet.execution.threads import ThreadExecutor
from a20_parquet.parquet import GroupEncoder, ParquetWriter
from a20_parquet.planning.partitions import DrawnWindows, FileSizes
from a20_parquet.planning.passes import Volume
from a20_parquet.planning.sample import Sample, read_sample, spread_over
from a20_parquet.progress import NoProgress
from a20_parquet.shards.discover import find_shards
from a20_parquet.shards.perch_config import read_configs
from a20_parquet.tfrecord.shard import Codec, some_in_store
from a20_parquet.windows.build import with_embeddings

_MOST_SHARDS = 64
_ENCODED_ROWS = 1024
_FEWER = 16
_TIMES = 3


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
    read_rate: float
    """Bytes of shards read and decoded per second."""
    encode_rate: float
    """Bytes of embeddings encoded as Parquet per second."""
    compressed: float = 0.0
    """Part of the sampled shards' bytes that is compressed."""
    are_locatable: bool = True
    """Whether no sampled shard is compressed or has long records."""
    from_store: bool = False
    """Whether shards are read from a store."""
    assumptions: tuple[Assumption, ...] = ()


def look_at(
    sources: str | Path | Sequence[str | Path], options: ConvertOptions, records: int
) -> Archive:
    """List shards and read the first records of some.

    Args:
        sources: folders, files, globs or fsspec URLs.
        options: of the planned conversion.
        records: number of records to read.

    Raises:
        SourceError: shards cannot be found or read, or no record of the sample can be converted.
        UsageError: an option is invalid.
    """
    listing = read_configs(find_shards(sources), options.sample_rate)
    numbers = spread_over(len(listing.shards), min(_MOST_SHARDS, records))
    some = [listing.shards[i] for i in numbers]
    executor = ThreadExecutor(options.workers, NoProgress())
    job = plan_conversion(
        NewShards(shards=tuple(some)), options, Reading.of(options, None), executor
    )
    sample = read_sample(job, records)
    sizes = [shard.size for shard in listing.shards]
    windows_a_byte = sum(job.windows) / max(sum(shard.size for shard in job.shards), 1)
    most_windows = [ceil(size * windows_a_byte) for size in sizes]
    is_all = sample.is_whole and sample.shards == len(sizes)
    times = 1.0 if is_all else max(1.0, sum(most_windows) / sample.most_windows)
    taken = len(np.unique(sample.record))
    file_sizes, encode_rate = _encode(sample, job.table)
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
        ),
        drawn=drawn_windows(sample, round(taken * times)),
        sizes=file_sizes,
        read_rate=sample.bytes_a_second,
        encode_rate=encode_rate,
        compressed=_compressed_part(job),
        are_locatable=job.are_locatable,
        from_store=some_in_store(listing.shards),
    )


def _compressed_part(job: ConversionSetup) -> float:
    sizes = [shard.size for shard in job.shards]
    shards = zip(sizes, job.codecs, strict=True)
    return sum(size for size, codec in shards if codec is not Codec.NONE) / max(sum(sizes), 1)


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


def _encode(sample: Sample, table: TableOptions) -> tuple[FileSizes, float]:
    """Return the sizes of files encoded from the sample, and the bytes encoded per second."""
    rows = min(len(sample.embeddings), table.row_group_rows, _ENCODED_ROWS)
    embeddings = np.ascontiguousarray(sample.embeddings[:rows])
    windows = with_embeddings(sample.keyed.slice(0, rows), embeddings)
    encoder = GroupEncoder(file_layout(table))

    def encode(count: int) -> int:
        file = BytesIO()
        with ParquetWriter(file, encoder) as writer:
            writer.put(encoder.encode(windows.slice(0, count)))
        return writer.size

    few = ceil(rows / _FEWER)
    small = encode(few)
    seconds = []
    for _ in range(_TIMES):
        begun = time.perf_counter()
        whole = encode(rows)
        seconds.append(time.perf_counter() - begun)
    row_bytes = (whole - small) / (rows - few) if rows > few else windows.nbytes
    file_bytes = max(0.0, whole - rows * row_bytes)
    sizes = FileSizes(row=row_bytes, file=file_bytes, most_rows=table.rows_per_file)
    return sizes, embeddings.nbytes / min(seconds)

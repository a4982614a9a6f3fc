"""Reads the first records of some shards as a random sample."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from a20_parquet.conversion.gather import are_locatable
from a20_parquet.conversion.job import ConversionSetup
from a20_parquet.errors import SourceError
from a20_parquet.runs.run import Rows
from a20_parquet.storage.read_ahead import Prefetch
from a20_parquet.tfrecord.frames import read_shard
from a20_parquet.tfrecord.records import Records
from a20_parquet.tfrecord.shard import FOOTER_BYTES, HEADER_BYTES, Codec, Shard
from a20_parquet.windows.build import sort_table
from a20_parquet.windows.filter import RecordFilter
from a20_parquet.windows.records import DecodedRecords, RecordMetadata

if TYPE_CHECKING:
    from a20_parquet.windows.rejection import Rejection

_BATCH_BYTES = 1 << 20
_KEPT_ROWS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The first records of some shards."""

    shards: int
    """Number of shards."""
    records: int
    """Number of records read, including those that cannot be converted."""
    is_whole: bool
    """Whether these are all records of the shards."""
    most_windows: float
    """The most windows that a conversion would expect in their bytes."""
    record_bytes: int
    """Mean bytes of a record."""
    channels: int
    """Most channels of a record."""
    keyed: Any
    """Metadata and keys of their windows: a record batch of ``keyed_schema()``."""
    record: Any
    """Number of each window's record, int64 from 0."""
    embeddings: Rows
    """Of the first windows, shape ``(rows, dims)``."""
    positions: frozenset[int]
    """Positions of the shards that have some of these windows."""
    copied: tuple[float, ...]
    """For each shard the part of its windows whose embeddings cannot stay there."""


def spread_over(count: int, most: int) -> list[int]:
    """Return up to ``most`` numbers below ``count``, evenly spread."""
    picked = min(count, most)
    return [i * count // picked for i in range(picked)]


def read_sample(job: ConversionSetup, records: int) -> Sample:
    """Read the first records of a job's shards.

    Args:
        job: the shards to read, and the rules for their records.
        records: number of records to read, at least one of each shard.

    Raises:
        SourceError: a shard cannot be read, or no record can be converted.
    """
    reading = _Reading(job)
    quota = max(1, -(-records // len(job.shards)))
    for shard, window_bytes in zip(job.shards, job.window_bytes, strict=True):
        reading.read(shard, window_bytes, quota)
    if not reading.batches:
        raise SourceError(_why_none(job, reading))
    windows = sort_table(reading.batches, job.rules, reading.features)
    rows = np.arange(len(windows))
    if job.rules.selects:
        taken, _ = job.rules.select(windows)
        windows, rows = windows.filter(taken), rows[taken]
    keyed = windows.to_batch()
    if not len(keyed):
        raise SourceError(_why_none(job, reading))
    kept = np.concatenate([np.empty((0, job.table.dims), np.float32), *reading.embeddings])
    numbers = np.stack([keyed.column("shard").to_numpy(), keyed.column("record").to_numpy()])
    _, record = np.unique(numbers, axis=1, return_inverse=True)
    return Sample(
        shards=len(job.shards),
        records=reading.records,
        is_whole=reading.is_whole,
        most_windows=reading.most_windows,
        record_bytes=reading.bytes // reading.records,
        channels=max(channels for batch in reading.batches for _, channels, _ in batch.shapes),
        keyed=keyed,
        record=record.astype(np.int64).reshape(-1),
        embeddings=kept[rows[rows < len(kept)]],
        positions=frozenset(keyed.column("shard").to_pylist()),
        copied=tuple(
            part if codec is Codec.NONE else 1.0
            for part, codec in zip(reading.copied, job.codecs, strict=True)
        ),
    )


class _Reading:
    """Collects records, windows and counters while shards are read."""

    def __init__(self, job: ConversionSetup) -> None:
        self.records = 0
        self.bytes = 0
        self.is_whole = True
        self.most_windows = 0.0
        self.batches: list[RecordMetadata] = []
        self.embeddings: list[Rows] = []
        self.features: dict[str, list[Any]] = {feature.name: [] for feature in job.table.features}
        self.copied: list[float] = []
        self.problem: Rejection | None = None
        self.left_out = 0
        self._job = job
        self._filter = RecordFilter(job.rules)
        self._kept = 0

    def read(self, shard: Shard, window_bytes: float, quota: int) -> None:
        """Read a shard's first records."""
        windows: Counter[bool] = Counter()
        before = self.records
        for batch in _first(shard, quota):
            decoded = self._job.decoder.decode(batch)
            self._take(batch, decoded, window_bytes)
            for is_located, (count, channels, _) in zip(
                are_locatable(decoded, batch), decoded.metadata.shapes, strict=True
            ):
                windows[is_located] += count * channels
        self.copied.append(windows[False] / max(windows.total(), 1))
        self.is_whole &= self.records - before < quota

    def _take(self, batch: Records, decoded: DecodedRecords, window_bytes: float) -> None:
        frames = batch.payload_bytes + len(batch.payloads) * (HEADER_BYTES + FOOTER_BYTES)
        self.records += len(batch.payloads)
        self.bytes += batch.payload_bytes
        self.most_windows += frames / window_bytes
        intake = self._filter.sort_out(decoded)
        self.problem = self.problem or next(iter(intake.rejected), None)
        self.left_out += intake.left_out
        taken = intake.taken
        if not taken.embeddings:
            return
        self.batches.append(taken.metadata)
        for name, tensors in self.features.items():
            tensors.extend(taken.features[name])
        for embedding in taken.embeddings:
            if self._kept < _KEPT_ROWS:
                rows = np.array(self._job.rules.pick(embedding), np.float32)
                self.embeddings.append(rows)
                self._kept += len(rows)


def _first(shard: Shard, quota: int) -> Iterator[Records]:
    """Yield a shard's first records in batches."""
    for item in read_shard(shard, _BATCH_BYTES, Prefetch(_BATCH_BYTES, blocks=0)):
        if isinstance(item, Records):
            yield Records(shard, item.first, item.offsets[:quota], item.payloads[:quota])
            quota -= len(item.payloads)
            if quota <= 0:
                return


def _why_none(job: ConversionSetup, reading: _Reading) -> str:
    """Explain why the sample has no window."""
    begins = f"none of the first {reading.records} records of {len(job.shards)} shards"
    if reading.batches or reading.left_out or reading.problem is None:
        return f"{begins} has a window in the selection. Select other sites or dates."
    return f"{begins} can be converted. The first: {reading.problem.message}."

"""Rehearses a conversion: converts the first records of some shards, and times both passes."""

import time
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from a20_parquet.conversion.convert import convert_new
from a20_parquet.conversion.job import plan_conversion
from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.conversion.new_shards import NewShards
from a20_parquet.conversion.options import ConvertOptions, EmbeddingsIn, OnError
from a20_parquet.conversion.reading import Reading
from a20_parquet.conversion.start import started
from a20_parquet.conversion.transaction.lock import locked
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.execution.threads import ThreadExecutor, ThreadPool
from a20_parquet.planning.speeds import PassSpeed
from a20_parquet.progress import NoProgress
from a20_parquet.runs.shard_reader import ShardFiles
from a20_parquet.storage.read_ahead import Prefetch
from a20_parquet.tfrecord.compression import open_content
from a20_parquet.tfrecord.frames import FrameReader
from a20_parquet.tfrecord.records import Records
from a20_parquet.tfrecord.shard import WINDOW_BITS, Codec, Shard
from a20_parquet.windows.partition import PartitionBy

_MOST_SHARDS = 4
_SHARD_BYTES = 16 << 20
_BATCH_BYTES = 1 << 20
_RUNS = 4
# More say little more, and take as much longer if there are fewer cores.
_MOST_AT_ONCE = 4
# Fewer files more tell nothing about one.
_LEAST_FILES = 16
# However much of the second pass is for files, some is for their bytes.
_LEAST_PART = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rehearsed:
    """What one rehearsal took."""

    shard_bytes: int
    embedding_bytes: int
    files: int
    first_s: float
    second_s: float

    def speed(self, file_s: float) -> PassSpeed:
        """Return the speed of both passes, where each file takes some seconds."""
        second_s = max(self.second_s - self.files * file_s, _LEAST_PART * self.second_s)
        return PassSpeed(
            sort=self.shard_bytes / self.first_s, merge=self.embedding_bytes / second_s
        )


class _Watch(NoProgress):
    """Notes when passes begin, and when the last bytes were written."""

    def __init__(self) -> None:
        self.begun: dict[str, float] = {}
        self.last = 0.0

    def start(self, name: str, total_bytes: int) -> None:
        """Note the time."""
        del total_bytes
        self.begun[name] = self.last = time.perf_counter()

    def advance(self, count_bytes: int) -> None:
        """Note the time."""
        del count_bytes
        self.last = time.perf_counter()

    def say(self, message: str) -> None:
        """Show nothing: nobody has asked for this conversion."""

    @property
    def seconds(self) -> tuple[float, float]:
        """Of the first pass, with the search for duplicates, and of the second."""
        second = self.begun["writing Parquet"]
        return second - self.begun["reading shards"], max(self.last - second, 1e-6)


class Rehearsal:
    """Converts the first records of some shards, in a temporary folder, with one worker.

    Several do that at the same time, as many as the conversion has workers: they share the memory,
    the disk and the interpreter's lock, so each is slower than one alone.
    """

    def __init__(self, shards: Sequence[Shard], options: ConvertOptions, folder: Path) -> None:
        """Copy the records.

        Args:
            shards: some whose first records can be converted.
            options: of the planned conversion.
            folder: empty; where to write.

        Raises:
            SourceError: a shard cannot be read.
            OSError: the folder cannot be written.
        """
        self._folder = folder
        self._options = options.model_copy(
            update={
                "workers": 1,
                "scratch": None,
                "overwrite": False,
                "npy_json": None,
                "dask": None,
                "site": (),
                "from_date": None,
                "until_date": None,
                "on_error": OnError.QUARANTINE,
                "max_errors": None,
            }
        )
        self._shards = tuple(
            _copy_start(shard, folder / f"{number}", number)
            for number, shard in enumerate(shards[:_MOST_SHARDS])
        )

    def measure(self, plans: Sequence[MemoryPlan]) -> tuple[dict[bool, PassSpeed], float]:
        """Convert as planned.

        Args:
            plans: how the budget is divided, one for each place of embeddings.

        Returns:
            The speeds by whether embeddings stay in the shards, and the seconds of each file.

        Raises:
            A20ParquetError: it failed.
            OSError: the folder cannot be written.
        """
        found = {plan.locates: self._convert(plan, PartitionBy.SITE) for plan in plans}
        few = next(iter(found.values()))
        file_s = 0.0
        if self._options.partition_by is not PartitionBy.SITE:
            many = self._convert(plans[0], self._options.partition_by)
            if many.files - few.files >= _LEAST_FILES:
                file_s = max(0.0, many.second_s - few.second_s) / (many.files - few.files)
        return {locates: each.speed(file_s) for locates, each in found.items()}, file_s

    def _convert(self, plan: MemoryPlan, by: PartitionBy) -> _Rehearsed:
        """Convert once for each worker; return the longest time of each pass."""
        count = min(plan.workers, _MOST_AT_ONCE)
        convert = partial(self._convert_once, plan, by)
        done = [*ThreadPool(count).map(convert, range(count))]
        return replace(
            done[0],
            first_s=max(each.first_s for each in done),
            second_s=max(each.second_s for each in done),
        )

    def _convert_once(self, plan: MemoryPlan, by: PartitionBy, number: int) -> _Rehearsed:
        embeddings = EmbeddingsIn.LOCATED if plan.locates else EmbeddingsIn.COPIED
        options = self._options.model_copy(
            update={
                "partition_by": by,
                "embeddings": embeddings,
                "memory": self._options.memory // plan.workers,
            }
        )
        watch = _Watch()
        executor = ThreadExecutor(1, watch)
        reading = Reading.of(options, None)
        setup = plan_conversion(NewShards(shards=self._shards), options, reading, executor)
        if not plan.holds_all:
            setup = replace(setup, memory=_divided(setup.memory, sum(setup.windows)))
        layout = DatasetLayout.at(self._folder / f"{by}-{embeddings}-{number}")
        with ExitStack() as stack:
            stack.enter_context(locked(layout))
            state = stack.enter_context(started(layout, setup, options, None, watch))
            paths = {shard.position: shard.path for shard in self._shards}
            files = stack.enter_context(ShardFiles(paths))
            done = convert_new(layout, setup, state, reading, executor, files)
        first_s, second_s = watch.seconds
        return _Rehearsed(
            shard_bytes=sum(shard.size for shard in self._shards),
            embedding_bytes=done.new_windows * setup.table.row_bytes,
            files=done.totals.files,
            first_s=first_s,
            second_s=second_s,
        )


def _divided(memory: MemoryPlan, windows: int) -> MemoryPlan:
    """Make it write several runs, as a conversion of all shards does."""
    rows = max(1, windows // _RUNS)
    return replace(
        memory,
        holds_all=False,
        gather_rows=min(memory.gather_rows, rows),
        located_rows=min(memory.located_rows, rows),
    )


def _copy_start(shard: Shard, path: Path, position: int) -> Shard:
    """Copy the first records of a shard to a file, compressed as they are."""
    frames = bytearray()
    with open_content(shard, Prefetch(_BATCH_BYTES, blocks=0)) as content:
        codec = content.codec
        for item in FrameReader(shard, content, _BATCH_BYTES).read():
            if isinstance(item, Records):
                for number in range(item.first, item.first + len(item.payloads)):
                    frames += b"".join(item.frame(number))
            if len(frames) >= _SHARD_BYTES:
                break
    stored = _compress(bytes(frames), codec)
    path.write_bytes(stored)
    return replace(
        shard,
        label=path.name,
        url=str(path),
        path=str(path),
        position=position,
        size=len(stored),
        filesystem=LocalFileSystem(),
        version="",
    )


def _compress(content: bytes, codec: Codec) -> bytes:
    """Compress bytes, fast."""
    if codec is Codec.NONE:
        return content
    packer = zlib.compressobj(level=1, wbits=WINDOW_BITS[codec])
    return packer.compress(content) + packer.flush()

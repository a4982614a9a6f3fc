"""Measures how fast this machine would convert an input."""

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.errors import DatasetError
from a20_parquet.planning.archive import Archive
from a20_parquet.planning.rehearsal import Rehearsal
from a20_parquet.planning.speeds import DiskSpeed, Speeds
from a20_parquet.storage.path import parse_path
from a20_parquet.storage.read_speed import ReadSpeed, measure_reads
from a20_parquet.storage.write_speed import measure_writes

_BLOCK_BYTES = 4 << 20


def measure_speeds(
    archive: Archive, options: ConvertOptions, plans: Sequence[MemoryPlan], *, start_s: float
) -> Speeds:
    """Rehearse the conversion, and time the disk or store.

    Args:
        archive: the input.
        options: of the conversion.
        plans: how the budget is divided, one for each place of embeddings.
        start_s: until the first record is decoded.

    Raises:
        A20ParquetError: the rehearsal failed.
        DatasetError: the folder where to measure cannot be written.
    """
    folder = parse_path(options.scratch or gettempdir())
    if isinstance(folder, Path):
        folder = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    try:
        here = folder if isinstance(folder, Path) else None
        with TemporaryDirectory(prefix="a20-parquet-plan-", dir=here) as temporary:
            rehearsal = Rehearsal(archive.shards, options, Path(temporary))
            passes, file_s = rehearsal.measure(plans)
        write = measure_writes(folder)
    except OSError as error:
        raise DatasetError(
            f"{error}. To measure how long a conversion takes, plan converts some records: name "
            "another --scratch folder, or give --rate."
        ) from error
    return Speeds(
        passes=passes,
        file_s=file_s,
        start_s=start_s,
        disk=DiskSpeed(read=_reading(archive), write=write, free_bytes=archive.free_bytes),
    )


def load_decoder(name: DecoderName) -> float:
    """Load a decoder's library; return the seconds."""
    begun = time.perf_counter()
    if name is DecoderName.TENSORFLOW:
        from a20_parquet.decoding.tensorflow import load_tensorflow

        load_tensorflow()
    return time.perf_counter() - begun


def _reading(archive: Archive) -> ReadSpeed:
    """Return the speed of the disk or store that has the shards."""
    shards = {shard.path: shard for shard in archive.shards}
    sizes = [shard.size for shard in archive.shards]
    if archive.embeddings.speed is not None:
        return archive.embeddings.speed
    if not archive.from_store:
        return measure_reads(list(shards), sizes, archive.record_bytes)

    def read(path: str, offset: int, size: int) -> int:
        shards[path].filesystem.read_range(path, offset, offset + size)
        return size

    found = measure_reads(list(shards), sizes, _BLOCK_BYTES, read=read)
    # A conversion requests several blocks at once.
    return ReadSpeed(sequential=found.random, random=found.random, in_memory=0.0)

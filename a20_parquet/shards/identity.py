"""Checksums of shards' contents, which identify shards under any name."""

from collections.abc import Sequence

from a20_parquet.errors import SourceError
from a20_parquet.execution.threads import ThreadPool
from a20_parquet.progress import Progress
from a20_parquet.tfrecord.compression import open_content
from a20_parquet.tfrecord.frames import BATCH_BYTES, FrameReader
from a20_parquet.tfrecord.shard import Shard


def content_sums(
    shards: Sequence[Shard], workers: ThreadPool, progress: Progress
) -> dict[int, str]:
    """Read shards for their checksums, see ``FrameReader.checksum``.

    Returns:
        Checksums by shard position, without shards that cannot be read; reading their records
        later reports why.
    """
    if not shards:
        return {}
    progress.start("comparing shards", sum(shard.size for shard in shards))
    advance = workers.checked(progress.advance)

    def read(shard: Shard) -> tuple[int, str | None]:
        try:
            with open_content(shard) as content:
                reader = FrameReader(shard, content, BATCH_BYTES)
                for _ in reader.read(advance):
                    pass
        except SourceError:
            return shard.position, None
        return shard.position, reader.checksum

    found = workers.map(read, shards)
    return {position: checksum for position, checksum in found if checksum is not None}

"""Finds a dataset's shards among the sources by content, whatever their names are now."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from a20_parquet.dataset.summaries import ShardSummary
from a20_parquet.execution.threads import ThreadPool
from a20_parquet.progress import Progress
from a20_parquet.shards.identity import content_sums
from a20_parquet.tfrecord.shard import Shard


def match_shards(
    existing: Sequence[ShardSummary],
    found: Sequence[Shard],
    workers: ThreadPool,
    progress: Progress,
) -> list[tuple[Shard, ShardSummary | None]]:
    """Match the sources' shards with those of a dataset by stored size and content's checksum.

    A size that occurs once on each side, with the same label, is enough here: the checksum is
    compared when the shard is read.

    Args:
        existing: the shards that the dataset was made from.
        found: the shards of the sources.
        workers: read the shards that size and label do not identify.
        progress: of that reading.

    Returns:
        The sources' shards in their order, each with the dataset's record of it, which is None if
        the dataset has no such shard. Further copies of the dataset's shards are left out, as an
        append does.
    """
    left: defaultdict[int, list[ShardSummary]] = defaultdict(list)
    for summary in existing:
        left[summary.bytes].append(summary)
    sizes = Counter(shard.size for shard in found)
    unclear = [
        shard
        for shard in found
        if shard.size in left
        and (sizes[shard.size], [each.label for each in left[shard.size]]) != (1, [shard.label])
    ]
    # A shard that cannot be read has a checksum that equals no other.
    checksums = {shard.position: "" for shard in unclear}
    checksums.update(content_sums(unclear, workers, progress))
    known: dict[int, ShardSummary] = {}
    # Shards with the same content are matched by label first.
    for by_label in (True, False):
        for shard in found:
            checksum = checksums.get(shard.position)
            for summary in left[shard.size] if shard.position not in known else ():
                is_same = checksum in {None, summary.checksum}
                if is_same and (not by_label or shard.label == summary.label):
                    known[shard.position] = summary
                    left[shard.size].remove(summary)
                    break
    contents = {(summary.bytes, summary.checksum) for summary in existing}
    return [
        (shard, known.get(shard.position))
        for shard in found
        if shard.position in known or (shard.size, checksums.get(shard.position)) not in contents
    ]

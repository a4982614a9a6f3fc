"""Which of a dataset's shards is which file among the sources, whatever it is called now."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from a20_parquet.dataset.manifest import ShardSummary
from a20_parquet.execution.threads import ThreadPool
from a20_parquet.progress import Progress
from a20_parquet.shards.identity import content_sums
from a20_parquet.tfrecord.shard import Shard


@dataclass(frozen=True, slots=True)
class MatchedShards:
    """Shards of the sources, each with the shard of the dataset that it is."""

    pairs: tuple[tuple[Shard, ShardSummary | None], ...]
    """In shard order; none where the dataset has no such shard."""
    copies: int
    """Further copies of the dataset's shards, which are left out, as an append leaves them out."""


def match_shards(
    held: Sequence[ShardSummary], found: Sequence[Shard], workers: ThreadPool, progress: Progress
) -> MatchedShards:
    """Find each shard among those that a dataset was made of.

    It is the same when its stored size and its content's checksum are. Where a size comes once on
    either side, with one label, that is enough for now: whoever reads the shard compares the
    checksum.

    Args:
        held: the shards that a dataset was made of.
        found: those of the sources.
        workers: threads.
        progress: told how far the reading of those is that size and label do not tell.
    """
    left: defaultdict[int, list[ShardSummary]] = defaultdict(list)
    for summary in held:
        left[summary.bytes].append(summary)
    sizes = Counter(shard.size for shard in found)
    unclear = [
        shard
        for shard in found
        if shard.size in left
        and (sizes[shard.size], [each.label for each in left[shard.size]]) != (1, [shard.label])
    ]
    # One that can't be read has no checksum that another could have.
    checksums = {shard.position: "" for shard in unclear}
    checksums.update(content_sums(unclear, workers, progress))
    known: dict[int, ShardSummary] = {}
    # Of shards with the same content each is the one that is called so, if one is.
    for by_label in (True, False):
        for shard in found:
            checksum = checksums.get(shard.position)
            for summary in left[shard.size] if shard.position not in known else ():
                is_same = checksum in {None, summary.checksum}
                if is_same and (not by_label or shard.label == summary.label):
                    known[shard.position] = summary
                    left[shard.size].remove(summary)
                    break
    contents = {(summary.bytes, summary.checksum) for summary in held}
    pairs = tuple(
        (shard, known.get(shard.position))
        for shard in found
        if shard.position in known or (shard.size, checksums.get(shard.position)) not in contents
    )
    return MatchedShards(pairs, len(found) - len(pairs))

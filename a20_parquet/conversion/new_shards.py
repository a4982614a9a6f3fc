"""Finding the shards that a dataset does not have yet: appending converts only these."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from a20_parquet.dataset.existing import ExistingDataset, Retry
from a20_parquet.dataset.summaries import ShardSummary
from a20_parquet.execution.threads import ThreadPool
from a20_parquet.progress import Progress
from a20_parquet.shards.discover import Listing
from a20_parquet.shards.identity import content_sums
from a20_parquet.shards.labels import make_labels
from a20_parquet.storage.path import is_inside
from a20_parquet.tfrecord.shard import Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class NewShards:
    """The shards of the sources that are to be converted."""

    shards: tuple[Shard, ...]
    """In shard order; their labels differ from the dataset's."""
    retries: Mapping[int, Retry] = field(default_factory=dict)
    """Those of them, by position, that are records in the dataset's quarantine."""
    existing: int = 0
    """How many other shards of the sources are already in the dataset."""
    summaries: tuple[ShardSummary, ...] = ()
    """The dataset's summaries of these."""


def find_new(
    listing: Listing, existing: ExistingDataset | None, workers: ThreadPool, progress: Progress
) -> NewShards:
    """Find the shards that a dataset does not have yet.

    Shards are the same if their stored sizes and the checksums of their contents are. A shard is
    read for this only if the dataset has one of its size.

    Raises:
        DatasetError: the dataset's quarantine is damaged.
    """
    if existing is None:
        return NewShards(shards=listing.shards)
    sizes, contents = existing.sizes, existing.contents
    checksums = content_sums([s for s in listing.shards if s.size in sizes], workers, progress)
    quarantine = existing.layout.quarantine
    new: list[Shard] = []
    known: list[ShardSummary] = []
    retried: list[tuple[Shard, Retry]] = []
    for shard in listing.shards:
        checksum = checksums.get(shard.position)
        if checksum is None:
            new.append(shard)
            continue
        # A shard whose records were all rejected is in quarantine as a whole.
        is_retry = is_inside(shard.filesystem, shard.path, quarantine)
        if (shard.size, checksum) in contents and not is_retry:
            known += contents[shard.size, checksum]
            continue
        name = shard.path.rpartition("/")[2]
        retry = existing.find_retry(name, shard.size, checksum)
        if retry is None:
            new.append(shard)
        elif all(retry.shard != other.shard for _, other in retried):
            retried.append((shard, retry))
    labels = make_labels([shard.url for shard in new], existing.labels)
    labelled = sorted(zip(labels, new, strict=True), key=lambda item: item[0])
    ordered = [replace(shard, label=label) for label, shard in labelled]
    ordered += [shard for shard, _ in retried]
    return NewShards(
        shards=tuple(replace(shard, position=i) for i, shard in enumerate(ordered)),
        retries={len(new) + i: retry for i, (_, retry) in enumerate(retried)},
        existing=len(listing.shards) - len(ordered),
        summaries=tuple({shard.label: shard for shard in known}.values()),
    )


def find_copies(
    before: Sequence[ShardSummary], new: Sequence[ShardSummary]
) -> tuple[tuple[str, ...], ...]:
    """Group shards with the same records, compressed or not, by the checksum of their content.

    Returns:
        The URLs of each group, which has at least two shards and at least one new one.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for shard in (*before, *new):
        if shard.records:
            groups[shard.checksum].append(shard.url)
    wanted = {shard.checksum for shard in new}
    return tuple(
        tuple(urls) for checksum, urls in groups.items() if len(urls) > 1 and checksum in wanted
    )

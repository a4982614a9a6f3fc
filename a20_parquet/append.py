"""Telling a dataset's own shards from new ones, so that appending takes only these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from a20_parquet.dataset.held import HeldDataset, Retry
from a20_parquet.progress import Progress
from a20_parquet.source.content import open_content
from a20_parquet.source.discover import Listing
from a20_parquet.source.frames import FrameReader, tell_progress
from a20_parquet.source.labels import make_labels
from a20_parquet.source.shard import Shard
from a20_parquet.workers import Workers

_BATCH_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ToConvert:
    """What of the sources is to be converted."""

    shards: tuple[Shard, ...]
    """In shard order; their labels differ from those that the dataset has."""
    retries: Mapping[int, Retry]
    """Which of them, by position, are records in the dataset's quarantine."""
    held: int
    """How many other shards of the sources the dataset has already."""


def find_new(
    listing: Listing, held: HeldDataset | None, workers: Workers, progress: Progress
) -> ToConvert:
    """Compare the sources with what a dataset holds.

    A shard is the same when its stored size and its content's checksum are: shards of a size that
    the dataset knows are read to compare them.

    Raises:
        SourceError: a shard can't be read.
        DatasetError: the dataset's quarantine is damaged.
    """
    if held is None:
        return ToConvert(shards=listing.shards, retries={}, held=0)
    sizes = held.sizes
    checksums = _checksums([s for s in listing.shards if s.size in sizes], workers, progress)
    quarantine = held.layout.quarantine.resolve()
    new: list[Shard] = []
    retried: list[tuple[Shard, Retry]] = []
    for shard in listing.shards:
        checksum = checksums.get(shard.position)
        if checksum is None:
            new.append(shard)
            continue
        # A shard of which nothing could be converted lies in quarantine as a whole.
        is_meant = Path(shard.path).parent.resolve() == quarantine
        if held.holds(shard.size, checksum) and not is_meant:
            continue
        name = shard.path.rpartition("/")[2]
        retry = held.find_retry(name, shard.size, checksum)
        if retry is None:
            new.append(shard)
        elif all(retry.shard != other.shard for _, other in retried):
            retried.append((shard, retry))
    labels = make_labels([shard.url for shard in new], held.labels)
    labelled = sorted(zip(labels, new, strict=True), key=lambda item: item[0])
    ordered = [replace(shard, label=label) for label, shard in labelled]
    ordered += [shard for shard, _ in retried]
    return ToConvert(
        shards=tuple(replace(shard, position=i) for i, shard in enumerate(ordered)),
        retries={len(new) + i: retry for i, (_, retry) in enumerate(retried)},
        held=len(listing.shards) - len(ordered),
    )


def _checksums(shards: Sequence[Shard], workers: Workers, progress: Progress) -> dict[int, str]:
    """The content checksum of shards, by their positions."""
    if not shards:
        return {}
    progress.start("comparing shards", sum(shard.size for shard in shards))
    advance = workers.checked(progress.advance)

    def read(shard: Shard) -> tuple[int, str]:
        with open_content(shard) as content:
            reader = FrameReader(shard, content, _BATCH_BYTES)
            for _ in tell_progress(reader.read(), content, advance):
                pass
        return shard.position, reader.checksum

    return dict(workers.map(read, shards))

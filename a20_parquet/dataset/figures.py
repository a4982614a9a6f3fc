"""Checks the figures in a manifest against each other: each is told in more than one place."""

from collections import Counter
from collections.abc import Iterator

from a20_parquet.dataset.manifest import Manifest, QuarantinedShard, ShardSummary
from a20_parquet.dataset.problem import Problem

_MANIFEST = "manifest.json"


def check_figures(manifest: Manifest, windows: int) -> Iterator[Problem]:
    """Check what a manifest says of shards, conversions and quarantine.

    Args:
        manifest: of the dataset.
        windows: that its data files have, as ``files.parquet`` lists them.
    """
    return (Problem(_MANIFEST, text) for text in _wrong(manifest, windows))


def _wrong(manifest: Manifest, windows: int) -> Iterator[str]:
    labels = Counter(shard.label for shard in manifest.shards)
    yield from (f"names the shard {name} {n} times" for name, n in labels.items() if n > 1)
    quarantine = {kept.label: kept for kept in manifest.quarantine}
    yield from (
        f"{name} is in quarantine, and is no shard of it" for name in quarantine.keys() - labels
    )
    for shard in manifest.shards:
        yield from _wrong_shard(shard, quarantine.get(shard.label))
    yield from _wrong_sums(manifest, windows)


def _wrong_shard(shard: ShardSummary, kept: QuarantinedShard | None) -> Iterator[str]:
    reasons = kept.reasons if kept else {}
    damaged = sum(count for reason, count in reasons.items() if reason.is_damage)
    records = sum(reasons.values()) - damaged
    if (shard.quarantined, shard.damaged) != (records, damaged):
        yield (
            f"says of {shard.label} that {shard.quarantined:,} records and {shard.damaged:,} "
            f"damaged ranges are in quarantine, expected {records:,} and {damaged:,} as its "
            "reasons add up to"
        )
    if shard.records < shard.quarantined:
        yield (
            f"says that {shard.label} has {shard.records:,} records, and {shard.quarantined:,} of "
            "them in quarantine"
        )
    if list(shard.retried) != sorted({*shard.retried} - {*range(shard.conversion + 1)}):
        yield (
            f"says that {shard.label} is of conversion {shard.conversion} and was tried again in "
            f"{', '.join(map(str, shard.retried))}, expected later ones in their order"
        )


def _wrong_sums(manifest: Manifest, windows: int) -> Iterator[str]:
    if manifest.conversions:
        dropped = sum(
            each.duplicates.identical
            for each in manifest.conversions
            if each.reading.drop_duplicates
        )
        brought = sum(shard.windows for shard in manifest.shards)
        if brought - dropped != windows:
            yield (
                f"its shards brought {brought:,} windows, of which {dropped:,} were dropped as "
                f"duplicates, but its files have {windows:,}"
            )
    told = [each.left_out for each in manifest.conversions]
    counts = [count for count in told if count is not None]
    left_out = sum(shard.left_out for shard in manifest.shards)
    if len(counts) == len(told) and told and sum(counts) != left_out:
        yield (f"its conversions left out {sum(counts):,} windows, but its shards {left_out:,}")

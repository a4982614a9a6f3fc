"""Compares a dataset with the shards that it was made of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.manifest import FileSummary, QuarantinedShard, ShardSummary
from a20_parquet.dataset.problem import Problem, Problems
from a20_parquet.dataset.quarantine import LIST
from a20_parquet.dataset.sites import KeptSites
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.execution.threads import ThreadPool
from a20_parquet.progress import Progress
from a20_parquet.shards.discover import Listing
from a20_parquet.verification.check_file import read_file
from a20_parquet.verification.check_quarantine import kept_list_sum
from a20_parquet.verification.compare import Comparison, FingerprintSink
from a20_parquet.verification.match_shards import match_shards
from a20_parquet.verification.source_windows import ShardAccount, SourceWindows
from a20_parquet.windows.fingerprint import BlockSink, Fingerprint

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceVerification:
    """What was found in a dataset's shards."""

    shards: int
    records: int
    windows: int
    quarantined: int
    """Records in quarantine."""
    damaged: int
    """Ranges of damaged bytes in quarantine."""
    bytes: int
    """Stored size of all shards."""
    copies: int
    """Further copies of these shards, which were left out."""


def verify_source(
    sides: "ComparisonInputs", dataset: Fingerprint | None, problems: Problems
) -> SourceVerification:
    """Read all shards and compare them with the dataset.

    Args:
        sides: the dataset and its shards.
        dataset: the fingerprint of its windows; none where they could not all be read, so that
            only the shards are compared.
        problems: gets what is wrong.

    Raises:
        DatasetError: a file that was good before can't be read any more.
    """
    catalog = sides.catalog
    features = tuple(feature.name for feature in catalog.features)
    sink = FingerprintSink(features)
    accounts = sides.read_shards("reading shards", sink)
    checked = CheckedShards.of(catalog.manifest.shards, accounts)
    problems.add(checked.problems)
    problems.add(check_in_quarantine(catalog, accounts))
    # What a shard that can't be read lacks has been said.
    is_readable = not any(account.problem for account in accounts)
    if dataset is not None and is_readable and not checked.are_others:
        comparison = Comparison(
            shards=sides.scan_shards,
            dataset=sides.scan_dataset,
            features=features,
            as_sets=any(each.reading.drop_duplicates for each in catalog.manifest.conversions),
            in_part=checked.in_part,
        )
        difference = comparison.differences(sink.fingerprint, dataset)
        problems.add(difference.problems, further=difference.unnamed + difference.groups_left)
    return SourceVerification(
        shards=len(accounts),
        records=sum(account.records for account in accounts),
        windows=sum(account.windows for account in accounts),
        quarantined=catalog.manifest.totals.quarantined,
        damaged=catalog.manifest.totals.damaged,
        bytes=sum(account.bytes for account in accounts),
        copies=sides.copies,
    )


@dataclass(frozen=True, slots=True)
class CheckedShards:
    """What became of the shards' records, compared with what the manifest says."""

    problems: tuple[Problem, ...]
    in_part: bool
    """Whether shards that the dataset was made of are not among the sources."""
    are_others: bool
    """Whether none of the sources is one of the dataset's shards, so that no window can be."""

    @classmethod
    def of(cls, expected: Sequence[ShardSummary], found: Sequence[ShardAccount]) -> Self:
        """Compare them.

        A shard is the same when its size and checksum are, whatever it is called now.
        """
        problems = []
        rest = list(expected)
        unknown = []
        for account in found:
            if account.problem is not None:
                problems.append(Problem(account.label, account.problem))
                _take(rest, label=account.label)
            elif same := _take(rest, checksum=account.checksum):
                problems += _check_counts(account, same)
            else:
                unknown.append(account)
        foreign = []
        for account in unknown:
            was = _take(rest, label=account.label)
            if was is None:
                foreign.append(account.label)
            else:
                changed = (
                    "has changed since it was converted: its checksum is "
                    f"{account.checksum}, expected {was.checksum} as in manifest.json"
                )
                problems.append(Problem(account.label, changed))
        problems += _told_at_once(
            foreign,
            len(found),
            "the dataset was not made of this shard: none in manifest.json has its checksum",
            "shards are not of those that the dataset was made of, as none in manifest.json has "
            "their checksums",
        )
        problems += _told_at_once(
            [shard.label for shard in rest],
            len(expected),
            "was converted, but is not among the sources",
            "shards were converted, but are not among the sources",
        )
        are_others = len(foreign) == len(found) and len(rest) == len(expected)
        return cls(tuple(problems), in_part=bool(rest), are_others=are_others)


def _told_at_once(labels: Sequence[str], among: int, one: str, several: str) -> Iterator[Problem]:
    """Say the same of many shards in one line, with the first ones' names."""
    if len(labels) == 1:
        yield Problem(labels[0], one)
    elif labels:
        named = ", ".join(labels[:_MOST_NAMED])
        more = f" and {len(labels) - _MOST_NAMED:,} more" if len(labels) > _MOST_NAMED else ""
        yield Problem("sources", f"{len(labels):,} of {among:,} {several}: {named}{more}")


def _take(shards: list[ShardSummary], **fields: str) -> ShardSummary | None:
    """Take the first shard with these values out of a list."""
    for shard in shards:
        if all(getattr(shard, name) == value for name, value in fields.items()):
            shards.remove(shard)
            return shard
    return None


def _check_counts(account: ShardAccount, expected: ShardSummary) -> Iterator[Problem]:
    if (account.records, account.windows) != (expected.records, expected.windows):
        yield Problem(
            account.label,
            f"it has {account.records:,} records with {account.windows:,} windows, expected "
            f"{expected.records:,} with {expected.windows:,} as in manifest.json",
        )
    for what, found, told in (
        ("bytes", account.bytes, expected.bytes),
        ("windows outside of what was asked for", account.left_out, expected.left_out),
        (
            "records whose embedding_shape is not their tensor's",
            account.shape_disagreements,
            expected.shape_disagreements,
        ),
    ):
        if found != told:
            yield Problem(
                account.label,
                f"it has {found:,} {what}, expected {told:,} as in manifest.json",
            )


def check_in_quarantine(catalog: Catalog, found: Sequence[ShardAccount]) -> Iterator[Problem]:
    """Compare what of the shards belongs into quarantine with what lies there."""
    kept = {shard.label: shard for shard in catalog.manifest.quarantine}
    for account in found:
        if account.problem is not None:
            continue
        is_there = kept.get(account.label)
        same = _contents(account.quarantined) == _contents(is_there)
        if same and (is_there is None or kept_list_sum(catalog, account.label) == account.listed):
            continue
        yield Problem(
            account.label,
            f"{_said(account.quarantined)} belongs into quarantine, {_said(is_there)} lies there "
            "as in manifest.json, or its bytes or its list differ",
        )


def _contents(shard: QuarantinedShard | None) -> QuarantinedShard | None:
    """What is kept of a shard, without the list of it, whose wording may change."""
    if shard is None:
        return None
    kept = tuple(file for file in shard.files if not file.name.endswith(LIST))
    return shard.model_copy(update={"files": kept})


def _said(shard: QuarantinedShard | None) -> str:
    if shard is None:
        return "nothing"
    return ", ".join(f"{count:,} {reason.value}" for reason, count in shard.reasons.items())


class ComparisonInputs:
    """Goes through shards and data files, once for each pass of the comparison."""

    def __init__(
        self,
        catalog: Catalog,
        listing: Listing,
        *,
        decoder: DecoderName | str,
        workers: int,
        progress: Progress,
    ) -> None:
        """Prepare to go through them.

        Args:
            catalog: of the dataset.
            listing: its shards.
            decoder: what decodes their records.
            workers: threads.
            progress: told how far each pass is.

        Raises:
            UsageError: there is no such decoder.
        """
        matched = match_shards(
            catalog.manifest.shards, listing.shards, ThreadPool(workers), progress
        )
        self.catalog = catalog
        self.copies = matched.copies
        """Further copies of the dataset's shards among the sources."""
        self._shards = matched.pairs
        self._source = SourceWindows(catalog.manifest, KeptSites.read(catalog), decoder)
        self._workers = workers
        self._progress = progress

    def read_shards(self, name: str, sink: BlockSink) -> list[ShardAccount]:
        """Hand the windows of all shards to a sink; account for each shard, in order."""
        shards = self._shards
        self._progress.start(name, sum(shard.size for shard, _ in shards))
        workers = ThreadPool(self._workers)
        advance = workers.checked(self._progress.advance)

        def read(number: int) -> tuple[int, ShardAccount]:
            shard, known = shards[number]
            return number, self._source.read(shard, known, sink, advance)

        accounts = dict(workers.map(read, range(len(shards))))
        return [accounts[number] for number in range(len(shards))]

    def scan_shards(self, name: str, sink: BlockSink) -> None:
        """See ``compare.Scan``."""
        self.read_shards(name, sink)

    def scan_dataset(self, name: str, sink: BlockSink) -> None:
        """See ``compare.Scan``."""
        files = self.catalog.data_files()
        self._progress.start(name, sum(file.bytes for file in files))
        workers = ThreadPool(self._workers)
        advance = workers.checked(self._progress.advance)

        def read(file: FileSummary) -> None:
            read_file(self.catalog, file, sink)
            advance(file.bytes)

        for _ in workers.map(read, files):
            pass

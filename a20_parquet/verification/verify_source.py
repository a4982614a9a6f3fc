"""Compares a dataset with the shards that it was made from."""

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
from a20_parquet.verification.check_dataset import kept_list_sum
from a20_parquet.verification.check_file import read_file
from a20_parquet.verification.compare import Comparison, FingerprintSink
from a20_parquet.verification.match_shards import match_shards
from a20_parquet.verification.source_windows import ShardAccount, SourceWindows
from a20_parquet.windows.fingerprint import BlockSink, Fingerprint

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceVerification:
    """Totals of the shards that were compared with a dataset."""

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
    """Number of further copies of these shards, which were left out."""


def verify_source(
    sides: "ComparisonInputs", dataset: Fingerprint | None, problems: Problems
) -> SourceVerification:
    """Read all shards and compare them with the dataset.

    Args:
        sides: the dataset and its shards.
        dataset: the fingerprint of its windows, or None if some could not be read: then only
            shards and quarantine are compared.
        problems: gets the problems found.

    Raises:
        DatasetError: a file that could be read before cannot be read any more.
    """
    catalog = sides.catalog
    features = tuple(feature.name for feature in catalog.features)
    sink = FingerprintSink(features)
    accounts = sides.read_shards("reading shards", sink)
    checked = CheckedShards.of(catalog.manifest.shards, accounts)
    problems.add(checked.problems)
    problems.add(check_in_quarantine(catalog, accounts))
    # A shard that cannot be read is a problem already: its windows are not called missing.
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
    """The sources' shards compared with those in the manifest."""

    problems: tuple[Problem, ...]
    in_part: bool
    """Whether some of the dataset's shards are not among the sources."""
    are_others: bool
    """Whether none of the sources is one of the dataset's shards."""

    @classmethod
    def of(cls, expected: Sequence[ShardSummary], found: Sequence[ShardAccount]) -> Self:
        """Match shards by checksum, whatever their names are now, and compare their counts."""
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
        problems += _in_one_line(
            foreign,
            len(found),
            "the dataset was not made from this shard: none in manifest.json has its checksum",
            "shards were not used for the dataset: none in manifest.json has their checksums",
        )
        problems += _in_one_line(
            [shard.label for shard in rest],
            len(expected),
            "was converted, but is not among the sources",
            "shards were converted, but are not among the sources",
        )
        are_others = len(foreign) == len(found) and len(rest) == len(expected)
        return cls(tuple(problems), in_part=bool(rest), are_others=are_others)


def _in_one_line(labels: Sequence[str], among: int, one: str, several: str) -> Iterator[Problem]:
    """Report the same problem of many shards in one line, with the first labels."""
    if len(labels) == 1:
        yield Problem(labels[0], one)
    elif labels:
        named = ", ".join(labels[:_MOST_NAMED])
        more = f" and {len(labels) - _MOST_NAMED:,} more" if len(labels) > _MOST_NAMED else ""
        yield Problem("sources", f"{len(labels):,} of {among:,} {several}: {named}{more}")


def _take(shards: list[ShardSummary], **fields: str) -> ShardSummary | None:
    """Remove the first shard with these values from a list, and return it."""
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
    for what, found, known in (
        ("bytes", account.bytes, expected.bytes),
        ("windows outside the selection", account.left_out, expected.left_out),
        (
            "records whose embedding_shape differs from their tensor's shape",
            account.shape_disagreements,
            expected.shape_disagreements,
        ),
    ):
        if found != known:
            yield Problem(
                account.label,
                f"it has {found:,} {what}, expected {known:,} as in manifest.json",
            )


def check_in_quarantine(catalog: Catalog, found: Sequence[ShardAccount]) -> Iterator[Problem]:
    """Compare the records that cannot be converted with those in quarantine."""
    kept = {shard.label: shard for shard in catalog.manifest.quarantine}
    for account in found:
        if account.problem is not None:
            continue
        in_quarantine = kept.get(account.label)
        same = _contents(account.quarantined) == _contents(in_quarantine)
        if same and (
            in_quarantine is None or kept_list_sum(catalog, account.label) == account.listed
        ):
            continue
        yield Problem(
            account.label,
            f"{_format_reasons(account.quarantined)} belongs into quarantine, "
            f"{_format_reasons(in_quarantine)} is there according to manifest.json, or the bytes "
            "or the list differ",
        )


def _contents(shard: QuarantinedShard | None) -> QuarantinedShard | None:
    """Drop the list, whose wording may change between versions."""
    if shard is None:
        return None
    kept = tuple(file for file in shard.files if not file.name.endswith(LIST))
    return shard.model_copy(update={"files": kept})


def _format_reasons(shard: QuarantinedShard | None) -> str:
    if shard is None:
        return "nothing"
    return ", ".join(f"{count:,} {reason.value}" for reason, count in shard.reasons.items())


class ComparisonInputs:
    """Reads all shards or all data files, once for each pass of the comparison."""

    def __init__(
        self,
        catalog: Catalog,
        listing: Listing,
        *,
        decoder: DecoderName | str,
        workers: int,
        progress: Progress,
    ) -> None:
        """Match the shards with those of the dataset.

        Args:
            catalog: of the dataset.
            listing: the sources' shards.
            decoder: of their records.
            workers: number of threads.
            progress: of each pass.

        Raises:
            UsageError: there is no such decoder.
        """
        matched = match_shards(
            catalog.manifest.shards, listing.shards, ThreadPool(workers), progress
        )
        self.catalog = catalog
        self.copies = matched.copies
        self._shards = matched.pairs
        self._source = SourceWindows(catalog.manifest, KeptSites.read(catalog), decoder)
        self._workers = workers
        self._progress = progress

    def read_shards(self, name: str, sink: BlockSink) -> list[ShardAccount]:
        """Pass the windows of all shards to a sink; return the results in shard order."""
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

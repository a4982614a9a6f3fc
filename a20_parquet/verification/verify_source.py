"""Compares a dataset with the shards that it was made from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.manifest import QuarantinedShard
from a20_parquet.dataset.problem import Problem, Problems
from a20_parquet.dataset.quarantine import LIST, list_sum
from a20_parquet.dataset.sites import KeptSites
from a20_parquet.dataset.summaries import FileSummary, ShardSummary
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.execution.threads import ThreadPool
from a20_parquet.formatting import first_names
from a20_parquet.progress import Progress
from a20_parquet.shards.discover import Listing
from a20_parquet.verification.check_dataset import format_reasons, read_list
from a20_parquet.verification.check_file import read_file
from a20_parquet.verification.compare import FingerprintSink, Side, find_differences
from a20_parquet.verification.match_shards import match_shards
from a20_parquet.verification.source_windows import Lists, ShardAccount, SourceWindows
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


def verify_source(  # noqa: PLR0913 - values passed plainly by the only caller
    catalog: Catalog,
    listing: Listing,
    windows: Fingerprint | None,
    problems: Problems,
    *,
    decoder: DecoderName | str,
    workers: int,
    progress: Progress,
    lists: Lists | None = None,
) -> SourceVerification:
    """Read all shards and compare them with the dataset.

    Args:
        catalog: of the dataset.
        listing: the shards.
        windows: the fingerprint of the dataset's windows, or None if some could not be read: then
            only shards and quarantine are compared.
        problems: gets the problems found.
        decoder: of the shards' records.
        workers: number of threads.
        progress: of each pass over shards or data files.
        lists: what conversions left out.

    Raises:
        UsageError: there is no such decoder.
        DatasetError: a file that could be read before cannot be read any more.
    """
    manifest = catalog.manifest
    pairs = match_shards(manifest.shards, listing.shards, ThreadPool(workers), progress)
    source = SourceWindows(manifest, KeptSites.read(catalog), decoder, lists)

    def read_shards(name: str, sink: BlockSink) -> list[ShardAccount]:
        progress.start(name, sum(shard.size for shard, _ in pairs))
        pool = ThreadPool(workers)
        advance = pool.checked(progress.advance)

        def read(number: int) -> tuple[int, ShardAccount]:
            return number, source.read(*pairs[number], sink, advance)

        accounts = dict(pool.map(read, range(len(pairs))))
        return [accounts[number] for number in range(len(pairs))]

    def read_files(name: str, sink: BlockSink) -> None:
        files = catalog.data_files()
        progress.start(name, sum(file.bytes for file in files))
        pool = ThreadPool(workers)
        advance = pool.checked(progress.advance)

        def read(file: FileSummary) -> None:
            read_file(catalog, file, sink)
            advance(file.bytes)

        for _ in pool.map(read, files):
            pass

    features = [feature.name for feature in catalog.features]
    sink = FingerprintSink(features)
    accounts = read_shards("reading shards", sink)
    wrong, foreign, missing = _compare_shards(manifest.shards, accounts)
    problems.add(wrong)
    problems.add(
        _in_one_line(
            foreign,
            len(accounts),
            "the dataset was not made from this shard: none in manifest.json has its checksum",
            "shards were not used for the dataset: none in manifest.json has their checksums",
        )
    )
    problems.add(
        _in_one_line(
            missing,
            len(manifest.shards),
            "was converted, but is not among the sources",
            "shards were converted, but are not among the sources",
        )
    )
    problems.add(_check_quarantine(catalog, accounts))
    are_others = len(foreign) == len(accounts) and len(missing) == len(manifest.shards)
    # A shard that cannot be read is a problem already: its windows are not reported as missing.
    is_readable = not any(account.problem for account in accounts)
    if windows is not None and is_readable and not are_others:
        difference = find_differences(
            Side(fingerprint=sink.fingerprint, scan=read_shards),
            Side(fingerprint=windows, scan=read_files),
            features,
            as_sets=any(each.reading.drop_duplicates for each in manifest.conversions),
            in_part=bool(missing),
        )
        problems.add(difference.problems, further=difference.unnamed + difference.groups_left)
    return SourceVerification(
        shards=len(accounts),
        records=sum(account.summary.records for account in accounts),
        windows=sum(account.summary.windows for account in accounts),
        quarantined=manifest.totals.quarantined,
        damaged=manifest.totals.damaged,
        bytes=sum(account.summary.bytes for account in accounts),
        copies=len(listing.shards) - len(pairs),
    )


def _compare_shards(
    expected: Sequence[ShardSummary], found: Sequence[ShardAccount]
) -> tuple[list[Problem], list[str], list[str]]:
    """Match shards by checksum, whatever their names are now, and compare their counts.

    Returns:
        The problems of shards that match; labels of the sources' shards that are not in the
        manifest; labels of the manifest's shards that are not among the sources.
    """
    problems = []
    rest = list(expected)
    unknown = []
    for account in found:
        if account.problem is not None:
            problems.append(Problem(account.summary.label, account.problem))
            _take(rest, label=account.summary.label)
        elif same := _take(rest, checksum=account.summary.checksum):
            problems += _check_counts(account.summary, same)
        else:
            unknown.append(account)
    foreign = []
    for account in unknown:
        was = _take(rest, label=account.summary.label)
        if was is None:
            foreign.append(account.summary.label)
        else:
            changed = (
                "has changed since it was converted: its checksum is "
                f"{account.summary.checksum}, expected {was.checksum} as in manifest.json"
            )
            problems.append(Problem(account.summary.label, changed))
    return problems, foreign, [shard.label for shard in rest]


def _in_one_line(labels: Sequence[str], among: int, one: str, several: str) -> Iterator[Problem]:
    """Report the same problem of many shards in one line, with the first labels."""
    if len(labels) == 1:
        yield Problem(labels[0], one)
    elif labels:
        named = first_names(labels, _MOST_NAMED)
        yield Problem("sources", f"{len(labels):,} of {among:,} {several}: {named}")


def _take(shards: list[ShardSummary], **fields: str) -> ShardSummary | None:
    """Remove the first shard with these values from a list, and return it."""
    for shard in shards:
        if all(getattr(shard, name) == value for name, value in fields.items()):
            shards.remove(shard)
            return shard
    return None


def _check_counts(found: ShardSummary, expected: ShardSummary) -> Iterator[Problem]:
    if (found.records, found.windows) != (expected.records, expected.windows):
        yield Problem(
            found.label,
            f"it has {found.records:,} records with {found.windows:,} windows, expected "
            f"{expected.records:,} with {expected.windows:,} as in manifest.json",
        )
    for name, what in (
        ("bytes", "bytes"),
        ("left_out", "windows outside the selection"),
        (
            "shape_disagreements",
            "records whose embedding_shape differs from their tensor's shape",
        ),
    ):
        count, known = getattr(found, name), getattr(expected, name)
        if count != known:
            yield Problem(
                found.label, f"it has {count:,} {what}, expected {known:,} as in manifest.json"
            )


def _check_quarantine(catalog: Catalog, found: Sequence[ShardAccount]) -> Iterator[Problem]:
    """Compare the records that cannot be converted with those in quarantine."""
    kept = {shard.label: shard for shard in catalog.manifest.quarantine}
    for account in found:
        label = account.summary.label
        belonging, existing = account.quarantined, kept.get(label)
        if account.problem is not None:
            continue
        if _contents(belonging) == _contents(existing):
            entries = read_list(catalog, label) if existing else None
            if existing is None or (entries is not None and list_sum(entries) == account.listed):
                continue
        belongs, exists = (
            format_reasons(each.reasons if each else {}) for each in (belonging, existing)
        )
        yield Problem(
            label,
            f"{belongs} belongs in quarantine, {exists} is there according to manifest.json, or "
            "the bytes or the list differ",
        )


def _contents(shard: QuarantinedShard | None) -> QuarantinedShard | None:
    """Drop the list, whose wording may change between versions."""
    if shard is None:
        return None
    kept = tuple(file for file in shard.files if not file.name.endswith(LIST))
    return shard.model_copy(update={"files": kept})

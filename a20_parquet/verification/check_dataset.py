"""Checks a dataset as a whole: manifest, list of files, folders and quarantine."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping

import crc32c

from a20_parquet.dataset.card_parts import described_files
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.layout import CARD, PART, QUARANTINE, QUARANTINES
from a20_parquet.dataset.manifest import Manifest, QuarantinedShard, QuarantineFile
from a20_parquet.dataset.problem import Problem
from a20_parquet.dataset.quarantine import LIST, Entry, parse_entry
from a20_parquet.dataset.summaries import FileSummary, ShardSummary
from a20_parquet.errors import DatasetError
from a20_parquet.verification.check_file import open_file
from a20_parquet.windows.partition import hive_folder
from a20_parquet.windows.rejection import Reason

_READ_BYTES = 1 << 20


def check_lists(catalog: Catalog, files: list[FileSummary]) -> Iterator[Problem]:
    """Check the manifest's totals, and the paths in ``files.parquet``."""
    for name, found, expected in _totals(catalog, files):
        if found != expected:
            yield Problem(
                "manifest.json",
                f"its totals say {found:,} {name}, expected {expected:,} as counted",
            )
    repeated = Counter(file.path for file in files)
    for path, count in repeated.items():
        if count > 1:
            yield Problem("files.parquet", f"names {path} {count} times")
    order = sorted(files, key=_order)
    if order != files:
        first = next(file for file, right in zip(files, order, strict=True) if file != right)
        yield Problem("files.parquet", f"{first.path} is out of order")
    for file in files:
        folder = f"data/{hive_folder(*file.key, catalog.partition_by)}"
        head, _, name = file.path.rpartition("/")
        if head != folder or not PART.fullmatch(name):
            yield Problem(file.path, f"its path should be {folder}/part-NNNN.parquet")


def _order(file: FileSummary) -> tuple[str, bool, int, int]:
    part = file.path.rpartition("-")[2].removesuffix(".parquet")
    return file.site, file.period is not None, file.period or 0, int(part)


def _totals(catalog: Catalog, files: list[FileSummary]) -> Iterator[tuple[str, int, int]]:
    """Yield the name of each total, its value in the manifest, and the value as counted."""
    totals, shards = catalog.head.totals, catalog.manifest.shards
    has_period = catalog.partition_by.period is not None
    yield "shards", totals.shards, len(shards)
    yield "records", totals.records, sum(shard.records for shard in shards)
    yield "windows", totals.windows, sum(file.rows for file in files)
    yield "sites", totals.sites, len({file.key[0] for file in files})
    yield "dates", totals.dates, len({file.key[1] for file in files}) if has_period else 0
    yield "files", totals.files, len(files)
    yield "bytes", totals.bytes, sum(file.bytes for file in files)
    quarantine = catalog.manifest.quarantine
    damaged = sum(
        count for shard in quarantine for reason, count in shard.reasons.items() if reason.is_damage
    )
    in_quarantine = sum(sum(shard.reasons.values()) for shard in quarantine)
    yield "records in quarantine", totals.quarantined, in_quarantine - damaged
    yield "damaged ranges", totals.damaged, damaged


def check_folders(catalog: Catalog, files: list[FileSummary], *, strays: bool) -> Iterator[Problem]:
    """Check ``quarantine/``, and search ``data/`` for files that the dataset does not name.

    Args:
        catalog: of the dataset.
        files: its data files, as ``files.parquet`` lists them.
        strays: whether unknown files in either folder are problems.
    """
    if strays:
        yield from _check_data(catalog, {file.path for file in files})
    quarantined = [file for shard in catalog.manifest.quarantine for file in shard.files]
    for file in quarantined:
        # Shortly after a commit, files may still be in their staging folder.
        paths = [f"{folder}/{file.name}" for folder in QUARANTINES]
        found = [list(_check_bytes(catalog, path, file)) for path in paths]
        yield from found[0] if all(found) else ()
    for shard in catalog.manifest.quarantine:
        yield from _check_reasons(catalog, shard)
    if strays:
        yield from _check_strays(catalog, {file.name for file in quarantined})


def is_card_outdated(catalog: Catalog) -> bool:
    """Return whether the dataset card describes other files than the dataset has."""
    try:
        card = catalog.read(CARD).decode(errors="replace")
    except OSError:
        return False
    # Shortly after a commit, the new card is still in its staging folder.
    is_staged = catalog.filesystem.exists(catalog.path(f"conversion/{CARD}"))
    return described_files(card) not in {None, catalog.manifest.files_checksum} and not is_staged


def _check_data(catalog: Catalog, named: Container[str]) -> Iterator[Problem]:
    root = f"{catalog.root}/"
    try:
        found = catalog.filesystem.find(catalog.path("data"))
    except FileNotFoundError:
        return
    for path in sorted(found):
        relative = path[path.index(root) + len(root) :]
        if relative not in named:
            yield Problem(relative, "is in data/, but files.parquet does not name it")


def is_being_written(catalog: Catalog) -> bool:
    """Return whether an append is running, or was interrupted."""
    return bool(catalog.filesystem.exists(catalog.path("conversion/plan.json")))


def _check_reasons(catalog: Catalog, shard: QuarantinedShard) -> Iterator[Problem]:
    entries = read_list(catalog, shard.label)
    if entries is None:
        return  # _check_bytes reports it
    found = Counter(entry.reason for entry in entries)
    if found != shard.reasons:
        yield Problem(
            f"{QUARANTINE}/{shard.label}{LIST}",
            f"lists {format_reasons(found)}, expected {format_reasons(shard.reasons)} as in "
            "manifest.json",
        )


def format_reasons(reasons: Mapping[Reason, int]) -> str:
    """Format counts by reason, such as ``2 bad_payload, 1 bad_filename``; ``nothing`` if empty."""
    return ", ".join(f"{reasons[each]:,} {each.value}" for each in sorted(reasons)) or "nothing"


def read_list(catalog: Catalog, label: str) -> list[Entry] | None:
    """Read a shard's list in quarantine; return None if it cannot be read."""
    for folder in QUARANTINES:
        path = f"{folder}/{label}{LIST}"
        try:
            return [parse_entry(line, path) for line in catalog.read(path).splitlines()]
        except (OSError, DatasetError):
            continue
    return None


def _check_bytes(catalog: Catalog, path: str, file: QuarantineFile) -> Iterator[Problem]:
    size = checksum = 0
    try:
        with open_file(catalog, path) as opened:
            while block := opened.read(_READ_BYTES):
                size += len(block)
                checksum = crc32c.crc32c(block, checksum)
    except OSError as error:
        yield Problem(path, f"cannot be read: {error}")
        return
    if size != file.bytes:
        yield Problem(path, f"has {size:,} bytes, expected {file.bytes:,}")
    elif f"{checksum:08x}" != file.checksum:
        yield Problem(path, f"its checksum is {checksum:08x}, expected {file.checksum}")


def _check_strays(catalog: Catalog, named: Container[str]) -> Iterator[Problem]:
    try:
        found = catalog.filesystem.ls(catalog.path(QUARANTINE), detail=False)
    except FileNotFoundError:
        return
    except OSError as error:
        yield Problem(QUARANTINE, f"cannot be listed: {error}")
        return
    for name in sorted(path.rstrip("/").rpartition("/")[2] for path in found):
        if name not in named:
            yield Problem(f"{QUARANTINE}/{name}", "the manifest does not name it")


def check_figures(manifest: Manifest, windows: int) -> Iterator[Problem]:
    """Check that a manifest's numbers of shards, conversions and quarantine agree.

    Args:
        manifest: of the dataset.
        windows: number of windows in the data files, as ``files.parquet`` lists them.
    """
    labels = Counter(shard.label for shard in manifest.shards)
    texts = [f"names the shard {name} {n} times" for name, n in labels.items() if n > 1]
    quarantine = {kept.label: kept for kept in manifest.quarantine}
    texts += [
        f"{name} is in quarantine, but is not one of its shards"
        for name in quarantine.keys() - labels
    ]
    for shard in manifest.shards:
        texts += _wrong_counts(shard, quarantine.get(shard.label))
    texts += _wrong_sums(manifest, windows)
    return (Problem("manifest.json", text) for text in texts)


def _wrong_counts(shard: ShardSummary, kept: QuarantinedShard | None) -> Iterator[str]:
    reasons = kept.reasons if kept else {}
    damaged = sum(count for reason, count in reasons.items() if reason.is_damage)
    records = sum(reasons.values()) - damaged
    if (shard.quarantined, shard.damaged) != (records, damaged):
        yield (
            f"says that {shard.quarantined:,} records and {shard.damaged:,} damaged ranges of "
            f"{shard.label} are in quarantine, expected {records:,} and {damaged:,} as the sums of "
            "its reasons"
        )
    if shard.records < shard.quarantined:
        yield (
            f"says that {shard.label} has {shard.records:,} records, but {shard.quarantined:,} of "
            "them are in quarantine"
        )
    if list(shard.retried) != sorted({*shard.retried} - {*range(shard.conversion + 1)}):
        yield (
            f"says that {shard.label} is of conversion {shard.conversion} and was tried again in "
            f"{', '.join(map(str, shard.retried))}, expected later ones in ascending order"
        )


def _wrong_sums(manifest: Manifest, windows: int) -> Iterator[str]:
    if manifest.origins:
        # The conversions are those of the whole dataset.
        return
    if manifest.conversions:
        dropped = sum(
            each.duplicates.identical
            for each in manifest.conversions
            if each.reading.drop_duplicates
        )
        brought = sum(shard.windows for shard in manifest.shards)
        if brought - dropped != windows:
            yield (
                f"its shards have {brought:,} windows, of which {dropped:,} were dropped as "
                f"duplicates, but its files have {windows:,}"
            )
    counts = [each.left_out for each in manifest.conversions if each.left_out is not None]
    left_out = sum(shard.left_out for shard in manifest.shards)
    if counts and len(counts) == len(manifest.conversions) and sum(counts) != left_out:
        yield f"its conversions left out {sum(counts):,} windows, but its shards {left_out:,}"

"""Checks a dataset as a whole: its manifest against its list of files, and both against folders."""

from collections import Counter
from collections.abc import Iterator

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.layout import PART
from a20_parquet.dataset.manifest import FileSummary
from a20_parquet.dataset.problem import Problem
from a20_parquet.verification.check_quarantine import check_quarantine
from a20_parquet.windows.partition import hive_folder

_MANIFEST = "manifest.json"


def check_lists(catalog: Catalog, files: list[FileSummary]) -> Iterator[Problem]:
    """Check the manifest's totals, and the paths in ``files.parquet``."""
    for name, found, expected in _totals(catalog, files):
        if found != expected:
            yield Problem(
                _MANIFEST, f"its totals say {found:,} {name}, expected {expected:,} as counted"
            )
    repeated = Counter(file.path for file in files)
    for path, count in repeated.items():
        if count > 1:
            yield Problem("files.parquet", f"it names {path} {count} times")
    order = sorted(files, key=_order)
    if order != files:
        first = next(file for file, right in zip(files, order, strict=True) if file != right)
        yield Problem("files.parquet", f"{first.path} is not at its place in the order")
    for file in files:
        folder = f"data/{hive_folder(*file.key, catalog.partition_by)}"
        head, _, name = file.path.rpartition("/")
        if head != folder or not PART.fullmatch(name):
            yield Problem(file.path, f"its place should be {folder}/part-NNNN.parquet")


def _order(file: FileSummary) -> tuple[str, bool, int, int]:
    part = file.path.rpartition("-")[2].removesuffix(".parquet")
    return file.site, file.period is not None, file.period or 0, int(part)


def _totals(catalog: Catalog, files: list[FileSummary]) -> Iterator[tuple[str, int, int]]:
    """Name, value in the manifest, value as counted."""
    totals, shards = catalog.manifest.totals, catalog.manifest.shards
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
    """Look at ``quarantine/``, and for files in ``data/`` that the dataset does not name.

    Args:
        catalog: of the dataset.
        files: that it names.
        strays: whether other files, in either folder, are wrong.
    """
    named = {file.path for file in files}
    for path in _files_in_data(catalog) if strays else ():
        if path not in named:
            yield Problem(path, "lies in data/, but files.parquet does not name it")
    yield from check_quarantine(catalog, strays=strays)


def _files_in_data(catalog: Catalog) -> Iterator[str]:
    """All files in ``data/``, relative to the dataset, sorted."""
    root = f"{catalog.root}/"
    try:
        found = catalog.filesystem.find(catalog.path("data"))
    except FileNotFoundError:
        return
    for path in sorted(found):
        yield path[path.index(root) + len(root) :]


def is_being_written(catalog: Catalog) -> bool:
    """Whether something is being appended, or died while it was."""
    return bool(catalog.filesystem.exists(catalog.path("conversion/plan.json")))

"""The end of a conversion: refuse a selection that keeps no window, or commit the new state."""

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from a20_parquet._version import __version__
from a20_parquet.conversion.job import ConversionSetup
from a20_parquet.conversion.transaction.begin import ConversionState, abandon
from a20_parquet.conversion.transaction.checkpoints import SortedShards
from a20_parquet.conversion.transaction.commit import clean_up, commit
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.dataset.manifest_content import make_manifest, merge_quarantine
from a20_parquet.dataset.options import ReadingOptions, TableOptions
from a20_parquet.dataset.summaries import (
    Assumption,
    ConversionSummary,
    DuplicateCounts,
    FileSummary,
    LeftOutCounts,
    ShardSummary,
)
from a20_parquet.dataset.write_file_list import files_content
from a20_parquet.errors import NoWindowsError
from a20_parquet.formatting import format_count
from a20_parquet.runs.run import Run
from a20_parquet.windows.filenames.site_token import SHARED_TOKENS, may_be_shared
from a20_parquet.windows.half import merge_roundings
from a20_parquet.windows.name_sketch import NameSketch
from a20_parquet.windows.selection import LeftOut, site_values
from a20_parquet.windows.spacing import judge_hop
from a20_parquet.windows.window_list import count_marked

_MOST_NAMED = 20


def check_some_kept(setup: ConversionSetup, made: SortedShards, *, overwrites: bool) -> None:
    """Check that the first pass kept some windows.

    Raises:
        NoWindowsError: it kept none, and left some out or the conversion ``overwrites`` a dataset.
    """
    count = made.left_out
    if any(shard.windows for shard in made.shards) or not (count or overwrites):
        return
    why = "; ".join(_reasons(setup, made.observations.left_out))
    rejected: Counter[str] = Counter()
    for shard in made.quarantine:
        rejected.update(shard.reasons)
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in sorted(rejected.items()))
    if not count:
        raise NoWindowsError(
            f"no window can be converted ({reasons or 'the shards have none'}), and --overwrite "
            "would delete a dataset for that. It was not changed: give other options, or another "
            "DATASET."
        )
    beside = f" Besides, records cannot be converted: {reasons}." if reasons else ""
    raise NoWindowsError(
        f"none of {format_count(count, 'window')} is in the selection: {why}.{beside} Nothing was "
        "converted: give other options."
    )


def missing_sites(
    setup: ConversionSetup, left_out: LeftOut, runs: Sequence[Run], files: Sequence[FileSummary]
) -> tuple[str, ...]:
    """Return the sites in ``--site`` of which the shards have no recording at all.

    Recordings are in ``left_out``, in the new data files, or in the runs if they are duplicates.
    """
    if left_out.has_more_sites:
        return ()
    there = {*left_out.sites, *(file.site for file in files)}
    missing = _not_among(there, setup)
    if missing and setup.reading.drop_duplicates:
        # Dropped duplicates are in no file.
        for run in runs:
            there.update(run.partitions.site.unique().to_pylist())
        missing = _not_among(there, setup)
    return missing


def _not_among(there: set[str], setup: ConversionSetup) -> tuple[str, ...]:
    rule = setup.table.site_tokens
    return tuple(site for site in setup.reading.site if there.isdisjoint(site_values(site, rule)))


def _reasons(setup: ConversionSetup, left_out: LeftOut) -> Iterator[str]:
    """Yield, for each part of the selection that matches nothing, what the shards have."""
    reading, selection = setup.reading, setup.rules.selection
    if selection.sites and not any(map(selection.takes_site, left_out.sites)):
        known = _known_sites(reading, left_out)
        yield f"--site is {','.join(reading.site)}, and the shards have {known}"
        return
    if left_out.first_day is not None:
        days = f"from {left_out.first_day} to {left_out.last_day}"
        yield f"{_format_dates(reading)}, and the windows start {days}"
    if left_out.undated:
        undated = format_count(left_out.undated, "window")
        yield f"{_format_dates(reading)}, and {undated} have no date"
    if left_out.listed:
        windows = format_count(left_out.listed, "window")
        yield f"--exclude {reading.exclude} names {windows}"
    if left_out.where:
        windows = format_count(left_out.where, "window")
        yield f"--where {reading.where!r} is false or null for {windows}"
    if setup.table.channels and left_out.channels <= min(setup.table.channels):
        given = ",".join(map(str, setup.table.channels))
        most = left_out.channels - 1
        yield f"--channels is {given}, and records have {f'0 to {most}' if most else 'only 0'}"


def _format_dates(reading: ReadingOptions) -> str:
    days = {"--from": reading.from_date, "--until": reading.until_date}
    return " and ".join(f"{name} is {day}" for name, day in days.items() if day is not None)


def _known_sites(reading: ReadingOptions, left_out: LeftOut) -> str:
    """Name the sites of the shards, the most similar to those in ``--site`` first."""
    sites = sorted(left_out.sites, key=lambda site: -_similarity(site, reading.site))
    most = sites[:_MOST_NAMED]
    more = len(sites) - len(most)
    at_least = "more than " if left_out.has_more_sites else ""
    rest = f" and {at_least}{more:,} more" if more else ""
    return f"{format_count(len(sites), 'site')}: {', '.join(most)}{rest}"


def _similarity(site: str, wanted: Sequence[str]) -> float:
    """Return the similarity of a site to the most similar one in ``wanted``, from 0 to 1."""
    return max(SequenceMatcher(None, site.lower(), each.lower()).ratio() for each in wanted)


def finish(  # noqa: PLR0913 - all that is new, each named
    layout: DatasetLayout,
    setup: ConversionSetup,
    state: ConversionState,
    existing: ExistingDataset | None,
    *,
    dataset_id: str,
    sorted_shards: SortedShards,
    duplicates: DuplicateCounts,
    files: Sequence[FileSummary],
) -> Manifest:
    """Commit a conversion and remove its temporary files.

    If only quarantine was converted and all its records were rejected again, the dataset stays as
    it is, without a further conversion in its manifest.

    Raises:
        OSError: a file cannot be written.
    """
    before = existing.manifest if existing else None
    all_files = sorted([*(existing.files if existing else ()), *files], key=_partition_order)
    listed = files_content(all_files, setup.table.partition_by)
    kept = {shard.label for shard in sorted_shards.quarantine}
    retried = {retry.shard.label for retry in setup.retries.values()}
    quarantine = merge_quarantine(
        before.quarantine if before else (), sorted_shards.quarantine, sorted(retried - kept)
    )
    only_retries = len(setup.retries) == len(setup.shards)
    taken = sum(shard.windows + shard.left_out for shard in sorted_shards.shards)
    if before is not None and only_retries and not taken and quarantine == [*before.quarantine]:
        abandon(layout, state)
        return before
    manifest = make_manifest(
        setup.table,
        id=dataset_id,
        files=all_files,
        files_content=listed,
        shards=list(_all_shards(setup, before, sorted_shards.shards)),
        conversions=[
            *(before.conversions if before else ()),
            ConversionSummary(
                reading=setup.reading,
                duplicates=duplicates,
                version=__version__,
                assumptions=(
                    *setup.assumptions,
                    *_assumed_zones(sorted_shards.observations.taken_for_utc),
                    *_assumed_sites(setup.table, all_files),
                ),
                left_out=sorted_shards.left_out,
                excluded=excluded_counts(setup.reading, sorted_shards.observations.left_out),
                rounding=merge_roundings(file.rounding for file in files),
                hop_remark=judge_hop(
                    sorted_shards.observations.spacing, setup.table.window_seconds
                ),
            ),
        ],
        quarantine=quarantine,
    )
    sites = None
    if setup.sites is not None:
        from a20_parquet.dataset.sites import kept_content

        number = len(before.conversions) if before else 0
        sites = kept_content(existing.sites if existing else None, setup.sites, number)
    commit(layout, manifest, all_files, sites)
    clean_up(layout, state.own_scratch)
    return manifest


def excluded_counts(reading: ReadingOptions, left_out: LeftOut) -> LeftOutCounts | None:
    """Count what ``--exclude`` and ``--where`` left out; None without both."""
    if reading.exclude is None and reading.where is None:
        return None
    rows = 0 if reading.exclude is None else reading.exclude.rows
    return LeftOutCounts(
        listed=left_out.listed,
        unused_rows=rows - count_marked(left_out.used_rows),
        where=left_out.where,
    )


def _assumed_zones(recordings: NameSketch) -> Iterator[Assumption]:
    """Yield the assumption that the clocks of some recordings showed UTC, if any."""
    if recordings.count:
        about = "" if recordings.is_exact else "about "
        yield Assumption(
            about="time zone",
            text=f"UTC, for {about}{format_count(recordings.count, 'recording')} whose names tell "
            "a time without an offset (group offset in --filename-pattern; time_zone or clock in "
            "--sites)",
        )


def _assumed_sites(table: TableOptions, files: Sequence[FileSummary]) -> Iterator[Assumption]:
    """Yield the assumption that sites may share a name, if an early version named them."""
    shared = sorted({file.site for file in files if may_be_shared(file.site)})
    if table.site_tokens == SHARED_TOKENS and shared:
        yield Assumption(
            about="site",
            text="names as earlier versions of this dataset wrote them, so that several places may "
            f"share one, such as {shared[0]} (convert into a new dataset to tell them apart)",
        )


def _partition_order(file: FileSummary) -> tuple[str, bool, int]:
    # sorted() keeps the files of one partition in the order in which they were written.
    return file.site, file.period is not None, file.period or 0


def _all_shards(
    setup: ConversionSetup, before: Manifest | None, made: Sequence[ShardSummary]
) -> Iterator[ShardSummary]:
    """Yield all shards of the dataset, with new counts if their quarantine was retried."""
    number = len(before.conversions) if before else 0
    retried = {}
    new = []
    for position, summary in enumerate(made):
        retry = setup.retries.get(position)
        if retry is None:
            new.append(summary.model_copy(update={"conversion": number}))
        else:
            retried[retry.shard.label] = retry.shard.model_copy(
                update={
                    "windows": retry.shard.windows + summary.windows,
                    "left_out": retry.shard.left_out + summary.left_out,
                    "quarantined": summary.quarantined,
                    "retried": (*retry.shard.retried, number),
                }
            )
    for shard in before.shards if before else ():
        yield retried.get(shard.label, shard)
    yield from new

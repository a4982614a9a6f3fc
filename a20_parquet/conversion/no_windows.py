"""A conversion whose selection keeps no window: said with what there is, before it is committed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from a20_parquet.conversion.job import ConversionSetup
from a20_parquet.conversion.sort_pass import Sorted
from a20_parquet.dataset.manifest import FileSummary, ReadingOptions
from a20_parquet.errors import NoWindowsError
from a20_parquet.formatting import format_count
from a20_parquet.runs.run import PartitionsOf
from a20_parquet.windows.selection import LeftOut, site_values

_MOST_NAMED = 20


def check_some_kept(setup: ConversionSetup, made: Sorted, *, overwrites: bool) -> None:
    """Check that a selection keeps any of the windows.

    Args:
        setup: the conversion.
        made: what became of its shards.
        overwrites: whether a complete dataset would be deleted for it.

    Raises:
        NoWindowsError: it keeps none, and leaves some out or overwrites a dataset.
    """
    count = sum(shard.left_out for shard in made.shards)
    if any(shard.windows for shard in made.shards) or not (count or overwrites):
        return
    why = "; ".join(_reasons(setup, made.observations.left_out))
    rejected: Counter[str] = Counter()
    for shard in made.quarantine:
        rejected.update(shard.reasons)
    told = ", ".join(f"{number:,} {reason}" for reason, number in sorted(rejected.items()))
    if not count:
        raise NoWindowsError(
            f"no window can be converted ({told or 'the shards have none'}), and --overwrite would "
            "delete a dataset for that. It is as it was: give other options, or another DATASET."
        )
    beside = f" Besides, records can't be converted: {told}." if told else ""
    raise NoWindowsError(
        f"none of {format_count(count, 'window')} is in the selection: {why}.{beside} Nothing was "
        "converted: give other options."
    )


def missing_sites(
    setup: ConversionSetup, made: Sorted, files: Sequence[FileSummary]
) -> tuple[str, ...]:
    """Return those of the wanted sites of which the shards have no recording at all.

    Args:
        setup: the conversion.
        made: what became of its shards, with its runs still there.
        files: what it has written.
    """
    left_out = made.observations.left_out
    if left_out.has_more_sites:
        return ()
    there = {*left_out.sites, *(file.site for file in files)}
    missing = _not_among(there, setup)
    if missing and setup.reading.drop_duplicates:
        # What was dropped is in no file.
        for partitions in PartitionsOf(made.runs):
            there.update(partitions.site.unique().to_pylist())
        missing = _not_among(there, setup)
    return missing


def _not_among(there: set[str], setup: ConversionSetup) -> tuple[str, ...]:
    rule = setup.table.site_tokens
    return tuple(site for site in setup.reading.site if there.isdisjoint(site_values(site, rule)))


def _reasons(setup: ConversionSetup, left_out: LeftOut) -> Iterator[str]:
    """Say what there is, of what the selection asks for."""
    reading, selection = setup.reading, setup.rules.selection
    if selection.sites and not any(map(selection.takes_site, left_out.sites)):
        yield f"--site is {','.join(reading.site)}, and the shards have {_sites(reading, left_out)}"
        return
    if left_out.first_day is not None:
        days = f"from {left_out.first_day} to {left_out.last_day}"
        yield f"{_asked(reading)}, and what there is starts {days}"
    if left_out.undated:
        undated = format_count(left_out.undated, "window")
        yield f"{_asked(reading)}, and {undated} have no date"
    if setup.table.channels and left_out.channels <= min(setup.table.channels):
        given = ",".join(map(str, setup.table.channels))
        most = left_out.channels - 1
        yield f"--channels is {given}, and records have {f'0 to {most}' if most else 'only 0'}"


def _asked(reading: ReadingOptions) -> str:
    """The days that are asked for."""
    days = {"--from": reading.from_date, "--until": reading.until_date}
    return " and ".join(f"{name} is {day}" for name, day in days.items() if day is not None)


def _sites(reading: ReadingOptions, left_out: LeftOut) -> str:
    """Name the sites that there are, those first that are most like the ones that are asked for."""
    sites = sorted(left_out.sites, key=lambda site: -_likeness(site, reading.site))
    most = sites[:_MOST_NAMED]
    more = len(sites) - len(most)
    at_least = "more than " if left_out.has_more_sites else ""
    rest = f" and {at_least}{more:,} more" if more else ""
    return f"{format_count(len(sites), 'site')}: {', '.join(most)}{rest}"


def _likeness(site: str, wanted: Sequence[str]) -> float:
    """Say how like a site is to the one of those wanted that it is most like, from 0 to 1."""
    return max(SequenceMatcher(None, site.lower(), each.lower()).ratio() for each in wanted)

"""Counts what each conversion of a dataset took of its shards, and what it left out."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from shlex import quote
from typing import Any

from a20_parquet.dataset.manifest import Manifest, ReadingOptions
from a20_parquet.errors import flag
from a20_parquet.formatting import format_count

_FINGERPRINT_DIGITS = 8

EVERYTHING = "everything"
"""What a conversion selects without any option."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one conversion took."""

    shards: int
    """That it brought into the dataset."""
    retried_shards: int
    """Of which it tried records in quarantine again."""
    first_retried_shards: int
    """Those of them that no earlier conversion with the same options had tried again."""
    options: dict[str, Any]
    """Those options that decide which records and windows are taken, as far as they were given."""
    left_out: int | None
    """Windows that it left out; None if that is not known of an earlier version's conversion."""

    @property
    def selected(self) -> str:
        """The options as the command line has them."""
        return " ".join(_written(*option) for option in self.options.items()) or EVERYTHING


def _written(name: str, value: Any) -> str:
    if value is True:
        return flag(name)
    if name == "site":
        return " ".join(f"--site {quote(site)}" for site in value)
    text = format_option(name, value)
    return f"{flag(name)} {f'({text})' if name == 'sites' else quote(text)}"


def format_option(name: str, value: object) -> str:
    """Write the value of an option."""
    if value in (None, (), False):
        return "not given"
    if name == "sites":
        return f"the table with fingerprint {str(value)[:_FINGERPRINT_DIGITS]}"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def taken(manifest: Manifest) -> tuple[Taken, ...]:
    """Tell what each conversion of a dataset took, in their order."""
    return tuple(_taken(manifest))


def _taken(manifest: Manifest) -> Iterator[Taken]:
    shards = Counter(shard.conversion for shard in manifest.shards)
    retried: dict[int, set[str]] = {}
    for shard in manifest.shards:
        for number in shard.retried:
            retried.setdefault(number, set()).add(shard.label)
    left_out: Counter[int] = Counter()
    for shard in manifest.shards:
        left_out[shard.conversion] += shard.left_out
    tried: dict[str, set[str]] = {}
    for number, conversion in enumerate(manifest.conversions):
        count = conversion.left_out
        if count is None and not retried:
            count = left_out[number]
        again = retried.get(number, set())
        made = Taken(
            shards=shards[number],
            retried_shards=len(again),
            first_retried_shards=0,
            options=_given(conversion.reading, manifest.options.channels),
            left_out=count,
        )
        before = tried.setdefault(made.selected, set())
        yield replace(made, first_retried_shards=len(again - before))
        before |= again


def _given(reading: ReadingOptions, channels: tuple[int, ...] | None) -> dict[str, Any]:
    values = {"channels": channels, **dict(reading)}
    return {name: value for name, value in values.items() if value not in (None, (), False)}


def taken_lines(conversions: Iterable[Taken]) -> Iterator[tuple[str, str, str]]:
    """Sum up conversions with the same options.

    Yields:
        Of which shards, with which options, and what was left out; the last is empty if that is
        nothing.
    """
    groups: dict[str, list[Taken]] = {}
    for each in conversions:
        groups.setdefault(each.selected, []).append(each)
    for selected, several in groups.items():
        shards = sum(each.shards for each in several)
        retried = sum(each.first_retried_shards for each in several)
        which = [format_count(shards, "shard")] if shards or not retried else []
        which += [f"quarantine of {format_count(retried, 'shard')}"] if retried else []
        counts = [each.left_out for each in several]
        known = sum(count for count in counts if count is not None)
        left_out = f"{format_count(known, 'window')} left out" if known else ""
        yield " and ".join(which), selected, left_out

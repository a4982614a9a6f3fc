"""Counts the shards that each conversion of a dataset converted, and the windows it left out."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from shlex import quote
from typing import Any

from a20_parquet.dataset.manifest import Manifest
from a20_parquet.errors import flag
from a20_parquet.formatting import format_count

_FINGERPRINT_DIGITS = 8

EVERYTHING = "everything"
"""Description of a conversion without options that select."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Shards and selection of one conversion."""

    shards: int
    """Shards that it added to the dataset."""
    retried_shards: int
    """Shards whose records in quarantine it tried again."""
    first_retried_shards: int
    """Those of them that no earlier conversion with the same options had tried again."""
    options: dict[str, Any]
    """The given options among those that select records and windows."""
    left_out: int | None
    """Windows that it left out; None if unknown, as for some earlier versions."""

    @property
    def selected(self) -> str:
        """The options as on the command line."""
        return " ".join(_written(*option) for option in self.options.items()) or EVERYTHING


def _written(name: str, value: Any) -> str:
    if value is True:
        return flag(name)
    if name == "site":
        return " ".join(f"--site {quote(site)}" for site in value)
    text = format_option(name, value)
    if name == "exclude":
        return f"{flag(name)} {text}"
    return f"{flag(name)} {f'({text})' if name == 'sites' else quote(text)}"


def format_option(name: str, value: object) -> str:
    """Format the value of an option."""
    if not _is_given(value):
        return "not given"
    if name == "sites":
        return f"the table with fingerprint {str(value)[:_FINGERPRINT_DIGITS]}"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def taken(manifest: Manifest) -> tuple[Taken, ...]:
    """Summarize each conversion of a dataset, in order."""
    shards: Counter[int] = Counter()
    left_out: Counter[int] = Counter()
    retried: dict[int, set[str]] = {}
    for shard in manifest.shards:
        shards[shard.conversion] += 1
        left_out[shard.conversion] += shard.left_out
        for number in shard.retried:
            retried.setdefault(number, set()).add(shard.label)
    found: list[Taken] = []
    tried: dict[str, set[str]] = {}
    for number, conversion in enumerate(manifest.conversions):
        count = conversion.left_out
        if count is None and not retried:
            count = left_out[number]
        again = retried.get(number, set())
        values = {"channels": manifest.options.channels, **dict(conversion.reading)}
        one = Taken(
            shards=shards[number],
            retried_shards=len(again),
            first_retried_shards=0,
            options={name: value for name, value in values.items() if _is_given(value)},
            left_out=count,
        )
        before = tried.setdefault(one.selected, set())
        found.append(replace(one, first_retried_shards=len(again - before)))
        before |= again
    return tuple(found)


def _is_given(value: object) -> bool:
    return value not in (None, (), False)


def taken_lines(conversions: Iterable[Taken]) -> Iterator[tuple[str, str, str]]:
    """Sum up conversions with the same options.

    Yields:
        Descriptions of the shards, the options and the windows left out; the last is empty if there
        are none.
    """
    groups: dict[str, list[Taken]] = {}
    for each in conversions:
        groups.setdefault(each.selected, []).append(each)
    for selected, several in groups.items():
        shards = sum(each.shards for each in several)
        retried = sum(each.first_retried_shards for each in several)
        which = [format_count(shards, "shard")] if shards else []
        which += [f"quarantine of {format_count(retried, 'shard')}"] if retried else []
        counts = [each.left_out for each in several]
        known = sum(count for count in counts if count is not None)
        left_out = f"{format_count(known, 'window')} left out" if known else ""
        # A part of a dataset lists the conversions of the whole one, and no shards.
        yield " and ".join(which) or "the whole", selected, left_out

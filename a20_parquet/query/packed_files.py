"""Writes the list of a dataset's files as short SQL, from which DuckDB makes the paths again.

DuckDB takes the paths of ``read_parquet`` as a constant of the statement. Those of a large archive
are 20 MB of text, which DuckDB copies several times for each query. But most files of a site are
``part-0000.parquet`` of one day after the other.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

from a20_parquet.dataset.layout import DATA
from a20_parquet.windows.partition import PartitionBy, hive_folder

_SITE: Final = f"{DATA}/site="
_PART: Final = re.compile(r"part-(\d{4,9})\.parquet")
_FIRST_DAY: Final = date(1970, 1, 1)
_FIRST_YEAR: Final = 1970
_CHECKSUM_BASE: Final = 16


@dataclass(frozen=True, slots=True)
class PackedSite:
    """The files of one site."""

    files: str
    """Items, one a line: ``FIRST COUNT PARTS`` stands for that number of periods from the first one
    on, each with the files 0 to ``PARTS - 1``; ``/PATH`` for one file below the site's folder."""
    count: int
    checksums: int
    """Sum of the files' checksums."""


def pack_files(files: Mapping[str, str], by: PartitionBy) -> dict[str, PackedSite]:
    """Pack the paths of data files, each relative to the dataset and with its checksum, by site."""
    by_site: dict[str, dict[str, int]] = {}
    for path, checksum in files.items():
        site, _, rest = path.removeprefix(_SITE).partition("/")
        by_site.setdefault(site, {})[rest] = int(checksum, _CHECKSUM_BASE)
    return {
        site: PackedSite("\n".join(_items(paths, by)), len(paths), sum(paths.values()))
        for site, paths in by_site.items()
    }


def _items(paths: Iterable[str], by: PartitionBy) -> list[str]:
    parts: dict[int, dict[int, str]] = {}
    items = []
    for path in paths:
        if (place := _place(path, by)) is None:
            items.append(f"/{path}")
        else:
            parts.setdefault(place[0], {})[place[1]] = path
    first = count = of_each = 0
    for period in sorted(parts):
        of_period = parts[period]
        if max(of_period) + 1 != len(of_period):
            items += [f"/{path}" for path in of_period.values()]
            continue
        if count and (period, len(of_period)) == (first + count, of_each):
            count += 1
            continue
        if count:
            items.append(f"{first} {count} {of_each}")
        first, count, of_each = period, 1, len(of_period)
    return [*items, f"{first} {count} {of_each}"] if count else items


def _place(path: str, by: PartitionBy) -> tuple[int, int] | None:
    """Return the period and the part of a path as this program makes it; else None."""
    folder, _, name = path.rpartition("/")
    found = _PART.fullmatch(name)
    period = _period(folder, by)
    if found is None or period is None or name != f"part-{int(found[1]):04d}.parquet":
        return None
    return period, int(found[1])


# Sites share days.
@lru_cache(maxsize=1 << 14)
def _period(folder: str, by: PartitionBy) -> int | None:
    """Return the number of a period, see ``periods``, from the name of its folder, or None."""
    try:
        period = _number(folder.removeprefix(f"{by.period}="), by)
    except ValueError:
        return None
    return period if hive_folder("", period, by).partition("/")[2] == folder else None


def _number(value: str, by: PartitionBy) -> int:
    match by.period:
        case None:
            return 0
        case "date":
            return (date.fromisoformat(value) - _FIRST_DAY).days
        case "month":
            year, _, month = value.partition("-")
            return (int(year) - _FIRST_YEAR) * 12 + int(month) - 1
        case _:
            return int(value)


def unpack_files(packed: str, by: PartitionBy, period: str | None = None) -> str:
    """Write an expression for a list of the paths of one site, below its folder.

    Args:
        packed: an expression for ``PackedSite.files``; null or empty for no files.
        by: the Hive keys.
        period: an expression for the Hive value of the wanted period, which may be null for all;
            None for all.
    """
    first, count, parts = (
        f"TRY_CAST(split_part(a20_item, ' ', {number}) AS BIGINT)" for number in (1, 2, 3)
    )
    periods = f"range({first}, {first} + {count})"
    other = "[substr(a20_item, 2)]"
    if period is not None:
        named = f"contains(a20_item, '/{by.period}=' || {period} || '/')"
        other = f"CASE WHEN {period} IS NULL OR {named} THEN {other} ELSE [] END"
        is_wanted = f"{period} IS NULL OR {_value('a20_period', by)} = {period}"
        periods = f"list_filter({periods}, lambda a20_period: {is_wanted})"
    folder = "''" if by.period is None else f"'{by.period}=' || {_value('a20_period', by)} || '/'"
    path = f"{folder} || printf('part-%04d.parquet', a20_part)"
    of_period = f"list_transform(range({parts}), lambda a20_part: {path})"
    run = f"flatten(list_transform({periods}, lambda a20_period: {of_period}))"
    of_item = f"CASE WHEN starts_with(a20_item, '/') THEN {other} ELSE {run} END"
    items = f"string_split(coalesce({packed}, ''), chr(10))"
    items = f"list_filter({items}, lambda a20_item: a20_item <> '')"
    return f"flatten(list_transform({items}, lambda a20_item: {of_item}))"


def _value(number: str, by: PartitionBy) -> str:
    """Write an expression for the Hive value of a period's number."""
    match by.period:
        case "date":
            return f"CAST(DATE '{_FIRST_DAY}' + CAST({number} AS INTEGER) AS VARCHAR)"
        case "month":
            months = f"{number} + {_FIRST_YEAR * 12}"
            return f"printf('%04d-%02d', ({months}) // 12, ({months}) % 12 + 1)"
        case _:
            return f"printf('%04d', {number})"

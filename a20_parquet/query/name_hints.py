"""Turns the filenames that a filter asks for into a filter on files: names tell site and time."""

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.sites import KeptSites
from a20_parquet.errors import DatasetError
from a20_parquet.query.prune import conjuncts
from a20_parquet.windows.filenames.parse import FilenameRules, parse_filenames
from a20_parquet.windows.filenames.site_token import chosen_token

_LOGGER = logging.getLogger(__name__)
_MOST_NAMES = 10_000
# Earlier versions read no fractions of a second.
_MARGIN_S = 2.0
# Adding it to an instant cannot overflow.
_LONGEST_S = 1e9


def hint_of_names(catalog: Catalog, predicate: pl.Expr) -> pl.Expr | None:
    """Return a filter on the files that can have windows of the filenames in a filter.

    Args:
        catalog: of the dataset.
        predicate: a filter on windows.

    Returns:
        None if the filter does not ask for a few filenames, or they tell no site.
    """
    parts = list(conjuncts(predicate))
    lists = [found for part in parts if (found := _names(part)) is not None]
    if not lists or not 0 < len(lists[0]) <= _MOST_NAMES:
        return None
    offsets_s = [offset_s for part in parts if (offset_s := _offset_s(part)) is not None]
    try:
        return _hint(catalog, lists[0], offsets_s[0] if offsets_s else None)
    except DatasetError as error:
        # Whoever needs the sites table is told so; a query only reads more files.
        _LOGGER.info("filenames leave no files unopened: %s", error)
        return None


def _constant(part: pl.Expr, column: pl.Expr) -> pl.Expr | None:
    """Return the constant that equals a column, or the list of them, in all that pass a filter."""
    operands = part.meta.pop()
    constants = [each for each in operands if not each.meta.root_names()]
    if len(operands) == 1 or len(constants) != 1:
        return None
    found = constants[0]
    forms = (column == found, pl.Expr.eq(found, column), column.is_in(found))
    return found if any(form.meta.eq(part) for form in forms) else None


def _names(part: pl.Expr) -> Sequence[str] | None:
    """Return the only filenames that pass a filter, None if it is another filter."""
    constant = _constant(part, pl.col("filename"))
    if constant is None:
        return None
    values = pl.select(constant).to_series()
    values = values.explode() if values.dtype.base_type() in {pl.List, pl.Array} else values
    return values.drop_nulls().to_list() if values.dtype == pl.String else None


def _offset_s(part: pl.Expr) -> float | None:
    """Return the only offset that passes a filter, None if it is another filter."""
    constant = _constant(part, pl.col("recording_offset_in_file"))
    value = None if constant is None else pl.select(constant).item()
    if not isinstance(value, int | float) or not abs(value) <= _LONGEST_S:
        return None
    return float(value)


def _hint(catalog: Catalog, names: Sequence[str], offset_s: float | None) -> pl.Expr | None:
    sites: set[str] = set()
    starts = []
    has_time = offset_s is not None
    filenames = pa.array(names, pa.string())
    for rules in _rules(catalog):
        found = parse_filenames(filenames, rules)
        if found.site.null_count:
            return None
        sites.update(found.site.to_pylist())
        if rules.unknown_site is not None:
            # An earlier version may have read fewer forms of names.
            sites.add(chosen_token(rules.unknown_site, rules.site_tokens))
            has_time = False
        starts.append(found.file_timestamp)
        has_time &= not found.file_timestamp.null_count
    if not starts:
        return None
    hint = pl.col("site").is_in(sorted(sites))
    if has_time and offset_s is not None:
        span = pc.min_max(pa.chunked_array(starts)).as_py()
        first = span["min"] + timedelta(seconds=offset_s - _MARGIN_S)
        last = span["max"] + timedelta(seconds=offset_s + _MARGIN_S)
        is_then = (pl.col("first_window_start") <= last) & (pl.col("last_window_start") >= first)
        hint &= is_then.fill_null(value=True)
    return hint


def _rules(catalog: Catalog) -> Iterator[FilenameRules]:
    """Yield the rules by which the dataset's conversions read filenames, each once."""
    tables = None
    rule = catalog.head.options.site_tokens
    seen = set()
    for number, conversion in enumerate(catalog.head.conversions):
        reading = conversion.reading
        known = reading.filename_pattern, reading.unknown_site, reading.sites
        if known in seen:
            continue
        seen.add(known)
        sites = None
        if reading.sites is not None:
            tables = tables or KeptSites.read(catalog)
            sites = tables.until(number) if tables else None
        yield FilenameRules(reading.filename_pattern, sites, reading.unknown_site, rule)

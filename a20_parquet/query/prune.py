"""Turns a filter on windows into a filter on files, so that a query opens fewer files.

A file must be read if any of its windows may pass. The list of files has each file's Hive keys, its
first and last window, and bounds of filenames and ids, so no file is opened for this.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

import polars as pl

_DAY = pl.duration(days=1)
_SITE_NUMBER = r"^site_(\d{1,9})$"
_CLOSED: tuple[Literal["both", "left", "right", "none"], ...] = ("both", "left", "right", "none")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least and greatest value of a column in a file, as expressions over the list of files."""

    low: pl.Expr
    """Null, like ``high``, if all values in the file are null."""
    high: pl.Expr
    unknown: pl.Expr = field(default_factory=lambda: pl.lit(value=False))
    """Whether null means that a bound is not known."""


def site_number() -> pl.Expr:
    """Return the ``site_id`` that the key ``site`` of a file tells, null if it tells none."""
    return pl.col("site").str.extract(_SITE_NUMBER).cast(pl.Int32)


def column_bounds(keys: Sequence[str]) -> dict[str, Bounds]:
    """Return bounds for the columns of windows that the list of files limits.

    Args:
        keys: the dataset's Hive keys.
    """
    first, last = pl.col("first_window_start"), pl.col("last_window_start")
    number = site_number()
    if "date" in keys:
        day = pl.col("date").cast(pl.Datetime("us"))
        local = Bounds(day, day + _DAY)
    else:  # offsets from UTC are less than a day
        local = Bounds(_without_zone(first) - _DAY, _without_zone(last) + _DAY)
    return {
        "window_start": Bounds(first, last),
        "window_start_local": local,
        "site_id": Bounds(number, number),
        "filename": Bounds(
            pl.col("first_filename"), pl.col("last_filename"), unknown=pl.lit(value=True)
        ),
        "file_seq_id": Bounds(
            pl.col("first_file_seq_id"),
            pl.col("last_file_seq_id"),
            unknown=pl.col("null_file_seq_ids").is_null(),
        ),
    }


def conjuncts(predicate: pl.Expr) -> Iterator[pl.Expr]:
    """Yield filters that each window must pass which passes ``predicate``."""
    operands = predicate.meta.pop()[::-1]
    if len(operands) > 1 and _is_one_of(
        predicate, (reduce(operator.and_, operands), pl.all_horizontal(operands))
    ):
        for operand in operands:
            yield from conjuncts(operand)
    else:
        yield predicate


def may_match(predicate: pl.Expr, keys: Sequence[str]) -> pl.Expr:
    """Weaken a filter on windows to a filter on files.

    Args:
        predicate: on windows.
        keys: the dataset's Hive keys, which are the same for all windows of a file.

    Returns:
        An expression over the list of files, false or null only for files of which no window
        passes.
    """
    if set(keys).issuperset(predicate.meta.root_names()):
        return predicate
    operands = predicate.meta.pop()[::-1]
    for combine, horizontal in (
        (operator.and_, pl.all_horizontal),
        (operator.or_, pl.any_horizontal),
    ):
        if len(operands) > 1 and _is_one_of(
            predicate, (reduce(combine, operands), horizontal(operands))
        ):
            return reduce(combine, (may_match(part, keys) for part in operands))
    weakened = _weaken_comparison(predicate, operands, column_bounds(keys))
    return pl.lit(value=True) if weakened is None else weakened


def _weaken_comparison(
    predicate: pl.Expr, operands: Sequence[pl.Expr], bounds: dict[str, Bounds]
) -> pl.Expr | None:
    """Compare a file's bounds with the constants with which its windows are compared.

    Returns:
        None if the predicate is not a comparison of a bounded column with constants.
    """
    columns = [operand for operand in operands if operand.meta.root_names()]
    if len(columns) != 1 or len(operands) == 1:
        return None
    column = columns[0]
    name = column.meta.root_names()[0]
    if name not in bounds or not column.meta.eq(pl.col(name)):
        return None
    of = bounds[name]
    low, high = of.low, of.high
    constants = [operand for operand in operands if operand is not column]
    first, last = constants[0], constants[-1]
    at_least = (high >= first).fill_null(of.unknown)
    at_most = (low <= last).fill_null(of.unknown)
    between = [column.is_between(first, last, closed=closed) for closed in _CLOSED]
    weakened: list[tuple[Sequence[pl.Expr], Callable[[], pl.Expr]]] = [
        ((column > first, first < column), lambda: (high > first).fill_null(of.unknown)),
        ((column >= first, first <= column), lambda: at_least),
        ((column < first, first > column), lambda: (low < first).fill_null(of.unknown)),
        ((column <= first, first >= column), lambda: at_most),
        ((column == first, first == column), lambda: at_least & at_most),
        (between, lambda: at_least & at_most),
        ([column.is_in(first)], lambda: _holds_one_of(of, first)),
    ]
    if name == "filename":
        starts = (low < first) | low.str.starts_with(first)
        weakened.append(
            ([column.str.starts_with(first)], lambda: at_least & starts.fill_null(of.unknown))
        )
    return next((on_files() for forms, on_files in weakened if _is_one_of(predicate, forms)), None)


def _holds_one_of(of: Bounds, constants: pl.Expr) -> pl.Expr:
    """Return whether a constant of a list may be among a file's values."""
    values = pl.select(constants).to_series()
    if values.dtype.base_type() in {pl.List, pl.Array}:
        values = values.explode()
    values = values.drop_nulls().unique().sort()

    def look_up(bounds: Sequence[pl.Series]) -> pl.Series:
        low, high = bounds
        wanted = values
        if low.dtype.is_integer() and wanted.dtype.is_integer():
            low, high = low.cast(pl.Int64), high.cast(pl.Int64)
            wanted = wanted.cast(pl.Int64, strict=False).drop_nulls()
        if low.dtype != wanted.dtype:
            # polars refuses such a filter later, or compares by rules of its own.
            return pl.repeat(value=True, n=len(low), eager=True)
        found = wanted.search_sorted(low, "left") < wanted.search_sorted(high, "right")
        return pl.select(pl.when(low.is_not_null() & high.is_not_null()).then(found)).to_series()

    found = pl.map_batches([of.low, of.high], look_up, return_dtype=pl.Boolean)
    return found.fill_null(of.unknown)


def _is_one_of(predicate: pl.Expr, forms: Sequence[pl.Expr]) -> bool:
    return any(form.meta.eq(predicate) for form in forms)


def _without_zone(instant: pl.Expr) -> pl.Expr:
    return instant.dt.replace_time_zone(None)

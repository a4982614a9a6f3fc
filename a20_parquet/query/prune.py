"""Turns a filter on windows into a filter on files, so that a query opens fewer files.

A file must be read if any of its windows may pass. The list of files has each file's Hive keys and
its first and last window, so no file is opened for this.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
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


def column_bounds(keys: Sequence[str]) -> dict[str, Bounds]:
    """Return bounds for the columns of windows that the list of files limits.

    Args:
        keys: the dataset's Hive keys.
    """
    first, last = pl.col("first_window_start"), pl.col("last_window_start")
    number = pl.col("site").str.extract(_SITE_NUMBER).cast(pl.Int32)
    if "date" in keys:
        day = pl.col("date").cast(pl.Datetime("us"))
        local = Bounds(day, day + _DAY)
    else:  # offsets from UTC are less than a day
        local = Bounds(_without_zone(first) - _DAY, _without_zone(last) + _DAY)
    return {
        "window_start": Bounds(first, last),
        "window_start_local": local,
        "site_id": Bounds(number, number),
    }


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
    low, high = bounds[name].low, bounds[name].high
    constants = [operand for operand in operands if operand is not column]
    first, last = constants[0], constants[-1]
    between = [column.is_between(first, last, closed=closed) for closed in _CLOSED]
    weakened: list[tuple[Sequence[pl.Expr], pl.Expr]] = [
        ((column > first, first < column), high > first),
        ((column >= first, first <= column), high >= first),
        ((column < first, first > column), low < first),
        ((column <= first, first >= column), low <= first),
        ((column == first, first == column), (low <= first) & (high >= first)),
        (between, (low <= last) & (high >= first)),
    ]
    if low is high:
        weakened.append(([column.is_in(first)], low.is_in(first)))
    return next((on_files for forms, on_files in weakened if _is_one_of(predicate, forms)), None)


def _is_one_of(predicate: pl.Expr, forms: Sequence[pl.Expr]) -> bool:
    return any(form.meta.eq(predicate) for form in forms)


def _without_zone(instant: pl.Expr) -> pl.Expr:
    return instant.dt.replace_time_zone(None)

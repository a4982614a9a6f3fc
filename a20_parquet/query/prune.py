"""Turns a filter on windows into a filter on files, so that a query opens fewer files.

A file must be read if any of its windows may pass. The list of files has each file's Hive keys and
its first and last window, so no file is opened for this.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import polars as pl

_DAY = pl.duration(days=1)
_SITE_NUMBER = r"^site_(\d{1,9})$"
_CLOSED: tuple[Literal["both", "left", "right", "none"], ...] = ("both", "left", "right", "none")

Combine = Callable[[pl.Expr, pl.Expr], pl.Expr]
Form = Callable[[Sequence[pl.Expr]], pl.Expr]


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
    for forms, combine in _CONNECTIVES:
        if _has_form(predicate, operands, forms):
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
    columns = [index for index, operand in enumerate(operands) if operand.meta.root_names()]
    if len(columns) != 1:
        return None
    column = operands[columns[0]]
    name = column.meta.root_names()[0]
    if name not in bounds or not column.meta.eq(pl.col(name)):
        return None
    low, high = bounds[name].low, bounds[name].high
    constants = [operand for operand in operands if operand is not column]
    for forms, weaken in _COMPARISONS:
        # The column comes first: 1 < x is a form of x > 1, not of x < 1.
        if _has_form(predicate, [column, *constants], forms):
            return weaken(low, high, constants)
    if low is high and _has_form(predicate, operands, [lambda parts: parts[0].is_in(parts[1])]):
        return low.is_in(constants[0])
    return None


def _has_form(predicate: pl.Expr, operands: Sequence[pl.Expr], forms: Sequence[Form]) -> bool:
    return len(operands) > 1 and any(form(operands).meta.eq(predicate) for form in forms)


def _without_zone(instant: pl.Expr) -> pl.Expr:
    return instant.dt.replace_time_zone(None)


def _joined(combine: Combine) -> Form:
    return lambda parts: reduce(combine, parts)


def _either_way(compare: Combine, mirrored: Combine) -> tuple[Form, Form]:
    return (lambda parts: compare(parts[0], parts[1])), (lambda parts: mirrored(parts[1], parts[0]))


def _between(closed: Literal["both", "left", "right", "none"]) -> Form:
    return lambda parts: parts[0].is_between(parts[1], parts[-1], closed=closed)


_CONNECTIVES: tuple[tuple[tuple[Form, ...], Combine], ...] = (
    ((_joined(operator.and_), pl.all_horizontal), operator.and_),
    ((_joined(operator.or_), pl.any_horizontal), operator.or_),
)
_Weaken = Callable[[pl.Expr, pl.Expr, Sequence[pl.Expr]], pl.Expr]
_COMPARISONS: tuple[tuple[tuple[Form, ...], _Weaken], ...] = (
    (_either_way(operator.gt, operator.lt), lambda _, high, limits: high > limits[0]),
    (_either_way(operator.ge, operator.le), lambda _, high, limits: high >= limits[0]),
    (_either_way(operator.lt, operator.gt), lambda low, _, limits: low < limits[0]),
    (_either_way(operator.le, operator.ge), lambda low, _, limits: low <= limits[0]),
    (
        _either_way(operator.eq, operator.eq),
        lambda low, high, limits: (low <= limits[0]) & (high >= limits[0]),
    ),
    (
        tuple(_between(closed) for closed in _CLOSED),
        lambda low, high, limits: (high >= limits[0]) & (low <= limits[1]),
    ),
)

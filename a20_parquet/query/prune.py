"""Which files a query can leave unopened: a filter on windows, weakened to one on files.

A file must be read if any of its windows may pass. What its Hive keys and its first and last window
say about that is known without opening it.
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
    """Between which values a column is in a file, as expressions over the list of files."""

    low: pl.Expr
    high: pl.Expr
    """Inclusive. Both are null if all the file's values are null."""


def column_bounds(keys: Sequence[str]) -> dict[str, Bounds]:
    """The columns of windows whose values the list of files limits.

    Args:
        keys: the dataset's Hive keys.
    """
    first, last = pl.col("first_window_start"), pl.col("last_window_start")
    number = pl.col("site").str.extract(_SITE_NUMBER).cast(pl.Int32)
    if "date" in keys:
        day = pl.col("date").cast(pl.Datetime("us"))
        local = Bounds(day, day + _DAY)
    else:  # offsets from UTC are less than a day
        local = Bounds(_on_clock(first) - _DAY, _on_clock(last) + _DAY)
    return {
        "window_start": Bounds(first, last),
        "window_start_local": local,
        "site_id": Bounds(number, number),
    }


def may_match(predicate: pl.Expr, keys: Sequence[str]) -> pl.Expr:
    """Weaken a filter on windows to one on files: false or null only where no window passes.

    Args:
        predicate: on windows.
        keys: the dataset's Hive keys, which are alike for all windows of a file.

    Returns:
        An expression over the list of files.
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
    """Compare a file's bounds with the constants that its windows are compared with."""
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
        # What stands first is what is compared: 1 < x is no form of x < 1 but of x > 1.
        if _has_form(predicate, [column, *constants], forms):
            return weaken(low, high, constants)
    if low is high and _has_form(predicate, operands, [lambda parts: parts[0].is_in(parts[1])]):
        return low.is_in(constants[0])
    return None


def _has_form(predicate: pl.Expr, operands: Sequence[pl.Expr], forms: Sequence[Form]) -> bool:
    return len(operands) > 1 and any(form(operands).meta.eq(predicate) for form in forms)


def _on_clock(instant: pl.Expr) -> pl.Expr:
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

"""What SQL conditions may contain, in polars' terms: operators, functions, types and constants."""

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Final, NoReturn

import polars as pl

from a20_parquet.errors import UsageError

Node = Mapping[str, Any]
"""A tree as DuckDB's ``json_serialize_sql`` writes it."""
_MOST_INTEGER: Final = (1 << 63) - 1
INSTANT: Final = pl.Datetime("us", "UTC")
LOCAL: Final = pl.Datetime("us")

COMPARISONS: Final[Mapping[str, Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    "COMPARE_EQUAL": operator.eq,
    "COMPARE_NOTEQUAL": operator.ne,
    "COMPARE_LESSTHAN": operator.lt,
    "COMPARE_GREATERTHAN": operator.gt,
    "COMPARE_LESSTHANOREQUALTO": operator.le,
    "COMPARE_GREATERTHANOREQUALTO": operator.ge,
    "COMPARE_DISTINCT_FROM": pl.Expr.ne_missing,
    "COMPARE_NOT_DISTINCT_FROM": pl.Expr.eq_missing,
}
ARITHMETIC: Final[Mapping[str, Callable[[pl.Expr, pl.Expr], pl.Expr]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    # With the sign of the left side, as in SQL.
    "%": lambda left, right: (left.abs() % right.abs()) * left.sign(),
}
DATE_PARTS: Final[Mapping[str, Callable[[pl.Expr], pl.Expr]]] = {
    "year": lambda of: of.dt.year(),
    "quarter": lambda of: of.dt.quarter(),
    "month": lambda of: of.dt.month(),
    "week": lambda of: of.dt.week(),
    "day": lambda of: of.dt.day(),
    "dayofyear": lambda of: of.dt.ordinal_day(),
    "dayofweek": lambda of: of.dt.weekday() % 7,
    "isodow": lambda of: of.dt.weekday(),
    "hour": lambda of: of.dt.hour(),
    "minute": lambda of: of.dt.minute(),
    "second": lambda of: of.dt.second(),
}
FUNCTIONS: Final[Mapping[str, Callable[[pl.Expr], pl.Expr]]] = {
    **DATE_PARTS,
    "abs": lambda of: of.abs(),
    "isnan": lambda of: of.is_nan(),
    "length": lambda of: of.str.len_chars(),
    "lower": lambda of: of.str.to_lowercase(),
    "upper": lambda of: of.str.to_uppercase(),
}
TEXT_TESTS: Final[Mapping[str, Callable[[pl.Expr, str], pl.Expr]]] = {
    "contains": lambda of, text: of.str.contains(text, literal=True),
    "starts_with": lambda of, text: of.str.starts_with(text),
    "ends_with": lambda of, text: of.str.ends_with(text),
    "regexp_matches": lambda of, text: of.str.contains(text),
    "regexp_full_match": lambda of, text: of.str.contains(f"^(?:{text})$"),
    "~~": lambda of, text: of.str.contains(_like(text, "s")),
    "!~~": lambda of, text: ~of.str.contains(_like(text, "s")),
    "~~*": lambda of, text: of.str.contains(_like(text, "is")),
    "!~~*": lambda of, text: ~of.str.contains(_like(text, "is")),
}
ALIASES: Final = {"^@": "starts_with", "prefix": "starts_with", "suffix": "ends_with"}
TYPES: Final[Mapping[str, pl.DataType]] = {
    "DATE": pl.Date(),
    "TIME": pl.Time(),
    "TIMESTAMP": LOCAL,
    "TIMESTAMPTZ": INSTANT,
    "TIMESTAMP WITH TIME ZONE": INSTANT,
    "VARCHAR": pl.String(),
    "DOUBLE": pl.Float64(),
}


def constant(node: Node) -> str | int | float | bool | None:
    """Return the value of a constant."""
    kind, text = node["literal"]["kind"], node["literal"]["text"]
    match kind:
        case "STRING":
            return str(text)
        case "BOOLEAN":
            return bool(text == "true")
        case "NULL_LITERAL":
            return None
        case "INTEGER" if abs(int(text)) <= _MOST_INTEGER:
            return int(text)
        case "NUMERIC":
            return float(text)
    return refuse(f"the constant {text} is not allowed, expected a smaller number or a text")


def temporal(text: str, kind: pl.DataType) -> pl.Expr:
    """Return a constant date or time."""
    try:
        if kind == pl.Date():
            return pl.lit(date.fromisoformat(text), pl.Date)
        if kind == pl.Time():
            return pl.lit(time.fromisoformat(text), pl.Time)
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        return refuse(f"{text!r} is not a value of type {kind}: {error}")
    if kind == INSTANT:
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
        return pl.lit(instant.astimezone(UTC), INSTANT)
    if instant.tzinfo is not None:
        refuse(f"{text!r} has an offset from UTC, and is compared with a local time")
    return pl.lit(instant, LOCAL)


def kind_of(of: pl.DataType) -> str:
    """Return a name that types have in common if their values can be compared."""
    if of.is_numeric():
        return "number"
    names = {pl.String(): "text", pl.Date(): "day", LOCAL: "day", INSTANT: "instant"}
    return names.get(of, str(of))


def _like(pattern: str, flags: str) -> str:
    """Return the regular expression of a pattern of ``LIKE``."""
    parts = {"%": ".*", "_": "."}
    return f"(?{flags})^{''.join(parts.get(each) or re.escape(each) for each in pattern)}$"


def is_text(node: Node) -> bool:
    """Whether a tree is a constant text."""
    return bool(node["class"] == "CONSTANT" and node["literal"]["kind"] == "STRING")


def is_more_than_a_call(node: Node) -> bool:
    """Whether a function has ``DISTINCT``, ``FILTER`` or ``ORDER BY``."""
    return bool(node["distinct"] or node["filter"] or node["order_bys"]["orders"])


def describe(node: Node) -> str:
    """Return words for a tree in a message."""
    match node:
        case {"class": "COLUMN_REF", "column_names": names}:
            return ".".join(names)
        case {"class": "CONSTANT", "literal": {"text": text}}:
            return repr(text)
        case {"class": "FUNCTION", "function_name": name}:
            return f"{name}(…)"
        case {"class": "SUBQUERY"}:
            return "a subquery"
    return f"{node['class'].lower()}"


def refuse(problem: str) -> NoReturn:
    """Raise ``UsageError`` for a condition."""
    raise UsageError(f"--where: {problem}.")

"""Translates the filters that DuckDB offers to an Arrow source into filters of polars."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import polars as pl
from duckdb._sources.nodes import (
    Binary,
    Col,
    In,
    Lit,
    Node,
    Postfix,
    Unary,
    Untranslatable,
    exact_value,
)

_COMPARISONS: Final[dict[str, Callable[[Any, Any], pl.Expr]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_JUNCTIONS: Final[dict[str, Callable[[Any, Any], pl.Expr]]] = {
    "AND": operator.and_,
    "OR": operator.or_,
}
_NULL_TESTS: Final = {"IS NULL": pl.Expr.is_null, "IS NOT NULL": pl.Expr.is_not_null}
_INSTANT: Final = "TIMESTAMP WITH TIME ZONE"


class FilterTranslator:
    """Translates filters on certain columns, which contain no NaN: DuckDB and polars agree then."""

    def __init__(self, columns: Mapping[str, tuple[pl.DataType, str]]) -> None:
        """Prepare for these columns, given by name with their types in polars and in DuckDB."""
        self._columns = columns

    def translate(self, node: Node) -> pl.Expr | None:
        """Return the same filter for polars; None if this class does not know it exactly."""
        try:
            return self._translate(node)
        except Untranslatable:
            return None

    def _translate(self, node: Node) -> pl.Expr:
        match node:
            case Binary(op="AND" | "OR" as op, left=left, right=right):
                return _JUNCTIONS[op](self._translate(left), self._translate(right))
            case Unary(op="NOT", operand=operand):
                return ~self._translate(operand)
            case Postfix(op=op, operand=Col(parts=(name,))) if name in self._columns:
                return _NULL_TESTS[op](pl.col(name))
            case Binary(op=op, left=Col(parts=(name,)), right=right) if self._is_of(name, [right]):
                return _COMPARISONS[op](pl.col(name), self._literal(name, right))
            case In(operand=Col(parts=(name,)), values=values) if self._is_of(name, values):
                return pl.col(name).is_in(self._values(name, values).implode())
        raise Untranslatable(node)

    def _is_of(self, name: str, constants: Sequence[Node]) -> bool:
        """Whether constants have a column's type; DuckDB casts them to it where it can."""
        return name in self._columns and all(
            isinstance(each, Lit) and each.type == self._columns[name][1] and exact_value(each)
            for each in constants
        )

    def _literal(self, name: str, constant: Any) -> pl.Expr:
        kind, type_ = self._columns[name]
        if type_ == _INSTANT:  # microseconds since 1970, which may be beyond Python's datetime
            return pl.lit(constant.value, pl.Int64).cast(kind)
        return pl.lit(constant.value, kind)

    def _values(self, name: str, constants: Sequence[Any]) -> pl.Series:
        kind, type_ = self._columns[name]
        values = [each.value for each in constants]
        if type_ == _INSTANT:
            return pl.Series(values, dtype=pl.Int64).cast(kind)
        return pl.Series(values, dtype=kind)

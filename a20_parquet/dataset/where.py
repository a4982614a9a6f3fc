"""Turns an SQL condition on windows, such as that of ``--where``, into a filter.

DuckDB parses the text and executes nothing. Only what this module translates is accepted: columns,
constants, operators and a few functions. Subqueries, other functions and further statements have no
translation, so no text reads a file, a setting or the environment.
"""

import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import Any, Final

import polars as pl

from a20_parquet.checks import check_unicode
from a20_parquet.dataset.where_terms import (
    ALIASES,
    ARITHMETIC,
    COMPARISONS,
    DATE_PARTS,
    FUNCTIONS,
    INSTANT,
    LOCAL,
    TEXT_TESTS,
    TYPES,
    Node,
    constant,
    describe,
    is_more_than_a_call,
    is_text,
    kind_of,
    refuse,
    temporal,
)
from a20_parquet.windows.schema import EMBEDDING

_EXAMPLE: Final = "hour(window_start_local) between 4 and 6 and site = 'site_0285'"
# The translation takes some of Python's stack for each level.
_MOST_DEPTH: Final = 100


def parse_where(text: str, schema: pl.Schema) -> pl.Expr:
    """Parse an SQL condition on windows.

    The dialect is DuckDB's. ``window_start`` and ``file_timestamp`` are in UTC whatever the time
    zone of this machine. The filter can be evaluated on every value of the columns.

    Args:
        text: such as ``hour(window_start_local) between 4 and 6``.
        schema: of the windows, see ``Catalog.schema``.

    Returns:
        A boolean expression; null, like false, leaves a window out.

    Raises:
        UsageError: the text is not a condition on these columns, or uses something else.
    """
    check_unicode("--where", text)
    columns = pl.Schema({name: kind for name, kind in schema.items() if name != EMBEDDING})
    condition = _Translation(columns).of(_parsed(text))
    found = _Translation(columns).type_of(condition)
    if found != pl.Boolean:
        refuse(f"{text!r} is a value of type {found}, expected a condition such as {_EXAMPLE}")
    return condition


def _parsed(text: str) -> Node:
    """Return DuckDB's tree of an expression; nothing is executed."""
    import duckdb

    if not text.strip():
        refuse(f"it is empty, expected a condition such as {_EXAMPLE}")
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"SET max_expression_depth = {_MOST_DEPTH}")
        # Whatever ends the parentheses makes the statement another one than that for ``true``.
        whole, expected = (_serialized(connection, each) for each in (text, "true"))
    selected = [each["node"].pop("select_list", ()) for each in (*whole, *expected)]
    if whole != expected or len(selected[0]) != 1:
        refuse(f"{text!r} is more than one expression. Give one condition")
    node: Node = selected[0][0]
    return node


def _serialized(connection: Any, text: str) -> list[Any]:
    (answer,) = connection.execute(
        "SELECT json_serialize_sql(?)", [f"SELECT (\n{text}\n)"]
    ).fetchone()
    parsed = json.loads(answer)
    if parsed["error"]:
        refuse(f"{text!r} is not an SQL expression: {parsed['error_message'].splitlines()[0]}")
    statements: list[Any] = parsed["statements"]
    for statement in statements:
        statement["node"].get("from_table", {}).pop("query_location", None)
    return statements


@dataclass(frozen=True, slots=True)
class _Translation:
    """Translates DuckDB's trees to polars' expressions."""

    schema: pl.Schema
    """Of the columns that may be used."""

    def of(self, node: Node) -> pl.Expr:  # noqa: PLR0911 - one for each kind of node
        """Translate a tree.

        Raises:
            UsageError: it has a node that has no translation, or that does not fit its operands.
        """
        match node["class"]:
            case "COLUMN_REF":
                return pl.col(self._column(node["column_names"]))
            case "CONSTANT":
                return pl.lit(constant(node))
            case "COMPARISON" if node["type"] in COMPARISONS:
                left, right = self._alike([node["left"], node["right"]])
                return COMPARISONS[node["type"]](left, right)
            case "BETWEEN":
                tested, low, high = self._alike([node["input"], node["lower"], node["upper"]])
                return tested.is_between(low, high)
            case "CONJUNCTION":
                combine = operator.and_ if node["type"] == "CONJUNCTION_AND" else operator.or_
                return reduce(combine, map(self._condition, node["children"]))
            case "CASE":
                return self._case(node)
            case "CAST":
                return self._cast(node)
            case "OPERATOR":
                return self._operator(node["type"], node["children"])
            case "FUNCTION":
                return self._function(node)
        return refuse(f"{describe(node)} is not allowed. Write a condition such as {_EXAMPLE}")

    def type_of(self, expression: pl.Expr) -> pl.DataType:
        """Return the type of an expression's values.

        Raises:
            UsageError: it cannot be evaluated.
        """
        try:
            return pl.DataFrame(schema=self.schema).select(expression.alias("")).dtypes[0]
        except pl.exceptions.PolarsError as error:
            return refuse(f"{str(error).splitlines()[0]}. Compare values of the same kind")

    def _column(self, names: Sequence[str]) -> str:
        known = {name.casefold(): name for name in self.schema}
        name = ".".join(names)
        if len(names) != 1 or name.casefold() not in known:
            refuse(f"there is no column {name} to test, expected {', '.join(self.schema)}")
        return known[name.casefold()]

    def _condition(self, node: Node) -> pl.Expr:
        found = self.of(node)
        if (kind := self.type_of(found)) not in {pl.Boolean, pl.Null}:
            refuse(f"{describe(node)} is a value of type {kind}, expected a condition")
        return found.cast(pl.Boolean) if kind == pl.Null else found

    def _alike(self, nodes: Sequence[Node]) -> list[pl.Expr]:
        """Translate values to compare; constant texts become times where they meet times.

        Raises:
            UsageError: they are of different kinds.
        """
        values = list(map(self.of, nodes))
        types = list(map(self.type_of, values))
        wanted = next(
            (kind for kind in types if kind == INSTANT),
            next(
                (
                    kind
                    for node, kind in zip(nodes, types, strict=True)
                    if kind != pl.Null and not is_text(node)
                ),
                pl.String(),
            ),
        )
        for index, (node, kind) in enumerate(zip(nodes, types, strict=True)):
            if is_text(node) and wanted.is_temporal():
                values[index] = temporal(node["literal"]["text"], wanted)
            elif wanted == INSTANT and kind in {pl.Date(), LOCAL}:
                values[index] = values[index].cast(LOCAL).dt.replace_time_zone("UTC")
            elif kind != pl.Null and kind_of(kind) != kind_of(wanted):
                refuse(
                    f"{describe(node)} is of type {kind} and is compared with a value of type "
                    f"{wanted}. Compare values of the same kind"
                )
        return values

    def _operator(  # noqa: PLR0911 - one for each operator
        self, kind: str, children: Sequence[Node]
    ) -> pl.Expr:
        match kind, children:
            case "OPERATOR_NOT", [child]:
                return ~self._condition(child)
            case "OPERATOR_IS_NULL", [child]:
                return self.of(child).is_null()
            case "OPERATOR_IS_NOT_NULL", [child]:
                return self.of(child).is_not_null()
            case "COMPARE_IN", [_, _, *_]:
                return self._is_one_of(children)
            case "OPERATOR_COALESCE", [_, *_]:
                return pl.coalesce(self._alike(children))
            case "ARRAY_EXTRACT", [child, at]:
                number = constant(at) if at["class"] == "CONSTANT" else None
                if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                    refuse(f"{describe(at)} does not count values of a list. The first one is [1]")
                return self.of(child).arr.get(number - 1, null_on_oob=True)
        return refuse(f"{kind.lower()} is not allowed. Write a condition such as {_EXAMPLE}")

    def _is_one_of(self, nodes: Sequence[Node]) -> pl.Expr:
        tested, *values = self._alike(nodes)
        if not any(value.meta.root_names() for value in values):
            constants = [pl.select(value).item() for value in values]
            # A filter of this form may leave files unopened.
            if all(isinstance(each, str | int | date) for each in constants):
                return tested.is_in(constants)
        return reduce(operator.or_, [tested == value for value in values])

    def _function(self, node: Node) -> pl.Expr:
        name = node["function_name"].lower()
        name = ALIASES.get(name, name)
        if is_more_than_a_call(node):
            refuse(f"{name} with DISTINCT, FILTER or ORDER BY is not allowed")
        arguments = [each["expression"] for each in node["arguments"]]
        match name, arguments:
            case "date_part", [{"class": "CONSTANT"} as part, of]:
                name, arguments = str(constant(part)).lower(), [of]
                if name not in DATE_PARTS:
                    refuse(f"there is no {name} of a date, expected {', '.join(DATE_PARTS)}")
            case "-", [of]:
                return -self._number(of)
        if name in FUNCTIONS and len(arguments) == 1:
            return FUNCTIONS[name](self.of(arguments[0]))
        if name in TEXT_TESTS and len(arguments) == 2:  # noqa: PLR2004 - as its signature
            pattern = arguments[1]
            if not is_text(pattern):
                refuse(f"{describe(pattern)} is not a constant text, as {name} expects it")
            return TEXT_TESTS[name](self.of(arguments[0]), pattern["literal"]["text"])
        if name in ARITHMETIC and len(arguments) == 2:  # noqa: PLR2004 - likewise
            return ARITHMETIC[name](*map(self._number, arguments))
        allowed = ", ".join(sorted({*FUNCTIONS, *filter(str.isidentifier, TEXT_TESTS)}))
        return refuse(
            f"{name} with {len(arguments)} arguments is not allowed. Use comparisons, AND, OR, "
            f"NOT, BETWEEN, IN, LIKE, IS NULL, CASE, COALESCE, CAST, arithmetic, or {allowed}"
        )

    def _number(self, node: Node) -> pl.Expr:
        value = self.of(node)
        kind = self.type_of(value)
        if not kind.is_numeric() and kind != pl.Null:
            refuse(f"{describe(node)} is of type {kind}, expected a number")
        return value.cast(pl.Int64) if kind.is_integer() else value.cast(pl.Float64)

    def _case(self, node: Node) -> pl.Expr:
        checks, otherwise = node["case_checks"], node["else_expr"]
        *chosen, last = self._alike([*(each["then_expr"] for each in checks), otherwise])
        for check, value in reversed(list(zip(checks, chosen, strict=True))):
            last = pl.when(self._condition(check["when_expr"])).then(value).otherwise(last)
        return last

    def _cast(self, node: Node) -> pl.Expr:
        name = node["type_expr"]["type_name"].upper()
        child = node["child"]
        if name not in TYPES or node["type_expr"]["children"]:
            refuse(f"CAST to {name} is not allowed, expected {', '.join(TYPES)}")
        wanted = TYPES[name]
        if is_text(child) and wanted.is_temporal():
            return temporal(child["literal"]["text"], wanted)
        value = self.of(child)
        of = kind_of(self.type_of(value))
        if (of, wanted) in {("text", pl.String()), ("number", pl.Float64())}:
            return value.cast(wanted)
        if of == "day" and wanted in {pl.Date(), pl.Time(), LOCAL}:
            return value.cast(wanted)
        return refuse(f"CAST of {describe(child)} to {name} is not allowed")

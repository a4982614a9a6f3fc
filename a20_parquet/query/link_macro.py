"""Writes the DuckDB macro of a template of links."""

import polars as pl

from a20_parquet.query.links import LinkField, LinkTemplate
from a20_parquet.query.sql import identifier, literal


def create_link_macro(name: str, template: str, schema: pl.Schema) -> str:
    """Write the DDL of ``link_NAME``, whose arguments are the template's columns in its order.

    Args:
        name: of the template.
        template: see ``LinkTemplate.parse``.
        schema: of the windows.

    Raises:
        UsageError: the template does not fit the dataset.
    """
    parsed = LinkTemplate.parse(template, schema)
    parts = [literal(parsed.texts[0])]
    for field, text in zip(parsed.fields, parsed.texts[1:], strict=True):
        parts += [f"url_encode({_value(field, schema[field.column])})", literal(text)]
    arguments = ", ".join(map(identifier, parsed.columns))
    return f"CREATE MACRO {identifier(f'link_{name}')}({arguments}) AS {' || '.join(parts)}"


def _value(field: LinkField, kind: pl.DataType) -> str:
    value = identifier(field.column)
    if kind.is_float() or field.shift:
        value = f"(CAST({value} AS DOUBLE) + {field.shift!r}::DOUBLE)"
        if field.shift < 0:
            value = f"(CASE WHEN {value} < 0 THEN 0 ELSE {value} END)"
        whole = f"CAST(TRY_CAST({value} AS BIGINT) AS VARCHAR)"
        return (
            f"CASE WHEN {value} = TRY_CAST({value} AS BIGINT) THEN {whole} "
            f"ELSE CAST({value} AS VARCHAR) END"
        )
    if isinstance(kind, pl.Datetime):
        zone = "'Z'" if kind.time_zone is not None else "''"
        if kind.time_zone is not None:
            value = f"timezone('UTC', {value})"
        seconds = f"strftime({value}, '%Y-%m-%dT%H:%M:%S')"
        fraction = f"strftime({value}, '.%f')"
        return f"{seconds} || rtrim(rtrim({fraction}, '0'), '.') || {zone}"
    return f"CAST({value} AS VARCHAR)"

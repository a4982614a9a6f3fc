"""Links to the audio of windows, made from a template over the columns."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Final, Self
from urllib.parse import quote

import polars as pl

from a20_parquet.checks import check_unicode
from a20_parquet.errors import UsageError
from a20_parquet.windows.schema import EMBEDDING

LINK: Final = "link"
"""Name of the column with links."""
_FIELD: Final = re.compile(r"(?P<column>\w+?)(?P<shift>[+-]\d+(?:\.\d+)?)?")
_EXAMPLE: Final = "https://example.org/{file_seq_id}?start_offset={recording_offset_in_file}"


@dataclass(frozen=True, slots=True)
class LinkField:
    """A value of a window in a template: a column, to which a number may be added."""

    column: str
    shift: float = 0.0

    def __str__(self) -> str:
        return f"{{{self.column}{f'{self.shift:+.15g}' if self.shift else ''}}}"

    def value(self, kind: pl.DataType) -> pl.Expr:
        """Return the text of the value, not encoded yet."""
        value = pl.col(self.column)
        if kind.is_float() or self.shift:
            value = value.cast(pl.Float64) + self.shift
            if self.shift < 0:
                value = value.clip(lower_bound=0)
            whole = value.cast(pl.Int64, strict=False)
            return (
                pl.when(whole == value).then(whole.cast(pl.String)).otherwise(value.cast(pl.String))
            )
        if isinstance(kind, pl.Datetime):
            text = value.dt.to_string("%Y-%m-%dT%H:%M:%S%.6f")
            text = text.str.strip_chars_end("0").str.strip_chars_end(".")
            return text + "Z" * (kind.time_zone is not None)
        return value.cast(pl.String)


@dataclass(frozen=True, slots=True)
class LinkTemplate:
    """A template of links, such as ``https://example.org/{file_seq_id}``."""

    texts: tuple[str, ...]
    """What stands before each field, and what stands after the last."""
    fields: tuple[LinkField, ...]
    schema: pl.Schema
    """Types of the columns in ``fields``."""

    @classmethod
    def parse(cls, template: str, schema: pl.Schema) -> Self:
        """Parse a template.

        Args:
            template: ``{column}`` stands for the value of a column in URL encoding, and
                ``{column+5}`` or ``{column-5}`` for a number that is larger or smaller, but never
                negative. ``{{`` and ``}}`` stand for braces.
            schema: of the windows.

        Raises:
            UsageError: the template is malformed, has no field or names an unknown column.
        """
        check_unicode("--link", template)
        try:
            parts = list(Formatter().parse(template))
        except ValueError as error:
            raise UsageError(f"--link {template!r} is not a template: {error}.") from error
        texts, fields = [""], []
        for text, name, spec, conversion in parts:
            texts[-1] += text
            if name is None:
                continue
            if spec or conversion:
                raise UsageError(f"--link: {{{name}}} has a format, expected a column only.")
            fields.append(_field(name, schema))
            texts.append("")
        if not fields:
            raise UsageError(f"--link {template!r} names no column, expected such as {_EXAMPLE}")
        return cls(
            tuple(texts), tuple(fields), pl.Schema({f.column: schema[f.column] for f in fields})
        )

    def __str__(self) -> str:
        texts = [text.replace("{", "{{").replace("}", "}}") for text in self.texts]
        return "".join(
            part for pair in zip(texts, [*map(str, self.fields), ""], strict=True) for part in pair
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it needs."""
        return tuple(self.schema)

    @property
    def expression(self) -> pl.Expr:
        """The column ``link``, for lazy frames with ``columns``."""
        return (
            pl.struct(self.columns)
            .map_batches(
                lambda values: self.links(values.struct.unnest()),
                return_dtype=pl.String,
                is_elementwise=True,
            )
            .alias(LINK)
        )

    def links(self, windows: pl.DataFrame) -> pl.Series:
        """Return the link of each window; null if one of its values is.

        Args:
            windows: with ``columns``.
        """
        parts: list[pl.Expr] = [pl.lit(self.texts[0])]
        for number, text in enumerate(self.texts[1:]):
            parts += [pl.col(f"{number}"), pl.lit(text)]
        encoded = pl.DataFrame(
            [
                _encoded(windows.select(field.value(self.schema[field.column])).to_series()).alias(
                    f"{number}"
                )
                for number, field in enumerate(self.fields)
            ]
        )
        return encoded.select(pl.concat_str(parts).alias(LINK)).to_series()


def _field(text: str, schema: pl.Schema) -> LinkField:
    found = _FIELD.fullmatch(text)
    column = found["column"] if found else text
    if found is None or column not in schema or column == EMBEDDING:
        known = ", ".join(name for name in schema if name != EMBEDDING)
        raise UsageError(f"--link: there is no column {column!r}, expected one of {known}.")
    kind, shift = schema[column], float(found["shift"] or 0)
    if kind.is_nested() or isinstance(kind, pl.Binary):
        raise UsageError(f"--link: the column {column} is of type {kind}, which is no text.")
    if shift and not kind.is_numeric():
        raise UsageError(f"--link: {text!r} adds to {column}, which is no number but {kind}.")
    return LinkField(column, shift)


def _encoded(texts: pl.Series) -> pl.Series:
    """Encode each text for a URL; many windows share a value."""
    distinct = texts.drop_nulls().unique()
    encoded = pl.Series([quote(text, safe="") for text in distinct], dtype=pl.String)
    return texts.replace_strict(distinct, encoded, default=None, return_dtype=pl.String)


def with_links(
    windows: pl.DataFrame, template: LinkTemplate | None, keep: Sequence[str]
) -> pl.DataFrame:
    """Return the columns to keep, and ``link`` if there is a template."""
    if template is None:
        return windows.select(keep)
    return windows.with_columns(template.links(windows)).select([*keep, LINK])

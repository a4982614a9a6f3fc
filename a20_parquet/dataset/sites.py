"""Reads sites tables from CSV, JSON or Parquet, and keeps one as Parquet in the dataset."""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import polars as pl

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.file_list import parse_parquet, read_table
from a20_parquet.dataset.problem import Problem
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.storage.path import parse_path, read_whole
from a20_parquet.windows.filenames.site_table import SCHEMA, SiteTable

_KEPT = "sites.parquet"
_STAGED = "conversion/sites.parquet"
_AGAIN = "Copy it from where it is whole, or convert the shards into a new dataset."
_BROUGHT_BY = "conversion"
_EXPECTED = (
    "expected CSV, JSON (a list of objects, or one object from names to site ids) or Parquet with "
    "the column name and, if known, site_id, time_zone, latitude, longitude and clock"
)


def read_sites(path: str | Path) -> SiteTable:
    """Read a sites table from a ``.csv``, ``.json`` or ``.parquet`` file, by path or fsspec URL.

    Raises:
        UsageError: it cannot be read, or is not a sites table.
    """
    url = str(path)
    try:
        content = read_whole(parse_path(path))
    except (OSError, UsageError) as error:
        raise UsageError(f"{url}: the sites table cannot be read: {error}") from error
    try:
        return SiteTable.of(_parse(url, content))
    except UsageError as error:
        raise UsageError(f"{url}: {error.console_text}") from error


@dataclass(frozen=True, slots=True)
class KeptSites:
    """The sites table in a dataset, with the conversion that added each row."""

    frame: pl.DataFrame
    """Columns of a sites table, and ``conversion``, its index in the manifest."""

    @classmethod
    def read(cls, catalog: Catalog) -> Self | None:
        """Read the table; None if the dataset has none.

        Raises:
            DatasetError: it cannot be read, or does not have the manifest's fingerprint.
        """
        prints = [each.reading.sites for each in catalog.head.conversions]
        if not any(prints):
            if catalog.filesystem.exists(catalog.path(_KEPT)):
                raise DatasetError(
                    f"{catalog.url(_KEPT)}: no conversion in manifest.json was given a sites "
                    "table. Move the file away, or copy manifest.json from where it is whole."
                )
            return None
        try:
            return cls._read(catalog, _KEPT, prints)
        except DatasetError:
            # After a commit the table may not have been moved to its final path yet.
            with suppress(DatasetError):
                return cls._read(catalog, _STAGED, prints)
            raise

    @classmethod
    def _read(cls, catalog: Catalog, name: str, prints: Sequence[str | None]) -> Self:
        """Read a table that must have the fingerprint of each conversion."""
        where = catalog.url(name)
        try:
            content = catalog.read(name)
        except FileNotFoundError as error:
            raise DatasetError(
                f"{where} is missing, though manifest.json lists a sites table. {_AGAIN}"
            ) from error
        except OSError as error:
            raise DatasetError(f"{where}: cannot be read: {error}. {_AGAIN}") from error
        found = read_table(content, where)
        # Earlier versions had fewer columns.
        new = [pl.lit(None, kind).alias(n) for n, kind in SCHEMA.items() if n not in found]
        try:
            brought_by = pl.col(_BROUGHT_BY).cast(pl.Int32)
            kept = cls(found.with_columns(new).select(*SCHEMA.names(), brought_by))
            last = max(number for number, each in enumerate(prints) if each)
            # The cast of a struct gives a struct, which cannot be compared.
            numbers = kept.frame[_BROUGHT_BY]
            is_right = numbers.dtype == pl.Int32 and bool(
                numbers.is_between(0, last).fill_null(value=False).all()
            )
            is_right = is_right and all(
                kept.until(number).fingerprint == each for number, each in enumerate(prints) if each
            )
        except (UsageError, pl.exceptions.PolarsError) as error:
            raise DatasetError(f"{where} is not a sites table: {error} {_AGAIN}") from error
        if not is_right:
            raise DatasetError(
                f"{where} is not the sites table that the dataset was made with, by its "
                f"fingerprint in manifest.json. {_AGAIN}"
            )
        return kept

    def until(self, conversion: int) -> SiteTable:
        """Return the table as it was for a conversion."""
        rows = self.frame.filter(pl.col(_BROUGHT_BY) <= conversion)
        return SiteTable(rows.select(SCHEMA.names()))


def kept_content(before: KeptSites | None, table: SiteTable, conversion: int) -> bytes:
    """Return the content of a dataset's ``sites.parquet``.

    The rows of ``table`` that are not in the dataset yet get the index of the new conversion.
    """
    rows = table.canonical.with_columns(pl.lit(conversion, pl.Int32).alias(_BROUGHT_BY))
    if before is not None:
        new = rows.join(before.frame, on="name", how="anti")
        rows = pl.concat([before.frame, new]).sort("name")
    file = io.BytesIO()
    rows.write_parquet(file, compression="uncompressed", statistics=False)
    return file.getvalue()


def kept_bytes(catalog: Catalog) -> bytes | None:
    """Return the content of a dataset's ``sites.parquet``; None if it has no sites table.

    Raises:
        DatasetError: it cannot be read, or is damaged.
    """
    if KeptSites.read(catalog) is None:
        return None
    try:
        return catalog.read(_KEPT)
    except FileNotFoundError:
        return catalog.read(_STAGED)


def _parse(url: str, content: bytes) -> pl.DataFrame:
    parse = _PARSERS.get(Path(url).suffix.lower())
    if parse is None:
        raise UsageError(f"the file name has no known extension, {_EXPECTED}.")
    try:
        return parse(content)
    except (ValueError, RecursionError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"the sites table cannot be read: {error}; {_EXPECTED}.") from error


def _parse_csv(content: bytes) -> pl.DataFrame:
    # Spreadsheets write byte-order marks and blank lines.
    text = content.decode("utf-8-sig")
    found = pl.read_csv(io.StringIO(text), infer_schema=False, truncate_ragged_lines=False)
    return found.rename(str.strip).filter(~pl.all_horizontal(pl.all().is_null()))


def _parse_json(content: bytes) -> pl.DataFrame:
    found = json.loads(content.decode("utf-8-sig"))
    if isinstance(found, dict):
        found = [{"name": name, "site_id": site_id} for name, site_id in found.items()]
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise ValueError("it is neither a list of objects nor an object")
    known = list(dict.fromkeys(name for row in found for name in row)) if found else list(SCHEMA)
    # Values of unused columns are not checked.
    rows = [{name: _text(row.get(name), name) for name in known if name in SCHEMA} for row in found]
    return pl.DataFrame(rows, schema=dict.fromkeys(known, pl.String))


def _parse_parquet(content: bytes) -> pl.DataFrame:
    # A table from a dataset has this column.
    return parse_parquet(content).drop(_BROUGHT_BY, strict=False)


def _text(value: Any, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {json.dumps(value)}, expected text or a number")  # noqa: TRY004
    return str(value)


_PARSERS = {".csv": _parse_csv, ".json": _parse_json, ".parquet": _parse_parquet}


def check_sites(catalog: Catalog) -> Iterator[Problem]:
    """Check that a dataset's sites table has the manifest's fingerprints."""
    try:
        KeptSites.read(catalog)
    except DatasetError as error:
        message = error.console_text.removeprefix(catalog.url(_KEPT))
        yield Problem(_KEPT, message.removeprefix(":").strip())

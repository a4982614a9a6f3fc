"""The sites table: facts about recorders that their filenames lack."""

import hashlib
import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from a20_parquet.errors import UsageError
from a20_parquet.windows.filenames.clock import LOCAL, UTC
from a20_parquet.windows.filenames.site_token import recorder_names
from a20_parquet.windows.filenames.time_zones import is_time_zone

SCHEMA = pl.Schema(
    {
        "name": pl.String(),
        "site_id": pl.Int32(),
        "time_zone": pl.String(),
        "latitude": pl.Float64(),
        "longitude": pl.Float64(),
        "clock": pl.String(),
    }
)
"""Columns of a sites table: the recorder's name, its site's id, its IANA time zone, its position in
degrees, and its clock: ``UTC``, or ``local`` for its time zone, whatever offset its filenames have.
All but ``name`` may be null; without ``clock`` the filenames count."""

_MAX_SITE_ID = 999_999_999
_RANGES = {"latitude": 90, "longitude": 180}
_LIKENESS = 0.8
_OTHER_NAMES = {
    "tz": "time_zone",
    "zone": "time_zone",
    "lat": "latitude",
    "lon": "longitude",
    "lng": "longitude",
    "long": "longitude",
    # Similar to a known column, but with another meaning.
    "altitude": None,
}
"""Columns that other names mean."""


@dataclass(frozen=True, eq=False)
class SiteTable:
    """A valid sites table. Two are equal if they have the same rows in any order.

    Raises:
        UsageError: a value is invalid, or two rows have the same recorder.
    """

    frame: pl.DataFrame
    """One row per recorder, with ``SCHEMA``."""
    ignored: tuple[str, ...] = ()
    """Further columns of its source; equal tables may differ in them."""

    def __post_init__(self) -> None:
        """Check every value."""
        if self.frame.schema != SCHEMA:
            raise UsageError(f"a sites table has {self.frame.schema}, expected {SCHEMA}.")
        _check(self.frame, "name", pl.col("name").str.strip_chars() != "", "a recorder's name")
        ids = pl.col("site_id").is_between(0, _MAX_SITE_ID)
        _check(self.frame, "site_id", ids, f"a number from 0 to {_MAX_SITE_ID}")
        zones = self.frame["time_zone"].drop_nulls().unique().sort()
        good = pl.col("time_zone").is_in([zone for zone in zones if is_time_zone(zone)])
        _check(self.frame, "time_zone", good, "a time zone's IANA name such as Australia/Sydney")
        for name, limit in _RANGES.items():
            inside = pl.col(name).is_between(-limit, limit)
            _check(self.frame, name, inside, f"degrees from {-limit} to {limit}")
        clocks = (pl.col("clock") == UTC) | (
            (pl.col("clock") == LOCAL) & pl.col("time_zone").is_not_null()
        )
        _check(self.frame, "clock", clocks, f"{UTC}, or {LOCAL} with a time_zone")
        twice = self.frame.with_columns(key=_normal(pl.col("name"))).filter(
            pl.col("key").is_duplicated()
        )
        if len(twice):
            first = twice.filter(pl.col("key") == twice["key"][0])["name"]
            raise UsageError(
                f"the sites table names one recorder twice: {first[0]!r} and {first[1]!r} (case "
                "does not count, nor does & between hyphens). Leave one of them out."
            )

    @classmethod
    def of(cls, frame: pl.DataFrame) -> "SiteTable":
        """Create a sites table from columns of any type and order.

        Missing columns and empty texts become null, unknown columns are ignored.

        Raises:
            UsageError: there is no column ``name``, a missing column seems to have another name, or
                a value is invalid.
        """
        # An index or an extra comma leaves a column without a name.
        ignored = tuple(sorted(name for name in frame.columns if name and name not in SCHEMA))
        for name in ignored:
            meant = _meant(name)
            if meant is not None and meant not in frame.columns:
                raise UsageError(
                    f"the sites table has a column {name!r}, did you mean {meant}? Call it "
                    f"{meant}, or, if it is something else, by a name that is less like it."
                )
        if "name" not in frame.columns:
            found = ", ".join(frame.columns) or "none"
            raise UsageError(
                f"the sites table has the columns {found}, expected name, and where known site_id, "
                "time_zone, latitude, longitude and clock. Rename or add the column name."
            )
        table = pl.DataFrame({name: _column(frame, name) for name in SCHEMA}, schema=SCHEMA)
        clock = pl.col("clock").str.to_lowercase().replace(UTC.lower(), UTC)
        return cls(table.with_columns(clock), ignored)

    @cached_property
    def canonical(self) -> pl.DataFrame:
        """The rows, sorted by name."""
        return self.frame.sort("name")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the rows, whatever their order, in hexadecimal digits."""
        frame = self.canonical
        # Tables without clocks keep the fingerprint from before this column existed.
        known = frame.drop("clock") if frame["clock"].is_null().all() else frame
        rows = json.dumps(known.rows(), ensure_ascii=True)
        return hashlib.sha256(rows.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SiteTable) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def look_up(self, site_id: Any, site_name: Any, subsite_name: Any) -> tuple[Any, Any, Any]:
        """Look up site ids, time zones and clocks of recordings.

        A recorder is looked up by its full name, such as ``Arkaba-Dry-A``, else by ``site_name``,
        without regard to case, Unicode normal form, and ``-&-`` for ``-``. A time zone also follows
        from the site id if all rows with both agree, and a clock if all rows of the id agree.

        Args:
            site_id: int32 array; values that are not null stay.
            site_name: string array.
            subsite_name: string array.

        Returns:
            An int32 and two string arrays; null if unknown.
        """
        rows = self._rows(site_name, subsite_name)
        ids = pc.coalesce(site_id, *(self._columns["site_id"].take(row) for row in rows))
        found = []
        for name in ("time_zone", "clock"):
            known_ids, values = self._by_id[name]
            by_id = values.take(pc.index_in(ids, known_ids))
            found.append(pc.coalesce(*(self._columns[name].take(row) for row in rows), by_id))
        return ids, *found

    def positions(self, site_id: Any, site_name: Any, subsite_name: Any) -> tuple[Any, Any]:
        """Look up latitudes and longitudes of recorders, by name as in ``look_up``, else by id.

        Args:
            site_id: int32 array.
            site_name: string array.
            subsite_name: string array.

        Returns:
            Two float64 arrays in degrees; both null if either is unknown.
        """
        placed = SiteTable(self.frame.drop_nulls(["latitude", "longitude"]))
        by_id = pc.index_in(site_id, placed.frame["site_id"].to_arrow(), skip_nulls=True)
        row = pc.coalesce(*placed._rows(site_name, subsite_name), by_id)
        latitude, longitude = (
            placed.frame[name].to_arrow().take(row) for name in ("latitude", "longitude")
        )
        return latitude, longitude

    def _rows(self, site_name: Any, subsite_name: Any) -> list[Any]:
        """Return the rows of recorders by their full names, and by ``site_name``; null if none."""
        full_names = recorder_names(site_name, subsite_name)
        return [pc.index_in(_normal_array(names), self._keys) for names in (full_names, site_name)]

    @cached_property
    def _keys(self) -> Any:
        return self.frame.select(_normal(pl.col("name")))["name"].to_arrow().cast(pa.string())

    @cached_property
    def _columns(self) -> dict[str, Any]:
        types = {"site_id": pa.int32(), "time_zone": pa.string(), "clock": pa.string()}
        return {name: self.frame[name].to_arrow().cast(kind) for name, kind in types.items()}

    @cached_property
    def _by_id(self) -> dict[str, tuple[Any, Any]]:
        """For time zones and clocks, the site ids whose rows agree, and the values."""
        numbered = self.frame.drop_nulls("site_id")
        return {
            "time_zone": _agreed(numbered.drop_nulls("time_zone"), "time_zone"),
            "clock": _agreed(numbered, "clock"),
        }


def merged(old: SiteTable, new: SiteTable) -> SiteTable:
    """Merge two tables.

    Raises:
        UsageError: a recorder is in both with different values.
    """
    both = old.frame.with_columns(key=_normal(pl.col("name"))).join(
        new.frame.with_columns(key=_normal(pl.col("name"))), on="key", suffix="_new"
    )
    values = [name for name in SCHEMA if name != "name"]
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_new")) for name in values)
    for row in both.filter(differs).sort("key").head(1).iter_rows(named=True):
        known = {name: row[name] for name in values}
        given = {name: row[f"{name}_new"] for name in values}
        raise UsageError(
            f"the sites table says {given} of {row['name']!r}, but the dataset's says {known}. "
            "Give the recorder the dataset's values, or convert into another dataset."
        )
    added = new.frame.filter(~_normal(pl.col("name")).is_in(both["key"].to_list()))
    return SiteTable(pl.concat([old.frame, added]))


def _meant(name: str) -> str | None:
    """Return the column that a name may mean, or None."""
    plain = "_".join(name.lower().replace("-", " ").replace("_", " ").split())
    if plain in _OTHER_NAMES:
        return _OTHER_NAMES[plain]
    return next(iter(get_close_matches(plain, SCHEMA.names(), n=1, cutoff=_LIKENESS)), None)


def _agreed(rows: pl.DataFrame, column: str) -> tuple[Any, Any]:
    agreed = (
        rows.group_by("site_id")
        .agg(pl.col(column).unique())
        .filter(pl.col(column).list.len() == 1)
        .select("site_id", pl.col(column).list.first())
    )
    return agreed["site_id"].to_arrow(), agreed[column].to_arrow().cast(pa.string())


def _normal(names: pl.Expr) -> pl.Expr:
    return names.str.normalize("NFC").str.to_lowercase().str.replace_all("-&-", "-", literal=True)


def _normal_array(names: Any) -> Any:
    frame = pl.DataFrame({"name": pl.Series(names)})
    return frame.select(_normal(pl.col("name")))["name"].to_arrow().cast(pa.string())


def _check(frame: pl.DataFrame, column: str, good: pl.Expr, expected: str) -> None:
    may_be_null = pl.lit(column != "name")
    bad = frame.with_row_index("row", offset=1).filter(~good.fill_null(may_be_null))
    for row in bad.head(1).iter_rows(named=True):
        raise _bad_value(row["row"], row["name"], column, row[column], expected)


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    """Convert a column to the schema's type."""
    if name not in frame.columns:
        return pl.repeat(None, len(frame), dtype=SCHEMA[name], eager=True)
    found = frame[name]
    if found.dtype == pl.String:
        found = found.str.strip_chars().replace("", None)
    elif found.dtype == pl.Boolean or found.dtype.is_nested():
        raise UsageError(f"the sites table's column {name} holds {found.dtype}s. Write text.")
    numbers = found if SCHEMA[name] == pl.String else found.cast(pl.Float64, strict=False)
    # Through float64: pandas writes ids as 285.0 if one is missing.
    made = numbers.cast(SCHEMA[name], strict=False)
    lost = (made.is_null() & found.is_not_null()) | (
        (numbers != made.cast(numbers.dtype)).fill_null(value=False)
    )
    for row in lost.arg_true().head(1):
        expected = "a whole number" if name == "site_id" else str(SCHEMA[name])
        raise _bad_value(row + 1, frame["name"][row], name, found[row], expected)
    return made


def _bad_value(row: int, name: Any, column: str, found: Any, expected: str) -> UsageError:
    return UsageError(
        f"row {row} of the sites table ({name!r}) has {column} {found!r}, expected {expected}. "
        "Mend the row."
    )

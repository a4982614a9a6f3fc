"""What a recording's filename tells: where, when and by which recorder it was made.

All work is done on whole arrays. The pattern is run by RE2, which takes time in proportion to the
name's length whatever the name is.
"""

from dataclasses import dataclass, fields
from typing import Any

# ruff: noqa: PLR2004 - the calendar's and the clock's own numbers
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_SITE_FOLDER = r"(?:^|/)site_(?P<site>\d{1,9})/(?:[^/]*/)*[^/]*$"
_START = r"(?:^|/)(?P<day>\d{8})T(?P<time>\d{6})(?P<zone>[+-]\d{4}|Z)_"
_END = r"\.(?i:flac|wav|mp3|wv)$"
_ID = r"(?P<id>\d{1,18})"
_IN_SUBSITE = (
    _START + r"(?P<site_name>[^/]*?)-(?P<subsite>(?:Wet|Dry)-[AB])_" + _ID + r"(?:_\d+)*" + _END
)
_IN_SITE = _START + r"(?P<site_name>[^/]+?)_" + _ID + r"(?:_\d{4,}_\d{4,})?" + _END

EXPECTED = (
    "[site_NNNN/]YYYYMMDDTHHMMSS followed by Z or an offset such as +1000, _RECORDER_ID and .flac, "
    ".wav, .mp3 or .wv"
)
"""The form of a filename, in words for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recordings:
    """What filenames tell, as Arrow arrays with one item a filename.

    All but ``site_id`` and ``subsite_name`` are null exactly where ``valid`` is false, and
    ``utc_offset_minutes`` also where the name says ``Z``.
    """

    valid: npt.NDArray[np.bool_]
    """Whether the name has the expected form and holds a real date, time and offset."""
    site_id: Any
    """int32; null where no folder ``site_NNNN/`` stands before the name."""
    site_name: Any
    """string"""
    subsite_name: Any
    """string; null where the recorder's name does not end in ``-Wet-A`` or its like."""
    file_seq_id: Any
    """int64"""
    file_timestamp: Any
    """timestamp[us, UTC]: start of the recording."""
    utc_offset_minutes: Any
    """int16; null where the name says ``Z``."""
    file_seconds_since_midnight: Any
    """int32: seconds, as the name writes the time of day."""

    @classmethod
    def columns(cls) -> list[str]:
        """Names of the columns that a filename tells."""
        return [field.name for field in fields(cls) if field.name != "valid"]


def parse_filenames(filenames: Any) -> Recordings:
    """Parse an Arrow string array of filenames; names of another form are marked, not raised."""
    folder = pc.extract_regex(filenames, _SITE_FOLDER)
    in_subsite = pc.extract_regex(filenames, _IN_SUBSITE)
    in_site = pc.extract_regex(filenames, _IN_SITE)

    def part(name: str) -> Any:
        return pc.coalesce(pc.struct_field(in_subsite, name), pc.struct_field(in_site, name))

    matched = part("day").is_valid()
    day_digits = _integers(pc.fill_null(part("day"), "19700101"))
    time_digits = _integers(pc.fill_null(part("time"), "000000"))
    zone = pc.fill_null(part("zone"), "Z")
    is_utc = pc.equal(zone, "Z").to_numpy(zero_copy_only=False)
    offset_digits = _integers(pc.ascii_ltrim(pc.if_else(pc.equal(zone, "Z"), "0", zone), "+"))

    days, day_ok = _days(day_digits)
    seconds, time_ok = _seconds(time_digits)
    offset_minutes, offset_ok = _minutes(offset_digits)
    valid = matched.to_numpy(zero_copy_only=False) & day_ok & time_ok & offset_ok
    start_us = (days * 86_400 + seconds - offset_minutes * 60) * 1_000_000

    def where(values: Any, kind: Any, keep: npt.NDArray[np.bool_] = valid) -> Any:
        return pa.array(values, mask=~keep).cast(kind)

    def text(values: Any) -> Any:
        return pc.if_else(pa.array(valid), values, pa.scalar(None, pa.string()))

    return Recordings(
        valid=valid,
        site_id=pc.struct_field(folder, "site").cast(pa.int32()),
        site_name=text(part("site_name")),
        subsite_name=text(pc.struct_field(in_subsite, "subsite")),
        file_seq_id=text(part("id")).cast(pa.int64()),
        file_timestamp=where(start_us, pa.timestamp("us", tz="UTC")),
        utc_offset_minutes=where(offset_minutes, pa.int16(), valid & ~is_utc),
        file_seconds_since_midnight=where(seconds, pa.int32()),
    )


def _integers(digits: Any) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = digits.cast(pa.int64()).to_numpy()
    return values


def _days(yyyymmdd: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Days since 1970-01-01 of dates written as numbers, and which of them exist."""
    year, month, day = yyyymmdd // 10_000, yyyymmdd // 100 % 100, yyyymmdd % 100
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    date = months.astype("datetime64[D]") + (day - 1)
    exists = (month >= 1) & (month <= 12) & (day >= 1) & (date.astype("datetime64[M]") == months)
    # NumPy has a year 0, calendars and most readers have none.
    return date.astype(np.int64), exists & (year >= 1)


def _seconds(hhmmss: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Seconds since midnight of times written as numbers, and which of them exist."""
    hour, minute, second = hhmmss // 10_000, hhmmss // 100 % 100, hhmmss % 100
    return hour * 3600 + minute * 60 + second, (hour < 24) & (minute < 60) & (second < 60)


def _minutes(hhmm: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Minutes of UTC offsets written as signed numbers, and which of them exist."""
    size = np.abs(hhmm)
    return np.sign(hhmm) * (size // 100 * 60 + size % 100), (size < 24_00) & (size % 100 < 60)

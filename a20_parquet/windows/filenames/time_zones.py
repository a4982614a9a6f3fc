"""Offsets in time zones, as arrays of numbers."""

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from a20_parquet.windows.filenames.clock import Flags, Integers

_US = 1_000_000


def is_time_zone(name: str) -> bool:
    """Whether the IANA database has a time zone of this name, such as ``Australia/Sydney``."""
    # polars also accepts offsets and an empty text.
    if not name[:1].isalpha():
        return False
    try:
        pl.Series([0]).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(name)
    except pl.exceptions.ComputeError:
        return False
    return True


def offsets_at(start_s: Integers, zones: Any, *, is_local: Flags) -> Integers:
    """UTC offsets in time zones.

    Args:
        start_s: seconds since 1970-01-01, in UTC, or local in the zone if ``is_local``.
        zones: Arrow string array of valid names, without nulls.
        is_local: which times are local. An ambiguous one is the earlier one; a skipped one has the
            offset before the change, as in ``datetime`` with ``fold=0``.

    Returns:
        Minutes, rounded down, in the shape of ``start_s``.
    """
    minutes = np.zeros(len(start_s), np.int64)
    names = np.array(zones.to_pylist(), object)
    for zone in sorted(set(names.tolist())):
        for local, find in ((False, _offsets_of_instants), (True, _offsets_of_local_times)):
            chosen = (names == zone) & (is_local == local)
            if chosen.any():
                minutes[chosen] = find(start_s[chosen] * _US, zone)
    return minutes


def _offsets_of_instants(start_us: Integers, zone: str) -> Integers:
    instants = pl.Series(start_us).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    return _minutes(instants)


def _offsets_of_local_times(start_us: Integers, zone: str) -> Integers:
    local = pl.Series(start_us).cast(pl.Datetime("us"))
    instants = _instants(local, zone)
    # No clock skips more than a day, so a day earlier the offset before the change applies.
    before = _instants(local - timedelta(days=1), zone)
    return _minutes(instants.zip_with(instants.is_not_null(), before))


def _instants(local: pl.Series, zone: str) -> pl.Series:
    return local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")


def _minutes(instants: pl.Series) -> Integers:
    offsets = instants.dt.base_utc_offset() + instants.dt.dst_offset()
    return (offsets.dt.total_seconds() // 60).to_numpy()

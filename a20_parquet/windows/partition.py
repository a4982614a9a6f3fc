"""Partitions: the site and the date of each window as its Hive folder, and advice on the keys."""

import enum
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from statistics import median
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
"""The folder value that every reader takes for null."""

SMALL_FILE_BYTES = 1_000_000

PartitionKey: TypeAlias = tuple[str, int | None]
"""``site`` and period, see ``periods``."""

_SECONDS_A_DAY = 86_400


class PartitionBy(enum.StrEnum):
    """The Hive keys of a dataset."""

    SITE_DATE = "site,date"
    SITE_MONTH = "site,month"
    SITE_YEAR = "site,year"
    SITE = "site"

    @property
    def period(self) -> str | None:
        """Name of the key after ``site``: ``date``, ``month``, ``year`` or None."""
        return self.value.partition(",")[2] or None

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, outermost first."""
        return tuple(self.value.split(","))


def periods(start_local_s: npt.NDArray[np.int64], by: PartitionBy) -> npt.NDArray[np.int32]:
    """Return the number of the period in which each window starts.

    Args:
        start_local_s: seconds since 1970-01-01 on the recorder's wall clock.
        by: the Hive keys.

    Returns:
        Days since 1970-01-01 for ``date``, months since 1970-01 for ``month``, the year itself for
        ``year``, 0 without a second key.
    """
    if by.period is None:
        return np.zeros(len(start_local_s), np.int32)
    days = start_local_s // _SECONDS_A_DAY
    if by.period == "date":
        return days.astype(np.int32)
    unit = {"month": "datetime64[M]", "year": "datetime64[Y]"}[by.period]
    since_1970 = days.astype("datetime64[D]").astype(unit).astype(np.int32)
    return since_1970 + (1970 if by.period == "year" else 0)


# Sites share days.
@lru_cache(maxsize=1 << 14)
def period_value(period: int | None, by: PartitionBy) -> str:
    """Format a period as its Hive value, such as ``2020-10-14``, ``2020-10`` or ``2020``."""
    if period is None:
        return HIVE_NULL
    if by.period == "date":
        return str(np.datetime64(period, "D"))
    if by.period == "month":
        return str(np.datetime64(period, "M"))
    return f"{period:04d}"


def key_arrays(site: Any, period: Any, by: PartitionBy) -> list[Any]:
    """Return an Arrow array of each Hive key, of the types in ``schema.KEYS``.

    Args:
        site: values of the key ``site``, an array of strings.
        period: as from ``periods``, an array of int32; null without a date.
        by: the Hive keys.
    """
    if by.period is None:
        return [site]
    if by.period == "date":
        return [site, period.cast(pa.date32())]
    if by.period == "year":
        return [site, period.cast(pa.int64())]
    months = period.dictionary_encode()
    names = [period_value(value, by) for value in months.dictionary.to_pylist()]
    return [site, pa.array(names, pa.string()).take(months.indices)]


def hive_file(site: str, period: int | None, part: int, by: PartitionBy) -> str:
    """Path of a partition's file, such as ``site=site_0285/date=2020-10-14/part-0000.parquet``."""
    return f"{hive_folder(site, period, by)}/part-{part:04d}.parquet"


def hive_folder(site: str, period: int | None, by: PartitionBy) -> str:
    """Path of a partition's folder, such as ``site=site_0285/date=2020-10-14``."""
    if by.period is None:
        return f"site={site}"
    return f"site={site}/{by.period}={period_value(period, by)}"


def sparse_partitions_hint(
    files: Iterable[tuple[str, int | None, int]], by: PartitionBy
) -> str | None:
    """Advise a coarser key if half of the files are under ``SMALL_FILE_BYTES``.

    Args:
        files: site, period (see ``periods``) and bytes of each file.
        by: the present keys.

    Returns:
        A sentence; None if the files are large enough or no key helps.
    """
    sizes = list(files)
    if not sizes or median(size for _, _, size in sizes) >= SMALL_FILE_BYTES:
        return None
    now = median(size for _, _, size in sizes)
    order = list(PartitionBy)
    for coarser in order[order.index(by) + 1 :]:
        merged: dict[PartitionKey, int] = defaultdict(int)
        for site, period, size in sizes:
            merged[site, _coarsen(period, by, coarser)] += size
        then = median(merged.values())
        if then >= SMALL_FILE_BYTES:
            return (
                f"half of the {len(sizes):,} files are smaller than {now / 1e6:.2f} MB, which "
                f"readers are slow on; --partition-by {coarser} would make {len(merged):,} "
                f"partitions of {then / 1e6:.1f} MB"
            )
    return None


def _coarsen(period: int | None, by: PartitionBy, coarser: PartitionBy) -> int | None:
    if period is None or coarser.period is None:
        return None
    if coarser.period == by.period:
        return period
    unit = {"date": "D", "month": "M"}[str(by.period)]
    target = {"month": "M", "year": "Y"}[coarser.period]
    return int(np.datetime64(period, unit).astype(f"datetime64[{target}]").astype(int))  # type: ignore[call-overload]

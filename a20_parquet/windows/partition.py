"""Partitions: which Hive folder a window belongs to."""

import enum
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from a20_parquet.windows.filenames.site_token import DISTINCT_TOKENS, name_tokens

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
"""The folder value that every reader takes for null."""

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
        """Name of the key after ``site``: ``date``, ``month``, ``year`` or none."""
        return self.value.partition(",")[2] or None

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, outermost first."""
        return tuple(self.value.split(","))


def site_tokens(
    site_id: Any, site_name: Any, subsite_name: Any, rule: int = DISTINCT_TOKENS
) -> Any:
    """The Hive value of ``site`` for each recording, an Arrow string array.

    ``site_0285`` where the id is known; else the token of the recorder's name, see ``site_token``;
    null where neither is known.
    """
    numbered = pc.binary_join_element_wise(
        "site_", pc.utf8_lpad(site_id.cast(pa.string()), 4, "0"), ""
    )
    if not numbered.null_count:
        return numbered
    return pc.coalesce(numbered, name_tokens(recorder_names(site_name, subsite_name), rule))


def recorder_names(site_name: Any, subsite_name: Any) -> Any:
    """The recorders' full names, such as ``Arkaba-Dry-A``; null where ``site_name`` is."""
    suffix = pc.if_else(
        subsite_name.is_valid(), pc.binary_join_element_wise("-", subsite_name, ""), ""
    )
    return pc.binary_join_element_wise(site_name, suffix, "")


def periods(start_local_s: npt.NDArray[np.int64], by: PartitionBy) -> npt.NDArray[np.int32]:
    """Number the period in which each window starts.

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


# Sites have their days in common.
@lru_cache(maxsize=1 << 14)
def period_value(period: int | None, by: PartitionBy) -> str:
    """Write a period as its Hive value, such as ``2020-10-14``, ``2020-10`` or ``2020``."""
    if period is None:
        return HIVE_NULL
    if by.period == "date":
        return str(np.datetime64(period, "D"))
    if by.period == "month":
        return str(np.datetime64(period, "M"))
    return f"{period:04d}"


def hive_file(site: str, period: int | None, part: int, by: PartitionBy) -> str:
    """Name a partition's file, such as ``site=site_0285/date=2020-10-14/part-0000.parquet``."""
    return f"{hive_folder(site, period, by)}/part-{part:04d}.parquet"


def hive_folder(site: str, period: int | None, by: PartitionBy) -> str:
    """Name a partition's folder, such as ``site=site_0285/date=2020-10-14``."""
    if by.period is None:
        return f"site={site}"
    return f"site={site}/{by.period}={period_value(period, by)}"

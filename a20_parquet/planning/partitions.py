"""Estimates number and size of partitions from a random sample of records.

Perch's writer shuffles records over shards, so the first records of some shards are one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from a20_parquet.windows.partition import PartitionBy, periods

Numbers = npt.NDArray[np.int64]

_QUANTILES = 199
_MANY_DRAWN = 10
_UNDATED = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, kw_only=True)
class Distinct:
    """An estimated number of distinct values."""

    number: int
    error: float
    """Standard error, as a fraction of the number."""


def estimate_distinct(times: Numbers, drawn: int, total: int, most: int) -> Distinct:
    """Estimate the number of kinds among all records, from those drawn.

    The numbers of kinds drawn once and twice give the number of kinds not drawn (Chao,
    Scandinavian Journal of Statistics 11 (1984), 265-270), and how soon more draws find them
    (Colwell, Chao, Gotelli et al., Journal of Plant Ecology 5 (2012), 3-21). The estimate is too
    low if some kinds are far rarer than others, and uncertain if few records share a kind: its
    error is that of Chao, Biometrics 43 (1987), 783-791.

    Args:
        times: number of records drawn of each kind that was drawn, 1 or more.
        drawn: number of records drawn.
        total: number of all records.
        most: largest possible number of kinds.
    """
    seen = len(times)
    once, twice = (int(np.count_nonzero(times == often)) for often in (1, 2))
    if drawn >= total or not once:
        return Distinct(number=seen, error=0.0)
    unseen = once**2 / (2 * twice) if twice else once * (once - 1) / 2
    unseen *= (drawn - 1) / drawn
    left = (1 - once / (drawn * unseen + once)) ** (total - drawn)
    number = max(seen, min(round(seen + unseen * (1 - left)), most, total))
    ratio = once / max(twice, 1)
    variance = max(twice, 1) * (ratio**4 / 4 + ratio**3 + ratio**2 / 2)
    return Distinct(number=number, error=sqrt(variance) * (1 - left) / number)


def estimate_spread(times: Numbers, drawn: int, number: int) -> float:
    """Estimate the squared coefficient of variation of the kinds' sizes.

    The chance that two records are of one kind (Simpson, Nature 163 (1949), 688) is
    ``(1 + variation) / number``.
    """
    pairs = drawn * (drawn - 1)
    same = int((times * (times - 1)).sum())
    return max(0.0, number * same / pairs - 1) if pairs else 0.0


def size_quantiles(mean: float, variation: float) -> npt.NDArray[np.float64]:
    """Return quantiles of the partitions' sizes, smallest first.

    Records fall into partitions at random, and partitions differ by ``variation``: approximately a
    gamma distribution, whose quantiles are those of Wilson and Hilferty (PNAS 17 (1931), 684-688).

    Args:
        mean: mean number of records in a partition.
        variation: squared coefficient of variation of the expected sizes.

    Returns:
        Records, at least 1 each, with a mean as near to ``mean`` as that allows.
    """
    shape = variation + 1 / mean
    normal = NormalDist()
    at = np.array([normal.inv_cdf((i + 0.5) / _QUANTILES) for i in range(_QUANTILES)])
    sizes = np.maximum(1 - shape / 9 + at * sqrt(shape) / 3, 0.0) ** 3
    records: npt.NDArray[np.float64] = np.maximum(sizes * mean / sizes.mean(), 1.0)
    return records


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSizes:
    """Sizes of files, from encoding a sample."""

    row: float
    """Bytes per row."""
    file: float
    """Bytes per file besides its rows."""
    most_rows: int
    """Most rows in a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyForecast:
    """Forecast for a choice of Hive keys."""

    partition_by: PartitionBy
    partitions: int
    error: float
    """Standard error of ``partitions``, as a fraction of it."""
    files: int
    median_file_bytes: int
    mean_file_bytes: int

    @property
    def bytes(self) -> int:
        """Bytes of all data files."""
        return self.files * self.mean_file_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnWindows:
    """Windows of the records drawn."""

    record: Numbers
    """Number of each window's record, from 0."""
    site: Any
    """Value of the Hive key ``site``: an Arrow array of strings."""
    start_local_s: Numbers
    """Seconds since 1970-01-01 on the recorder's wall clock."""
    dated: npt.NDArray[np.bool_]
    """Whether ``start_local_s`` is known."""
    total_records: int
    """Number of all records, from which these were drawn."""

    @property
    def records(self) -> int:
        """Number of records drawn."""
        return len(np.unique(self.record))

    @property
    def days(self) -> tuple[int, int] | None:
        """Days since 1970-01-01 of the first and last dated window, None if no window is dated."""
        if not self.dated.any():
            return None
        days = periods(self.start_local_s[self.dated], PartitionBy.SITE_DATE)
        return int(days.min()), int(days.max())

    def sites(self) -> Distinct:
        """Estimate the number of sites."""
        _, times, drawn = self._kinds(PartitionBy.SITE)
        return estimate_distinct(times, drawn, self.total_records, self.total_records)

    def forecast(self, by: PartitionBy, sizes: FileSizes) -> KeyForecast:
        """Forecast partitions and files for a choice of Hive keys."""
        seen, times, drawn = self._kinds(by)
        # A record that crosses midnight is in two partitions.
        total = round(self.total_records * drawn / self.records)
        # No site has more periods than there are between the first and the last of all.
        span = int(seen.max()) - int(seen.min()) + 1 if len(seen) else 1
        most = self.sites().number * (span + (not self.dated.all()))
        found = estimate_distinct(times, drawn, total, most)
        rows_a_record = len(self.record) / drawn
        rows = _sizes(times, drawn, total, found.number) * rows_a_record
        files = np.array(list(_files(rows, sizes)))
        count = max(found.number, round(len(files) * found.number / len(rows)))
        all_bytes = total * rows_a_record * sizes.row + count * sizes.file
        return KeyForecast(
            partition_by=by,
            partitions=found.number,
            error=found.error,
            files=count,
            median_file_bytes=round(float(np.median(files))),
            mean_file_bytes=round(all_bytes / count),
        )

    def _kinds(self, by: PartitionBy) -> tuple[Numbers, Numbers, int]:
        """Return the periods seen, the records in each partition seen, and their sum."""
        period = periods(self.start_local_s, by).astype(np.int64)
        if by.period is not None:
            period = np.where(self.dated, period, _UNDATED)
        seen, number = np.unique(period, return_inverse=True)
        site = self.site.dictionary_encode().indices.to_numpy().astype(np.int64)
        _, firsts = np.unique(self.record * len(seen) + number, return_index=True)
        kinds = site[firsts] * len(seen) + number[firsts]
        times = np.unique(kinds, return_counts=True)[1].astype(np.int64)
        return seen[seen != _UNDATED], times, len(firsts)


def _sizes(times: Numbers, drawn: int, total: int, number: int) -> npt.NDArray[np.float64]:
    """Quantiles of the partitions' sizes in records."""
    if drawn >= _MANY_DRAWN * number:
        return np.sort(times).astype(np.float64) * (total / drawn)
    return size_quantiles(total / number, estimate_spread(times, drawn, number))


def _files(rows: npt.NDArray[np.float64], sizes: FileSizes) -> Iterator[float]:
    """Bytes of the files of partitions with these numbers of rows."""
    for count in rows.tolist():
        full, rest = divmod(count, sizes.most_rows)
        yield from [sizes.most_rows * sizes.row + sizes.file] * int(full)
        if rest >= 1 or not full:
            yield rest * sizes.row + sizes.file

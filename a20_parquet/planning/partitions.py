"""Forecasts from a random sample of records: how many partitions there are, and how large.

Perch's writer shuffles records over shards, so that some records of some shards are such a sample.
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
    """How many different things there are, estimated from those that were seen."""

    number: int
    error: float
    """Standard error, as a part of the number."""


def estimate_distinct(times: Numbers, drawn: int, total: int, most: int) -> Distinct:
    """Estimate how many kinds of records there are among all.

    All records are taken for a larger draw of the same lottery. What was drawn once and twice tells
    how many kinds were not drawn (Chao, Scandinavian Journal of Statistics 11 (1984), 265-270), and
    how soon more draws bring them (Colwell, Chao, Gotelli et al., Journal of Plant Ecology 5
    (2012), 3-21). Where some kinds are far rarer than others the estimate is too low. Few
    records that share a kind make it uncertain: its error is that of Chao, Biometrics 43 (1987),
    783-791.

    Args:
        times: how many of the records drawn are of each kind that was drawn, 1 or more.
        drawn: how many records were drawn.
        total: how many there are.
        most: how many kinds there can be.
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
    """Estimate how unequal kinds are: the squared coefficient of variation of their sizes.

    From the chance that two records are of one kind (Simpson, Nature 163 (1949), 688), which is
    ``(1 + variation) / number``.
    """
    pairs = drawn * (drawn - 1)
    same = int((times * (times - 1)).sum())
    return max(0.0, number * same / pairs - 1) if pairs else 0.0


def size_quantiles(mean: float, variation: float) -> npt.NDArray[np.float64]:
    """Sizes of partitions, smallest first, each standing for as many of them.

    Records fall into partitions at random, and partitions differ by ``variation``: together about a
    gamma distribution, of which Wilson and Hilferty (PNAS 17 (1931), 684-688) give the quantiles.

    Args:
        mean: records of a partition.
        variation: squared coefficient of variation of what is expected of each.

    Returns:
        Records, at least 1, with the mean ``mean`` as nearly as that allows.
    """
    shape = variation + 1 / mean
    normal = NormalDist()
    at = np.array([normal.inv_cdf((i + 0.5) / _QUANTILES) for i in range(_QUANTILES)])
    sizes = np.maximum(1 - shape / 9 + at * sqrt(shape) / 3, 0.0) ** 3
    records: npt.NDArray[np.float64] = np.maximum(sizes * mean / sizes.mean(), 1.0)
    return records


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSizes:
    """What reading a sample of a dataset's rows says of its files."""

    row: float
    """Bytes of a row."""
    file: float
    """Bytes of a file besides its rows."""
    most_rows: int
    """Rows of a file at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyForecast:
    """What a choice of Hive keys would make."""

    partition_by: PartitionBy
    partitions: int
    error: float
    """Standard error of ``partitions``, as a part of it."""
    files: int
    median_file_bytes: int
    mean_file_bytes: int

    @property
    def bytes(self) -> int:
        """Of all data files."""
        return self.files * self.mean_file_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnWindows:
    """Windows of the records that were drawn."""

    record: Numbers
    """Which record each is of, from 0."""
    site: Any
    """string array"""
    start_local_s: Numbers
    """Seconds since 1970-01-01 on the recorder's wall clock."""
    dated: npt.NDArray[np.bool_]
    """Whether that is known."""
    total_records: int
    """Records that there are in all, of which these were drawn."""

    @property
    def records(self) -> int:
        """Records that were drawn."""
        return len(np.unique(self.record))

    @property
    def days(self) -> tuple[int, int] | None:
        """Days since 1970-01-01 of the first and the last window with a date, if there is one."""
        if not self.dated.any():
            return None
        days = periods(self.start_local_s[self.dated], PartitionBy.SITE_DATE)
        return int(days.min()), int(days.max())

    def sites(self) -> Distinct:
        """Estimate how many sites there are."""
        _, times, drawn = self._kinds(PartitionBy.SITE)
        return estimate_distinct(times, drawn, self.total_records, self.total_records)

    def forecast(self, by: PartitionBy, sizes: FileSizes) -> KeyForecast:
        """Say what a choice of Hive keys would make of all records."""
        seen, times, drawn = self._kinds(by)
        # A record that runs past midnight is in two partitions.
        total = round(self.total_records * drawn / self.records)
        # No site has more periods than lie between the first and the last of all.
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
        """Periods that were seen, how many records fell into each partition seen, and their sum."""
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
    """Records of partitions, each standing for as many of them."""
    if drawn >= _MANY_DRAWN * number:
        return np.sort(times).astype(np.float64) * (total / drawn)
    return size_quantiles(total / number, estimate_spread(times, drawn, number))


def _files(rows: npt.NDArray[np.float64], sizes: FileSizes) -> Iterator[float]:
    """Bytes of the files of partitions of so many rows."""
    for count in rows.tolist():
        full, rest = divmod(count, sizes.most_rows)
        yield from [sizes.most_rows * sizes.row + sizes.file] * int(full)
        if rest >= 1 or not full:
            yield rest * sizes.row + sizes.file

"""Adds up the rows of the partitions of many runs, which are numbered for it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.runs.run import HasPartitions
from a20_parquet.windows.order import Partitions

Numbers = npt.NDArray[np.int64]

_PERIOD_BITS = 33
_NO_PERIOD = 0
_FIRST_PERIOD = 1 - np.iinfo(np.int32).min
_PERIOD_MASK = (1 << _PERIOD_BITS) - 1


class PartitionNumbers:
    """Maps partitions to integers: the site's number in the upper bits, the period in the lower.

    Sites are numbered in order of appearance. They are few, so only they are compared as strings.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def keys(self, run: Partitions) -> Numbers:
        """Number partitions; their sites may be new."""
        encoded = run.site.dictionary_encode()
        known = self._numbers
        sites = [known.setdefault(site, len(known)) for site in encoded.dictionary.to_pylist()]
        site = np.array(sites, np.int64)[encoded.indices.to_numpy()]
        period = run.period.cast(pa.int64()).fill_null(_NO_PERIOD - _FIRST_PERIOD).to_numpy()
        keys: Numbers = (site << _PERIOD_BITS) | (period + _FIRST_PERIOD)
        return keys

    def in_order(self, keys: Numbers) -> Numbers:
        """Numbers in the order of partitions: sites by their bytes, null periods first."""
        by_bytes = sorted(self._numbers, key=str.encode)
        rank = np.empty(len(by_bytes), np.int64)
        rank[[self._numbers[site] for site in by_bytes]] = np.arange(len(by_bytes))
        numbers: Numbers = (rank[keys >> _PERIOD_BITS] << _PERIOD_BITS) | (keys & _PERIOD_MASK)
        return numbers

    def partitions(self, keys: Numbers) -> tuple[pa.Array, pa.Array]:
        """Site and period of each key."""
        sites = pa.array(list(self._numbers), pa.string())
        period = keys & _PERIOD_MASK
        return (
            sites.take(pa.array(keys >> _PERIOD_BITS)),
            pa.array(period - _FIRST_PERIOD, mask=period == _NO_PERIOD).cast(pa.int32()),
        )


def add_up(
    runs: Sequence[HasPartitions], numbering: PartitionNumbers, most: int
) -> tuple[Numbers, Numbers]:
    """Numbers and rows of the partitions of all runs, in any order."""
    keys, rows = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    buffered = 0
    for run in runs:
        partitions = run.partitions
        keys.append(numbering.keys(partitions))
        rows.append(partitions.rows)
        buffered += len(partitions)
        if buffered > most:
            some_keys, some_rows = _sum_by_key(keys, rows)
            keys, rows, buffered = [some_keys], [some_rows], 0
    return _sum_by_key(keys, rows)


def _sum_by_key(keys: Sequence[Numbers], rows: Sequence[Numbers]) -> tuple[Numbers, Numbers]:
    every = np.concatenate(keys)
    order = np.argsort(every)
    in_order = every[order]
    firsts = np.flatnonzero(np.diff(in_order, prepend=-1))
    return in_order[firsts], np.add.reduceat(np.concatenate(rows)[order], firsts)

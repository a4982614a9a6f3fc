"""Advice on the Hive keys: which one keeps the files from being too small."""

from collections import defaultdict
from collections.abc import Iterable
from statistics import median

import numpy as np

from a20_parquet.windows.partition import PartitionBy, PartitionKey

SMALL_FILE_BYTES = 1_000_000


def sparse_partitions_hint(
    files: Iterable[tuple[str, int | None, int]], by: PartitionBy
) -> str | None:
    """Say which key would mend a dataset whose median file is under 1 MB.

    Args:
        files: for each file its site, its period (see ``partition.periods``) and its bytes.
        by: the keys it has now.

    Returns:
        A sentence; none where the files are large enough or no key can mend it.
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

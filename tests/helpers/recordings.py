"""A small conversion with everything that queries can trip over, shared by tests."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.helpers.shards import make_record, random_tensor, write_shard

NAMES = [
    "site_0285/20201014T230000+1030_Arkaba-Dry-A_49501.flac",
    "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac",
    "site_0286/20201031T235900+1030_Arkaba-Wet-A_49600.flac",
    "20210301T235900-0330_Site-3_7.wav",
    "20190630T013925Z_Toorale-National-Park-Dry-A_353483.flac",
    "user@host/site_0285/20201231T235800+1030_Arkaba-Dry-A_49502.flac",
]
"""With and without site id or local time; past midnight of a day, month and year; with an ``@``."""
DIMS = 16


def write_recordings(folder: Path) -> Path:
    """Two shards of 48 records, each of some windows of one or three channels, half a second off.

    Some windows are alike, zero, or NaN.
    """
    rng = np.random.default_rng(7)
    for shard in range(2):
        write_shard(folder / f"embeddings-{shard:05d}-of-00002", _records(shard, rng))
    return folder


def _records(shard: int, rng: np.random.Generator) -> Iterator[bytes]:
    for number in range(shard, 48, 2):
        shape = (int(rng.integers(0, 5)), int(rng.choice([1, 1, 3])), DIMS)
        tensor = random_tensor(shape, number % 40)
        if number == 5:
            tensor[:] = 0
        if number == 6:
            tensor[..., 3] = np.nan
        yield make_record(tensor, NAMES[number % len(NAMES)], 60.0 * (number // 6) + 0.1)

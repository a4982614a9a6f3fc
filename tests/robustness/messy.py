"""Shards with all that can go wrong in them, in few megabytes."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tests.helpers.shards import frame, make_record, random_tensor

DIMS: Final = 256
_NAMES: Final = (
    "site_0285/202010{day:02d}T230000+1030_Arkaba-Dry-A_49501.flac",
    "site_0286/202010{day:02d}T010000+1030_Arkaba-Wet-A_49600.flac",
    "202103{day:02d}T235900-0330_Site-3_7.wav",
    "201906{day:02d}T013925Z_Toorale-National-Park-Dry-A_353483.flac",
)


def write_messy_shards(folder: Path, shards: int, records: int) -> Path:
    """Write shards with bad records, damage of several kinds, and duplicates within and across.

    Args:
        folder: gets the shards.
        shards: how many; the last is compressed, and its stream is cut.
        records: of each, 12 KB at the most.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(shards):
        frames = [frame(payload) for payload in _records(shard, records)]
        content = _damaged(frames, shard)
        if shard == shards - 1:
            content = gzip.compress(content, mtime=0)[:-5000]
        (folder / f"embeddings-{shard:05d}-of-{shards:05d}").write_bytes(content)
    return folder


def _records(shard: int, records: int) -> Iterator[bytes]:
    rng = np.random.default_rng(shard)
    for number in range(records):
        # Every tenth is in each shard, alike in even ones and with other values in odd ones.
        is_shared = number % 10 == 3
        seed = number + (shard % 2 if is_shared else shard) * 10_000
        name = _NAMES[number % len(_NAMES)].format(day=1 + number % 9)
        timestamp_s = 60.0 * (number if is_shared else shard * records + number)
        windows = 12 if is_shared else int(rng.integers(0, 13))
        tensor = random_tensor((windows, 1, DIMS), seed)
        if number == 11:
            yield b"\xff no message"
        elif number == 12:
            yield make_record(random_tensor((2, 1, 3), seed), name)
        elif number == 13:
            yield make_record(tensor, name, float("nan"))
        else:
            yield make_record(tensor, f"neg/{shard}.wav" if number == 14 else name, timestamp_s)


def _damaged(frames: list[bytes], shard: int) -> bytes:
    payload = bytearray(frames[20])
    payload[len(payload) // 2] ^= 4
    frames[20] = bytes(payload)
    if shard % 3 == 0:
        frames[25] = frames[25][:3] + b"\x77" + frames[25][4:]
    if shard % 3 == 1:
        frames[-1] = frames[-1][:-900]
    if shard % 3 == 2:
        frames[30] = frames[30][:50] + frames[30][90:]
    return b"".join(frames)

"""Shards with damage of each kind, and with records that cannot be converted."""

from pathlib import Path

import numpy as np

from tests.helpers.conversions import A2O_NAMES
from tests.helpers.decoding import integers_feature
from tests.helpers.shards import (
    COMPRESS,
    frame,
    make_features,
    make_record,
    random_tensor,
    serialize,
    write_content,
    write_shard,
)

NAME = A2O_NAMES[0]


def record(seed: int, name: str | bytes = NAME, shape: tuple[int, ...] = (3, 2, 8)) -> bytes:
    """A record of its own time; now and then one of float16."""
    dtype = np.float16 if seed % 4 == 3 else np.float32
    return make_record(random_tensor(shape, seed, dtype), name, 60.0 * seed)


def rejected_records() -> list[bytes]:
    """Records of which each cannot be converted for another reason, between good ones."""
    features = make_features(random_tensor((3, 2, 8), 50), NAME, 3_000.0)
    without = {name: value for name, value in features.items() if name != "timestamp_s"}
    return [
        record(0),
        b"no example",
        serialize(without),
        serialize(without | {"timestamp_offset": integers_feature(1_920_000)}),
        make_record(random_tensor((3, 2, 8)), proto=b"no tensor"),
        record(1),
        record(40, shape=(3, 2, 9)),
        make_record(random_tensor((3, 2, 8)), timestamp_s=float("nan")),
        record(41, b"\xff.wav"),
        record(2),
    ]


def write_damaged(folder: Path) -> None:
    """Shards with damage of each kind."""
    frames = [frame(record(100 + n)) for n in range(5)]
    payload, length = bytearray(frames[1]), bytearray(frames[3])
    payload[len(payload) // 2] ^= 1
    length[9] ^= 1
    content = b"".join([frames[0], bytes(payload), frames[2], bytes(length), *frames[4:]])
    write_content(folder / "damaged-00000-of-00001", content)
    write_content(folder / "cut-00000-of-00001", frame(record(110)) + frame(record(111))[:-3])
    stream = COMPRESS["GZIP"](b"".join(frame(record(120 + n)) for n in range(5)))
    (folder / "stream-00000-of-00001").write_bytes(stream[: len(stream) // 2])


def write_good_and_bad(folder: Path) -> Path:
    """Write good records, the records of ``rejected_records``, and damage of each kind.

    The shards are ``good-00000-of-00001``, ``bad-00000-of-00001`` and those of ``write_damaged``.
    """
    good = [record(n, A2O_NAMES[n % 3]) for n in range(200, 230)]
    write_shard(folder / "good-00000-of-00001", good)
    write_shard(folder / "bad-00000-of-00001", rejected_records())
    write_damaged(folder)
    return folder

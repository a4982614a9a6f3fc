"""Ways in which the bytes of a shard get damaged."""

from collections.abc import Callable, Sequence

import numpy as np

Draw = np.random.Generator


def mutate(content: bytes, draw: Draw) -> bytes:
    """Damage bytes in one to four ways."""
    for _ in range(int(draw.choice([1, 1, 1, 2, 4]))):
        content = KINDS[int(draw.integers(len(KINDS)))](content, draw)
    return content


def flip_bits(content: bytes, draw: Draw) -> bytes:
    """Turn one bit, or a few."""
    found = bytearray(content)
    for place in _places(content, draw, int(draw.choice([1, 1, 5]))):
        found[place] ^= 1 << int(draw.integers(8))
    return bytes(found)


def truncate(content: bytes, draw: Draw) -> bytes:
    """Cut the end off."""
    return content[: int(draw.integers(len(content) + 1))]


def insert(content: bytes, draw: Draw) -> bytes:
    """Put foreign bytes in."""
    at = int(draw.integers(len(content) + 1))
    return content[:at] + draw.bytes(int(draw.choice([1, 4, 16, 700, 3000]))) + content[at:]


def remove(content: bytes, draw: Draw) -> bytes:
    """Take bytes out."""
    start, stop = _range(content, draw)
    return content[:start] + content[stop:]


def swap(content: bytes, draw: Draw) -> bytes:
    """Let two neighbouring blocks change places."""
    start, stop = _range(content, draw)
    middle = int(draw.integers(start, stop + 1))
    return content[:start] + content[middle:stop] + content[start:middle] + content[stop:]


def repeat(content: bytes, draw: Draw) -> bytes:
    """Write a block over what follows it."""
    start, stop = _range(content, draw)
    return content[:stop] + content[start:stop] + content[stop + stop - start :]


def zero(content: bytes, draw: Draw) -> bytes:
    """Fill a range with zeros, as a file system does after a crash."""
    start, stop = _range(content, draw)
    return content[:start] + bytes(stop - start) + content[stop:]


def scramble(content: bytes, draw: Draw) -> bytes:
    """Write random bytes over a range."""
    start, stop = _range(content, draw)
    return content[:start] + draw.bytes(stop - start) + content[stop:]


def cross_frames(content: bytes, draw: Draw) -> bytes:
    """Change a byte of a length or of its checksum, or next to them."""
    starts = _frame_starts(content)
    if not starts:
        return flip_bits(content, draw)
    at = starts[draw.integers(len(starts))] + int(draw.integers(-4, 13))
    at = min(max(at, 0), len(content) - 1)
    return content[:at] + draw.bytes(1) + content[at + 1 :]


KINDS: Sequence[Callable[[bytes, Draw], bytes]] = (
    flip_bits,
    truncate,
    insert,
    remove,
    swap,
    repeat,
    zero,
    scramble,
    cross_frames,
)


def _range(content: bytes, draw: Draw) -> tuple[int, int]:
    size = int(draw.choice([1, 8, 64, 1000, 5000]))
    start = int(draw.integers(len(content) + 1))
    return start, min(len(content), start + int(draw.integers(1, size + 1)))


def _places(content: bytes, draw: Draw, count: int) -> list[int]:
    return draw.integers(len(content), size=count).tolist() if content else []


def _frame_starts(content: bytes) -> list[int]:
    starts, at = [], 0
    while at + 16 <= len(content):
        starts.append(at)
        at += 16 + int.from_bytes(content[at : at + 8], "little")
    return starts

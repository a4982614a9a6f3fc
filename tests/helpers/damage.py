"""Reads damaged shards for tests, and damages them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from a20_parquet.tfrecord.frames import read_shard
from a20_parquet.tfrecord.records import PIECE_BYTES, Records
from a20_parquet.windows.rejection import Reason
from tests.helpers.shards import frame, open_shard

HEADER_BYTES = 12
FOOTER_BYTES = 4


@dataclass(frozen=True)
class Range:
    """One damaged range, its pieces joined."""

    number: int
    offset: int
    reason: Reason
    content: bytes
    message: str = ""


@dataclass(frozen=True)
class Whole:
    """One whole record."""

    number: int
    offset: int
    payload: bytes


def read_all(path: Path, batch_bytes: int) -> list[Range | Whole]:
    """Read a shard to its end, and check how batches and pieces join."""
    found: list[Range | Whole] = []
    pieces: list[bytes] = []
    for item in read_shard(open_shard(path), batch_bytes):
        if isinstance(item, Records):
            assert item.payloads
            assert not pieces
            assert sum(map(len, item.payloads[:-1])) < batch_bytes
            for index, payload in enumerate(map(bytes, item.payloads)):
                number = item.first + index
                assert b"".join(item.frame(number)) == frame(payload)
                assert item.offset(number) == item.offsets[index]
                found.append(Whole(number, item.offsets[index], payload))
            continue
        offset = item.offset - sum(map(len, pieces))
        assert len(item.content) == PIECE_BYTES if item.more else len(item.content) <= PIECE_BYTES
        pieces.append(item.content)
        if not item.more:
            content = b"".join(pieces)
            found.append(Range(item.number, offset, item.reason, content, item.message))
            pieces = []
    assert not pieces
    assert [item.number for item in found] == list(range(len(found)))
    return found


def join(found: list[Range | Whole]) -> bytes:
    """The decompressed bytes that were handed on."""
    parts = []
    for item in found:
        if isinstance(item, Whole):
            parts.append(frame(item.payload))
        elif item.reason is not Reason.BAD_STREAM:
            parts.append(item.content)
    return b"".join(parts)


def read_naively(content: bytes) -> list[Range | Whole]:
    """What a shard holds, byte by byte as the rules say it; slow, and apart from the package."""
    found: list[Range | Whole] = []
    at = 0
    while at < len(content):
        if payload := _payload_at(content, at):
            found.append(Whole(len(found), at, payload[0]))
            at += HEADER_BYTES + len(payload[0]) + FOOTER_BYTES
            continue
        reason, end = Reason.BAD_LENGTH, 0
        length = _length_at(content, at)
        if length is not None and length < 2**31:
            end = at + HEADER_BYTES + length + FOOTER_BYTES
            if end <= len(content):
                reason = Reason.BAD_PAYLOAD
        if reason is not Reason.BAD_PAYLOAD or not _is_one_record(content, at, end):
            is_cut = len(content) - at < HEADER_BYTES or end > len(content)
            end = at + 1
            while end < len(content) and not _payload_at(content, end):
                end += 1
            if is_cut and end == len(content):
                reason = Reason.TRUNCATED
        found.append(Range(len(found), at, reason, content[at:end]))
        at = end
    return found


def _is_one_record(content: bytes, at: int, end: int) -> bool:
    """Whether a frame is followed by another or by nothing, and holds none."""
    is_followed = end == len(content) or _length_at(content, end) is not None
    return is_followed and not any(_payload_at(content[:end], at) for at in range(at + 1, end))


def _length_at(content: bytes, at: int) -> int | None:
    header = content[at : at + HEADER_BYTES]
    # The checksum of a payload that is the length's bytes is the length's checksum.
    if len(header) < HEADER_BYTES or frame(header[:8])[-FOOTER_BYTES:] != header[8:]:
        return None
    return int.from_bytes(header[:8], "little")


def _payload_at(content: bytes, at: int) -> tuple[bytes] | None:
    length = _length_at(content, at)
    if length is None or at + HEADER_BYTES + length + FOOTER_BYTES > len(content):
        return None
    payload = content[at + HEADER_BYTES : at + HEADER_BYTES + length]
    return (payload,) if frame(payload) == content[at : at + len(payload) + 16] else None


def flip(content: bytearray, at: int, _size: int, bit: int) -> None:
    """Flip one bit."""
    content[at] ^= 1 << bit % 8


def zero(content: bytearray, at: int, size: int, _seed: int) -> None:
    """Overwrite a range with zeros."""
    content[at : at + size] = bytes(len(content[at : at + size]))


def overwrite(content: bytearray, at: int, size: int, seed: int) -> None:
    """Copy another part of the shard over a range."""
    part = content[seed % len(content) :][:size]
    content[at : at + len(part)] = part[: len(content) - at]


def insert(content: bytearray, at: int, size: int, seed: int) -> None:
    """Insert bytes, or a part of the shard itself."""
    content[at:at] = (
        bytes([seed % 256]) * size if seed % 2 else content[seed % len(content) :][:size]
    )


def remove(content: bytearray, at: int, size: int, _seed: int) -> None:
    """Remove bytes."""
    del content[at : at + size]


def cut(content: bytearray, at: int, _size: int, _seed: int) -> None:
    """Cut the end off."""
    del content[at:]


def swap(content: bytearray, at: int, size: int, seed: int) -> None:
    """Exchange two blocks."""
    other = seed % len(content)
    first, second = sorted((at, other))
    size = min(size, second - first, len(content) - second)
    here, there = content[first : first + size], content[second : second + size]
    content[first : first + size], content[second : second + size] = there, here


Mutation = Callable[[bytearray, int, int, int], None]
IN_PLACE: list[Mutation] = [flip, zero, overwrite, swap]
ALL: list[Mutation] = [*IN_PLACE, insert, remove, cut]

_plain_payloads = st.one_of(
    st.binary(max_size=40),
    st.builds(bytes, st.integers(0, 300)),
    st.builds(bytes.__mul__, st.binary(min_size=1, max_size=3), st.integers(1, 1_500)),
)
plain_payload_lists = st.lists(_plain_payloads, min_size=1, max_size=8)
payload_lists = st.lists(
    st.one_of(_plain_payloads, st.binary(max_size=20).map(frame)), min_size=1, max_size=8
)


@st.composite
def damaged(draw: st.DrawFn, payloads: list[bytes], mutations: list[Mutation]) -> bytes:
    """The bytes of a shard of ``payloads``, damaged one to four times."""
    content = bytearray(b"".join(map(frame, payloads)))
    starts = [0]
    for payload in payloads:
        starts.append(starts[-1] + len(frame(payload)))
    for mutate in draw(st.lists(st.sampled_from(mutations), min_size=1, max_size=4)):
        if not content:
            break
        # Most of a shard is payload: headers and borders get their share.
        near = draw(st.sampled_from(starts)) + draw(st.integers(-8, 14))
        anywhere = draw(st.integers(0, len(content) - 1))
        at = near if draw(st.booleans()) and 0 <= near < len(content) else anywhere
        size = draw(st.one_of(st.integers(1, 40), st.integers(1, 2_000)))
        mutate(content, at, size, draw(st.integers(0, 10_000)))
    return bytes(content)

"""One shard's bytes: which compression it has, and reading it from any filesystem."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.errors import SourceError
from a20_parquet.storage.read_ahead import Prefetch
from a20_parquet.tfrecord.compression import open_content
from a20_parquet.tfrecord.shard import (
    HEADER_BYTES,
    Codec,
    Shard,
    detect_codec,
    starts_with_frame,
)
from tests.helpers.shards import COMPRESS, frame, open_shard, write_content

CONTENT = frame(b"one") + frame(b"two")


@pytest.fixture
def memory() -> Iterator[Any]:
    """An empty filesystem in memory."""
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.rm("/", recursive=True)


def read_codec(shard: Shard) -> Codec:
    with open_content(shard) as content:
        return content.codec


def read_all(shard: Shard) -> bytes:
    buffer = bytearray(1 << 20)
    with open_content(shard) as content:
        count = content.readinto(memoryview(buffer))
        assert content.readinto(memoryview(bytearray(10))) == 0
        assert content.stored_bytes == shard.size
    return bytes(buffer[:count])


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_codec_is_told_from_content(tmp_path: Path, compression: str) -> None:
    """The first bytes decide the compression, whatever the file's name."""
    shard = open_shard(write_content(tmp_path / "shard.tfrecord.gz", CONTENT, compression))
    assert read_codec(shard) == Codec(compression)
    assert read_all(shard) == CONTENT


@pytest.mark.parametrize("level", range(10))
def test_zlib_levels(level: int) -> None:
    """Each level of zlib begins with another byte."""
    assert detect_codec(zlib.compress(CONTENT, level)[:HEADER_BYTES]) is Codec.ZLIB
    assert detect_codec(gzip.compress(CONTENT, level)[:HEADER_BYTES]) is Codec.GZIP


@pytest.mark.parametrize(
    "length",
    [
        pytest.param(0x8B1F, id="gzip magic"),
        pytest.param(0x088B1F, id="gzip magic and method"),
        pytest.param(0x0178, id="zlib 78 01"),
        pytest.param(0x5E78, id="zlib 78 5e"),
        pytest.param(0x9C78, id="zlib 78 9c"),
        pytest.param(0xDA78, id="zlib 78 da"),
        pytest.param(248, id="zlib header with a window too large"),
    ],
)
def test_plain_shard_that_begins_like_a_compressed_one(tmp_path: Path, length: int) -> None:
    """A first record whose length is another format's magic bytes is still a plain record."""
    content = frame(bytes(length))
    shard = open_shard(write_content(tmp_path / "shard", content))
    assert read_codec(shard) is Codec.NONE
    assert read_all(shard) == content


@given(st.binary(max_size=100))
def test_every_frame_is_known(payload: bytes) -> None:
    """Any record's frame is known for a plain shard, by its first twelve bytes and no fewer."""
    head = frame(payload)
    assert starts_with_frame(head)
    assert starts_with_frame(head[:HEADER_BYTES])
    assert not starts_with_frame(head[: HEADER_BYTES - 1])
    assert detect_codec(head) is Codec.NONE


@given(st.binary(max_size=HEADER_BYTES))
def test_any_bytes_have_a_codec(head: bytes) -> None:
    """No beginning of a file is an error yet."""
    assert detect_codec(head) in Codec


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_memory_filesystem(memory: Any, compression: str) -> None:
    """Shards are read from any fsspec filesystem."""
    stored = COMPRESS[compression](CONTENT)
    memory.pipe("/folder/shard", stored)
    shard = Shard("shard", "memory:///folder/shard", 0, "/folder/shard", len(stored), memory)
    assert read_all(shard) == CONTENT


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_file_url(tmp_path: Path, compression: str) -> None:
    """A file:// URL names a local file."""
    path = write_content(tmp_path / "shard", CONTENT, compression)
    filesystem, found = fsspec.core.url_to_fs(f"file://{path}")
    shard = Shard("shard", str(path), 0, found, path.stat().st_size, filesystem)
    assert read_all(shard) == CONTENT


def test_shard_that_is_gone(tmp_path: Path) -> None:
    """A shard that vanished since it was found is named."""
    shard = open_shard(write_content(tmp_path / "shard", CONTENT))
    (tmp_path / "shard").unlink()
    with pytest.raises(SourceError, match="shard: cannot be read"):
        read_codec(shard)
    with pytest.raises(SourceError, match="shard: cannot be read"):
        read_all(shard)


class _FailingFilesystem:
    """A store that goes away after the first block."""

    def __init__(self, stored: bytes) -> None:
        self._stored = stored

    def cat_file(self, _path: str, *, start: int, end: int) -> bytes:
        if start:
            raise TimeoutError("the store is gone")
        return self._stored[:end]


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_store_that_fails_while_read(compression: str) -> None:
    """A store that fails in the middle is an error of the source that names the shard."""
    stored = COMPRESS[compression](np.random.default_rng(0).bytes(10_000))
    store = _FailingFilesystem(stored)
    shard = Shard("shard", "store://shard", 0, "shard", len(stored), store)
    with open_content(shard, Prefetch(block_bytes=1000)) as content:
        assert content.codec == compression
        with pytest.raises(SourceError, match="store://shard: cannot be read: the store is gone"):
            content.readinto(memoryview(bytearray(20_000)))


def test_errors_of_others_stay_theirs(tmp_path: Path) -> None:
    """What goes wrong while a shard is open, like a full disk elsewhere, is not the shard's."""
    shard = open_shard(write_content(tmp_path / "shard", CONTENT))
    with pytest.raises(OSError, match="no space left"), open_content(shard):
        raise OSError("no space left")

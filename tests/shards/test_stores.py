"""Shards in stores: which requests finding and reading them takes, and what becomes of failures."""

import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from a20_parquet.errors import SourceError
from a20_parquet.shards.discover import find_shards
from a20_parquet.shards.perch_config import read_configs
from a20_parquet.storage.path import parse_path
from a20_parquet.storage.read_ahead import Prefetch
from a20_parquet.tfrecord.compression import open_content
from tests.helpers.fake_store import URL, FakeStore, Request, fake_store, reads, refuse
from tests.helpers.listings import CONTENT, labels
from tests.helpers.shards import COMPRESS, frame


@pytest.fixture
def store() -> Iterator[type[FakeStore]]:
    """An empty store."""
    with fake_store() as lent:
        yield lent


def lay(*names: str, content: bytes = CONTENT) -> None:
    """Put objects into the bucket."""
    for name in names:
        FakeStore.objects[f"bucket/{name}"] = content


def asked(kind: str) -> list[str]:
    """Paths of all requests of a kind."""
    return sorted(request.path for request in FakeStore.requests if request.kind == kind)


@pytest.mark.usefixtures("store")
def test_a_folder_is_listed_once() -> None:
    """Shards that are known by name are found by listing each folder once, and not read."""
    lay("in/a-00000-of-00002", "in/a-00001-of-00002", "in/deep/er/b.tfrecord", "in/config.json")
    listing = find_shards(f"{URL}/in")
    assert labels(listing) == ["a-00000-of-00002", "a-00001-of-00002", "b.tfrecord"]
    assert listing.shards[2].url == f"{URL}/in/deep/er/b.tfrecord"
    assert [config.path for config in listing.configs] == ["bucket/in/config.json"]
    assert asked("ls") == ["bucket/in", "bucket/in/deep", "bucket/in/deep/er"]
    assert asked("info") == ["bucket/in"]
    assert reads() == []


@pytest.mark.usefixtures("store")
def test_a_named_shard_is_looked_up_once() -> None:
    """So is the configuration beside it, which is read once."""
    lay("in/a-00000-of-00001", "in/other-00000-of-00001")
    lay("in/config.json", content=b'{"embed_fn_config": {"model_config": {"hop_size_s": 2.5}}}')
    listing = find_shards(f"{URL}/in/a-00000-of-00001")
    assert labels(listing) == ["a-00000-of-00001"]
    assert [shard.hop_s for shard in read_configs(listing).shards] == [2.5]
    assert asked("info") == ["bucket/in/a-00000-of-00001", "bucket/in/config.json"]
    assert asked("read") == ["bucket/in/config.json"]
    assert asked("ls") == []


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("pattern", "expected", "folders"),
    [
        ("in/*", ["a-00000-of-00001", "x.tfrecord", "y.tfrecord"], ["in", "in/p", "in/p/q"]),
        ("in/**", ["a-00000-of-00001", "x.tfrecord", "y.tfrecord"], ["in", "in/p", "in/p/q"]),
        ("in/a*", ["a-00000-of-00001"], ["in"]),
        ("in/**/[xy].*", ["x.tfrecord", "y.tfrecord"], ["in", "in/p", "in/p/q"]),
        ("in/*/?.tfrecord", ["x.tfrecord"], ["in", "in/p"]),
        ("i*/p", ["x.tfrecord", "y.tfrecord"], ["", "in", "in/p", "in/p/q"]),
    ],
)
def test_glob(pattern: str, expected: list[str], folders: list[str]) -> None:
    """A glob lists the folders that it may match in, those that it matches, and no others."""
    lay("in/a-00000-of-00001", "in/p/x.tfrecord", "in/p/q/y.tfrecord", "other/z.tfrecord")
    assert labels(find_shards(f"{URL}/{pattern}")) == expected
    assert set(asked("ls")) == {f"bucket/{folder}".rstrip("/") for folder in folders}


@pytest.mark.usefixtures("store")
def test_files_without_a_telling_name_are_asked_once() -> None:
    """One small request finds out whether a file is a shard, compressed or not."""
    large = b"".join(frame(bytes(1000)) for _ in range(200))
    lay("in/plain", content=large)
    lay("in/gzip", content=COMPRESS["GZIP"](large))
    lay("in/notes.txt", content=b"some text that is long enough" * 10_000)
    lay("in/tiny", content=b"tiny")
    assert labels(find_shards(f"{URL}/in")) == ["gzip", "plain"]
    assert asked("read") == ["bucket/in/gzip", "bucket/in/notes.txt", "bucket/in/plain"]
    assert max(stop for _, stop in reads()) <= 1 << 16


@pytest.mark.usefixtures("store")
def test_many_files_are_asked_at_once() -> None:
    """No request waits for the answer to another one, and the order is that of the names."""
    names = [f"in/{number:02}" for number in range(8)]
    lay(*names)
    together = threading.Barrier(len(names), timeout=10)

    def wait(request: Request) -> None:
        if request.kind == "read":
            together.wait()

    FakeStore.before.append(wait)
    assert labels(find_shards(f"{URL}/in")) == [name.removeprefix("in/") for name in names]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("kind", "ending", "source"),
    [
        ("info", "bucket/in", "in"),
        ("ls", "bucket/in", "in"),
        ("ls", "in/deep", "in"),
        ("ls", "bucket/in", "in/*.tfrecord"),
        ("ls", "in/deep", "in/**/*.tfrecord"),
        ("info", "x.tfrecord", "in/x.tfrecord"),
    ],
)
def test_what_a_store_refuses_is_told(kind: str, ending: str, source: str) -> None:
    """A folder that may not be listed is not taken for an empty or a missing one."""
    lay("in/x.tfrecord", "in/deep/y.tfrecord")
    refuse(kind, ending)
    with pytest.raises(SourceError, match=rf"^{URL}/in\S*: cannot be listed: access to \S+ is den"):
        find_shards(f"{URL}/{source}")


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "nowhere: does not exist"),
        ("in/nowhere", "in/nowhere: does not exist"),
        ("nowhere/*", r"nowhere/\*: nothing matches"),
        ("in/*.gz", r"in/\*.gz: nothing matches"),
    ],
)
def test_what_is_not_there_is_told(source: str, message: str) -> None:
    """A store has neither the file nor a folder of that name."""
    lay("in/x.tfrecord")
    with pytest.raises(SourceError, match=message):
        find_shards(f"{URL}/{source}")


@pytest.mark.usefixtures("store")
def test_a_configuration_that_may_not_be_looked_for_is_none() -> None:
    """Who may read a shard, but not list its folder, is refused what is not there."""
    lay("in/x.tfrecord")
    refuse("info", "config.json")
    assert find_shards(f"{URL}/in/x.tfrecord").configs == ()


@pytest.mark.usefixtures("store")
def test_a_file_that_may_not_be_read_is_told() -> None:
    """A nameless file that cannot be looked into is not silently passed over."""
    lay("in/x.tfrecord", "in/nameless")
    refuse("read", "nameless")
    with pytest.raises(SourceError, match=r"nameless: cannot be read: access to .* is denied"):
        find_shards(f"{URL}/in")


@pytest.mark.usefixtures("store")
def test_a_file_without_a_size_is_refused() -> None:
    """Without a file's size from the server, a cut file would go unnoticed."""
    lay("in/x.tfrecord")
    FakeStore.tells["size"] = None
    with pytest.raises(SourceError, match=r"x\.tfrecord: the server does not give its size"):
        find_shards(f"{URL}/in/x.tfrecord")


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", ["x.tfrecord", "z.tfrecord"]),
        ("in", ["x.tfrecord", "z.tfrecord"]),
        ("in/*", ["x.tfrecord", "z.tfrecord"]),
        ("in/out", ["y.tfrecord"]),
        ("in/out/quarantine/*", ["y.tfrecord"]),
    ],
)
def test_the_dataset_is_left_out(source: str, expected: list[str], tmp_path: Path) -> None:
    """A dataset below a source in the same store is none of its shards, unless it is named."""
    lay("in/x.tfrecord", "in/out/quarantine/y.tfrecord", "in/out2/z.tfrecord")
    dataset = parse_path(f"{URL}/in/out")
    assert labels(find_shards(f"{URL}/{source}", dataset)) == expected
    # A folder of this machine contains nothing of a store, whatever its path.
    everything = find_shards(f"{URL}/in", Path("/bucket/in/out"))
    assert len(everything.shards) == len(find_shards(f"{URL}/in", tmp_path).shards) == 3


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("told", "version"),
    [
        ({"ETag": '"9b2cf5"', "LastModified": "2024-05-01", "StorageClass": "S"}, '"9b2cf5"'),
        ({"etag": "CIj=", "generation": "1714", "md5Hash": "mbLP", "updated": "x"}, "1714"),
        ({"md5Hash": "mbLP", "updated": "2024-05-01"}, "mbLP"),
        ({"ETag": '"5f"', "mimetype": "x", "Last-Modified": "Wed"}, '"5f"'),
        ({"Last-Modified": "Wed, 01 May 2024"}, "Wed, 01 May 2024"),
        ({"last_modified": "2024-05-01", "etag": None}, "2024-05-01"),
        ({"mtime": 1714.5}, "1714.5"),
        ({"created": "2024-05-01"}, ""),
    ],
)
def test_versions(told: dict[str, Any], version: str) -> None:
    """The version of an object, by each store's name for it."""
    lay("in/x.tfrecord")
    FakeStore.tells.update(told)
    listed, named = (find_shards(f"{URL}/{source}").shards[0] for source in ("in", "in/x.tfrecord"))
    assert listed.version == named.version == version


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_content_is_streamed(compression: str) -> None:
    """All bytes come, each asked for once, in blocks of the size that was wanted."""
    content = b"".join(frame(str(number).encode() * 300) for number in range(100))
    stored = COMPRESS[compression](content)
    lay("in/x.tfrecord", content=stored)
    shard = pickle.loads(pickle.dumps(find_shards(f"{URL}/in").shards[0]))  # noqa: S301 - own
    buffer = bytearray(len(content) + 1)
    with open_content(shard, Prefetch(1000, blocks=3)) as opened:
        assert opened.codec == compression
        assert opened.readinto(memoryview(buffer)) == len(content)
        assert opened.stored_bytes == len(stored)
    assert buffer[:-1] == content
    starts = list(range(0, len(stored), 1000))
    assert sorted(reads()) == list(zip(starts, [*starts[1:], len(stored) + 1], strict=True))


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("change", [-1, 1, 5000])
def test_an_object_that_was_replaced_is_an_error(change: int) -> None:
    """An object of another size than when it was found is named, with what was expected."""
    lay("in/x.tfrecord", content=CONTENT * 100)
    shard = find_shards(f"{URL}/in").shards[0]
    lay("in/x.tfrecord", content=(CONTENT * 1000)[: shard.size + change])
    told = rf"^{URL}/in/x.tfrecord: cannot be read: bytes \d+ to \d+: expected \d+ bytes, got \d+\."
    with (
        pytest.raises(SourceError, match=told),
        open_content(shard, Prefetch(1000)) as opened,
    ):
        opened.readinto(memoryview(bytearray(shard.size)))

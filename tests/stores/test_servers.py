"""The servers do what the stores that they stand for do, as far as a conversion can see it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stores.servers import Store

pytestmark = pytest.mark.store

_CONTENTS = [b"", b"\r", b"a\r\n", b"\n\r\n--==0==\n\n", bytes(range(256)) * 5000]


@pytest.mark.parametrize("content", _CONTENTS, ids=len)
def test_what_was_put_is_there(store: Store, bucket: str, content: bytes) -> None:
    """Byte for byte, also where it looks like the end of something, under any name."""
    filesystem = store.open()
    filesystem.pipe_file(f"{bucket}/a b=ü/x", content)
    assert filesystem.cat_file(f"{bucket}/a b=ü/x") == content
    assert filesystem.info(f"{bucket}/a b=ü/x")["size"] == len(content)


def test_ranges(store: Store, bucket: str) -> None:
    """A range ends where the object does, and begins nowhere behind it."""
    filesystem = store.open()
    filesystem.pipe_file(f"{bucket}/x", b"0123456789")
    assert filesystem.cat_file(f"{bucket}/x", start=3, end=5) == b"34"
    assert filesystem.cat_file(f"{bucket}/x", start=8, end=50) == b"89"
    with pytest.raises(Exception, match=r"416|not satisfiable"):
        filesystem.cat_file(f"{bucket}/x", start=10, end=50)


def test_listing(store: Store, bucket: str) -> None:
    """Folders are prefixes, and copies and deletions show at once."""
    filesystem = store.open()
    for name in ("a/1", "a/b/2", "ab"):
        filesystem.pipe_file(f"{bucket}/{name}", name.encode())
    listed = {entry["name"]: entry["type"] for entry in filesystem.ls(bucket, detail=True)}
    assert listed == {f"{bucket}/a": "directory", f"{bucket}/ab": "file"}
    filesystem.cp_file(f"{bucket}/a/1", f"{bucket}/a/b/3")
    filesystem.rm_file(f"{bucket}/a/1")
    assert filesystem.find(f"{bucket}/a") == [f"{bucket}/a/b/2", f"{bucket}/a/b/3"]
    assert filesystem.cat_file(f"{bucket}/a/b/3") == b"a/1"


def test_nothing_there(store: Store, bucket: str) -> None:
    """Neither an object nor a bucket."""
    filesystem = store.open()
    for path in (f"{bucket}/x", f"{bucket}x/x"):
        with pytest.raises(FileNotFoundError):
            filesystem.cat_file(path)
    with pytest.raises(FileNotFoundError):
        filesystem.pipe_file(f"{bucket}x/x", b"x")


def test_an_upload_in_parts(store: Store, bucket: str) -> None:
    """It becomes one object."""
    filesystem = store.open()
    content = bytes(range(256)) * (12 << 12)  # 12 MiB
    parts = 5 << 20 if store.scheme == "s3" else 4 << 20
    filesystem.pipe_file(f"{bucket}/x", content, chunksize=parts)
    assert filesystem.cat_file(f"{bucket}/x") == content


def test_long_lists_come_in_pages(stores: dict[str, Store]) -> None:
    """The client of Google's store puts them together, and sees each name once."""
    filesystem = stores["gs"].open()
    filesystem.mkdir("pages")
    for name in ("a/1", "a/2", "b", "c/1", "d", "e"):
        filesystem.pipe_file(f"pages/{name}", b"")
    page = filesystem.call("GET", "b/{}/o", "pages", maxResults=2, json_out=True)
    assert [item["name"] for item in page["items"]] == ["a/1", "a/2"]
    found = filesystem.ls("pages", detail=False, items_per_call=2)
    assert found == [f"pages/{name}" for name in "abcde"]


def test_many_at_once(store: Store, bucket: str) -> None:
    """None loses what another one puts."""
    filesystem = store.open()

    def put(number: int) -> None:
        filesystem.pipe_file(f"{bucket}/{number}", b"%d" % number)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, range(50)))
    assert store.read(f"{store.scheme}://{bucket}") == {str(n): b"%d" % n for n in range(50)}

"""Every kind of request survives every kind of fault that passes."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from a20_parquet.storage import retries
from a20_parquet.storage import store as store_module
from a20_parquet.storage.files import remove_tree
from a20_parquet.storage.path import StorePath, parse_path
from tests.stores.deeds import Answer, CutAnswer, CutRequest, Deed, Drop, LoseAnswer
from tests.stores.servers import Store

pytestmark = pytest.mark.store

_CONTENT = bytes(range(256)) * 64
_PARTS = {"s3": {"chunksize": 1 << 18, "max_concurrency": 2}, "gs": {"chunksize": 4 << 20}}
_LARGE = {"s3": bytes(range(256)) * 2400, "gs": bytes(range(256)) * (6 << 12)}
"""Of three parts and of two: Google's client takes 5 MiB at the least."""
_READ_FAULTS: list[Deed] = [Answer(500), Drop(), CutAnswer(), CutAnswer(is_reset=False)]
_WRITE_FAULTS: list[Deed] = [Answer(503), CutRequest(), LoseAnswer()]


def _read(folder: StorePath) -> Any:
    return (folder / "x").read_bytes()


def _read_range(folder: StorePath) -> Any:
    return folder.filesystem.read_range(f"{folder.path}/x", 100, 5000)


def _read_as_a_file(folder: StorePath) -> Any:
    with folder.filesystem.open(f"{folder.path}/x") as file:
        file.seek(10_000)
        return file.read()


def _info(folder: StorePath) -> Any:
    return folder.filesystem.info(f"{folder.path}/x")["size"]


def _ask_what_it_is(folder: StorePath) -> Any:
    return [(folder / name).is_dir() for name in ("inner", "none")]


def _list(folder: StorePath) -> Any:
    return sorted(inner.name for inner in (folder / "inner").iterdir())


def _find(folder: StorePath) -> Any:
    return [path.rpartition("/")[2] for path in folder.filesystem.find(folder.path)]


def _put(folder: StorePath) -> Any:
    folder.filesystem.pipe_file(f"{folder.path}/y", _CONTENT)


def _put_large(folder: StorePath, file: Path) -> Any:
    folder.filesystem.put_file(str(file), f"{folder.path}/y")


def _copy(folder: StorePath) -> Any:
    folder.filesystem.cp_file(f"{folder.path}/x", f"{folder.path}/y")


def _delete(folder: StorePath) -> Any:
    (folder / "x").unlink(missing_ok=True)


def _delete_all(folder: StorePath) -> Any:
    remove_tree(folder / "inner")


_READING = [_read, _read_range, _read_as_a_file, _info, _ask_what_it_is, _list, _find]
_WRITING = [_put, _copy, _delete, _delete_all]
_NAMES = itertools.count()


@pytest.fixture
def make_folder(
    store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], StorePath]:
    """Makes folders that each hold a file and a folder of two; none waits before it tries again."""
    monkeypatch.setattr(retries, "_FIRST_WAIT_S", 1e-4)
    monkeypatch.setattr(store_module, "_PUT_OPTIONS", _PARTS)

    def make() -> StorePath:
        url = f"{store.scheme}://{bucket}/{next(_NAMES)}"
        for name in ("x", "inner/1", "inner/2"):
            store.open().pipe_file(f"{url}/{name}", _CONTENT)
        folder = parse_path(url)
        assert isinstance(folder, StorePath)
        store.proxy.clear()
        return folder

    return make


def _name(doing: Callable[..., Any]) -> str:
    return doing.__name__.strip("_")


@pytest.mark.parametrize("doing", _READING, ids=_name)
def test_reading(
    store: Store, make_folder: Callable[[], StorePath], doing: Callable[[StorePath], Any]
) -> None:
    """Whichever of its requests fails, the answer is the same."""
    folder = make_folder()
    expected, requests = doing(folder), len(store.proxy.log)
    for number, deed in itertools.product(range(requests), _READ_FAULTS):
        store.proxy.clear()
        store.proxy.inject(deed, skip=number)
        assert doing(folder) == expected, (number, deed)


@pytest.mark.parametrize("doing", _WRITING, ids=_name)
def test_writing(
    store: Store, make_folder: Callable[[], StorePath], doing: Callable[[StorePath], Any]
) -> None:
    """Whichever of its requests fails, what lies there in the end is the same."""
    folder = make_folder()
    before = store.digests(str(folder))
    doing(folder)
    requests, after = len(store.proxy.log), store.digests(str(folder))
    assert after != before
    for number, deed in itertools.product(range(requests), _WRITE_FAULTS):
        again = make_folder()
        store.proxy.inject(deed, skip=number)
        doing(again)
        assert store.digests(str(again)) == after, (number, deed)


def test_uploads_in_parts(
    store: Store, make_folder: Callable[[], StorePath], tmp_path: Path
) -> None:
    """Whichever part fails, the object is whole in the end, and only then there."""
    # S3's answer to the last request may be lost: the upload that it ended is not there any more.
    file = tmp_path / "large"
    file.write_bytes(_LARGE[store.scheme])
    folder = make_folder()
    _put_large(folder, file)
    requests = len(store.proxy.log)
    assert requests > 2
    for number, deed in itertools.product(range(requests), _WRITE_FAULTS):
        store.proxy.clear()
        store.proxy.inject(deed, skip=number)
        _put_large(folder, file)
        assert store.open().cat_file(f"{folder.path}/y") == _LARGE[store.scheme], (number, deed)

"""Stores that tests share."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import a20_parquet
from tests.stores.conversions import (
    OPTIONS,
    comparable,
    make_impatient,
    read_folder,
    use_small_memory,
    write_messy,
)
from tests.stores.servers import CREDENTIALS, Store, started

# gcsfs reads this when it is imported.
os.environ.setdefault(
    "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", CREDENTIALS["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"]
)
_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def stores() -> Iterator[dict[str, Store]]:
    """Both stores, by their URLs' schemes."""
    with started("s3") as s3, started("gs") as gs:
        yield {"s3": s3, "gs": gs}


@pytest.fixture
def reachable(stores: dict[str, Store], monkeypatch: pytest.MonkeyPatch) -> dict[str, Store]:
    """Both stores; this process reaches them through their proxies, which do no harm yet."""
    from fsspec.config import conf

    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for store in stores.values():
        store.proxy.clear()
        monkeypatch.setitem(conf, store.protocol, store.configuration)
    return stores


@pytest.fixture(params=["s3", "gs"])
def store(reachable: dict[str, Store], request: pytest.FixtureRequest) -> Iterator[Store]:
    """Each of the two stores."""
    found: Store = reachable[request.param]
    yield found
    found.proxy.clear()


@pytest.fixture
def bucket(store: Store) -> str:
    """The name of an empty bucket."""
    name = f"bucket-{next(_NUMBERS)}"
    store.open().mkdir(name)
    return name


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody wait before a request is tried again, nor long for a lock."""
    make_impatient(monkeypatch)


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have conversions write runs, and merge each partition by itself."""
    use_small_memory(monkeypatch)


@pytest.fixture(scope="session")
def messy(tmp_path_factory: pytest.TempPathFactory, shuffled: Path) -> Path:
    """A folder of four shards, see ``write_messy``; not to be changed."""
    return write_messy(tmp_path_factory.mktemp("messy") / "in", shuffled)


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory, messy: Path) -> Path:
    """The dataset that they become on this machine."""
    folder = tmp_path_factory.mktemp("local") / "out"
    a20_parquet.convert(messy, folder, **OPTIONS)
    return folder


@pytest.fixture(scope="session")
def expected(local: Path) -> dict[str, str]:
    """What must be the same in a store; see ``comparable``."""
    return comparable(read_folder(local))

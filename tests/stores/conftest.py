"""Stores that tests share."""

import itertools
import os
from collections.abc import Iterator

import pytest

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
        monkeypatch.setitem(conf, {"s3": "s3", "gs": "gcs"}[store.scheme], store.configuration)
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

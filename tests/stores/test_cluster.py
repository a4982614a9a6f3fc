"""A Dask cluster converts from one store to another."""

from pathlib import Path

import pytest

import a20_parquet
from tests.stores.conversions import OPTIONS, comparable
from tests.stores.deeds import Answer
from tests.stores.servers import Store

pytestmark = [pytest.mark.store, pytest.mark.cluster]


@pytest.mark.usefixtures("impatient", "small_memory")
def test_from_store_to_store(
    reachable: dict[str, Store],
    messy: Path,
    expected: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Runs and markers lie there too; workers repeat requests, and the client tells how many."""
    gs, s3 = reachable["gs"], reachable["s3"]
    for store in (gs, s3):
        store.open().mkdir("bucket-of-workers")
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
    source = gs.put(messy, "bucket-of-workers/in")
    s3.proxy.inject(Answer(503), "GET", "/conversion/runs/", times=3, every=5)
    conversion = a20_parquet.convert(
        source, "s3://bucket-of-workers/out", dask="local:2", **OPTIONS
    )
    assert conversion.runs_on_disk > 2
    assert conversion.retries >= 3
    assert comparable(s3.read("s3://bucket-of-workers/out")) == expected

"""Conversions whose requests fail: the same dataset, or a clear end that goes on later."""

from pathlib import Path

import pytest

import a20_parquet
from a20_parquet.errors import A20ParquetError, DatasetError, SourceError
from tests.stores.conversions import OPTIONS, comparable
from tests.stores.deeds import Answer, CutAnswer, CutRequest, Deed, Drop, LoseAnswer, Slow
from tests.stores.servers import Store

pytestmark = [pytest.mark.store, pytest.mark.usefixtures("impatient", "small_memory")]

_ALL: list[Deed] = [
    Answer(500),
    Answer(503),
    Drop(),
    LoseAnswer(),
    CutRequest(),
    CutAnswer(),
    CutAnswer(3000, is_reset=False),
    Slow(chunk=8000, wait_s=0.001),
]


@pytest.mark.parametrize(("store", "first"), [("s3", 0), ("gs", 0), ("gs", 11)], indirect=["store"])
def test_faults_that_pass(
    store: Store, bucket: str, messy: Path, expected: dict[str, str], first: int
) -> None:
    """Every fifth request or so fails in one way or another, and nothing shows it but a number."""
    source, out = store.put(messy, f"{bucket}/in"), f"{store.scheme}://{bucket}/out"
    for number, deed in enumerate(_ALL):
        store.proxy.inject(deed, skip=first + 5 * number, times=None, every=5 * len(_ALL))
    conversion = a20_parquet.convert(source, out, **OPTIONS)
    faults = [request.fault for request in store.proxy.log if request.fault]
    assert {type(fault) for fault in faults} == {type(deed) for deed in _ALL}
    assert conversion.retries > len(faults) // 4
    store.proxy.clear()
    assert comparable(store.read(out)) == expected


_PERMANENT: dict[str, tuple[str, str, int, type[A20ParquetError]]] = {
    "shards are read": ("GET", "/in/embeddings", 5, SourceError),
    "runs are put": ("PUT|POST", r"/conversion/runs/", 1, DatasetError),
    "runs are read": ("GET", r"/conversion/runs/", 5, A20ParquetError),
    "data files are put": ("PUT|POST", r"/data/", 3, DatasetError),
    "markers are put": ("PUT|POST", r"/conversion/(sorted|units)/", 5, DatasetError),
    "the manifest is put": ("PUT|POST", r"out/manifest\.json", 0, DatasetError),
    "it is cleaned up": ("DELETE|POST", r"\?delete|/conversion/", 0, DatasetError),
}


@pytest.mark.parametrize(
    ("store", "what"),
    [("gs", what) for what in _PERMANENT] + [("s3", what) for what in list(_PERMANENT)[::3]],
    indirect=["store"],
)
def test_faults_that_last(
    store: Store, bucket: str, messy: Path, expected: dict[str, str], what: str
) -> None:
    """The conversion ends with one clear line, and the same command finishes it later."""
    method, target, skip, kind = _PERMANENT[what]
    deed = Answer(503) if store.scheme == "s3" else Drop()
    source, out = store.put(messy, f"{bucket}/in"), f"{store.scheme}://{bucket}/out"
    store.proxy.inject(deed, method, target, skip=skip, times=None)
    with pytest.raises(kind) as caught:
        a20_parquet.convert(source, out, **OPTIONS)
    assert "\n" not in str(caught.value)
    assert f"{store.scheme}://{bucket}" in str(caught.value)
    store.proxy.clear()
    a20_parquet.convert(source, out, **OPTIONS)
    assert comparable(store.read(out)) == expected

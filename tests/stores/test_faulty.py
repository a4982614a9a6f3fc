"""Conversions whose requests fail: the same dataset, or a clear end that goes on later."""

from pathlib import Path

import pytest

import a20_parquet
from a20_parquet.errors import A20ParquetError, DatasetError, SourceError
from tests.stores.conversions import OPTIONS, comparable
from tests.stores.deeds import Answer, CutAnswer, CutRequest, Deed, Drop, LoseAnswer, Slow
from tests.stores.servers import Store

pytestmark = pytest.mark.usefixtures("impatient", "small_memory")

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


@pytest.mark.parametrize("first", [0, 11])
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


_LASTING = {
    "sources": ("GET", "/in/", SourceError),
    "runs": ("PUT|POST", r"/conversion/runs/", DatasetError),
    "runs are read": ("GET", r"/conversion/runs/", A20ParquetError),
    "data": ("PUT|POST", r"/data/", DatasetError),
    "markers": ("PUT|POST", r"/conversion/(sorted|units)/", DatasetError),
    "the manifest": ("PUT|POST", r"/manifest\.json", DatasetError),
    "deletions": ("DELETE|POST", r"\?delete|/o/.*/conversion/", DatasetError),
}


@pytest.mark.parametrize("what", _LASTING)
def test_faults_that_last(
    store: Store, bucket: str, messy: Path, expected: dict[str, str], what: str
) -> None:
    """The conversion ends with one clear line, and the same command finishes it later."""
    method, target, kind = _LASTING[what]
    deed = Answer(503) if store.scheme == "s3" else Drop()
    source, out = store.put(messy, f"{bucket}/in"), f"{store.scheme}://{bucket}/out"
    store.proxy.inject(deed, method, target, skip=1, times=None)
    with pytest.raises(kind) as caught:
        a20_parquet.convert(source, out, **OPTIONS)
    assert "\n" not in str(caught.value)
    assert f"{store.scheme}://{bucket}" in str(caught.value)
    store.proxy.clear()
    a20_parquet.convert(source, out, **OPTIONS)
    assert comparable(store.read(out)) == expected

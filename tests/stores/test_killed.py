"""Conversions that are killed: the same command goes on, and does again only what was not done."""

import re
from pathlib import Path

import pytest

import a20_parquet
from tests.stores.conversions import OPTIONS, comparable
from tests.stores.deeds import Hold
from tests.stores.killable import converting
from tests.stores.servers import Store

pytestmark = [pytest.mark.store, pytest.mark.usefixtures("impatient", "small_memory")]

_UPLOAD = "PUT|POST"
_SORTED, _MERGED = r"/conversion/sorted/", r"/conversion/units/"
_MARKERS = r"conversion/(sorted|units)/"
_BEFORE_ANY = {"before it begins", "while a shard is read", "before a run is there"}
_MOMENTS = {
    "before it begins": (_UPLOAD, r"/conversion/plan\.json", 0),
    "while a shard is read": ("GET", r"/in/embeddings-00002", 1),
    "before a run is there": (_UPLOAD, r"/conversion/runs/", 2),
    "before the marker of runs": (_UPLOAD, _SORTED, 1),
    "while a run is read": ("GET", r"/conversion/runs/", 20),
    "before a data file is there": (_UPLOAD, r"/data/", 4),
    "before the marker of data files": (_UPLOAD, _MERGED, 2),
    "before it is said what commits": (_UPLOAD, r"/conversion/commit\.json", 0),
    "before the manifest is there": (_UPLOAD, r"out/manifest\.json", 0),
    "before it is cleaned up": ("DELETE|POST", r"\?delete|/o/.*/conversion/", 0),
}


@pytest.mark.parametrize(
    ("store", "moment"),
    [("gs", moment) for moment in list(_MOMENTS)[::2]]
    + [("s3", moment) for moment in list(_MOMENTS)[1::4]],
    indirect=["store"],
)
def test_goes_on(
    store: Store, bucket: str, messy: Path, expected: dict[str, str], moment: str
) -> None:
    """Whenever it is killed: nothing is lost, and no unit that was done is done again."""
    source, out = store.put(messy, f"{bucket}/in"), f"{store.scheme}://{bucket}/out"
    method, target, skip = _MOMENTS[moment]
    hold = Hold()
    store.proxy.inject(hold, method, target, skip=skip)
    with converting(source, out, {store.protocol: store.configuration}, **OPTIONS):
        assert hold.reached.wait(60), [request.target for request in store.proxy.log]
    store.proxy.clear()
    left = store.read(out)
    conversion = a20_parquet.convert(source, out, **OPTIONS)
    assert conversion.is_resumed == ("conversion/plan.json" in left and "manifest.json" not in left)
    markers = [path for path in left if re.search(_MARKERS, path)]
    assert markers or moment in _BEFORE_ANY
    for marker in markers:
        assert store.proxy.count(_UPLOAD, re.escape(f"out/{marker}") + "$") == 0
    assert comparable(store.read(out)) == expected

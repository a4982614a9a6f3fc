"""Numbers that make no sense are refused by every public function, in the package's own words."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.errors import UsageError

_HUGE = 10**30
_NO_WORKERS = (0, -1, _HUGE, 2.5, math.nan, math.inf, True, "2")
_NO_COUNT = (0, -1, _HUGE, 2.5, math.nan, math.inf, True, "2")
_NO_TIME = (0, -1, math.nan, math.inf, -math.inf, True, "5")
_NO_SIZE = (0, -1, math.nan, math.inf, "", "nan", "5XB", "-5MB")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, shuffled: Path) -> dict[str, Path]:
    """Shards, and a dataset of them."""
    out = tmp_path_factory.mktemp("numbers") / "out"
    a20_parquet.convert(shuffled, out, decoder="wire")
    return {"shards": shuffled, "dataset": out, "new": out.parent / "new"}


def _convert(places: dict[str, Path], **options: Any) -> Any:
    return a20_parquet.convert(places["shards"], places["new"], decoder="wire", **options)


def _read_windows(places: dict[str, Path], **options: Any) -> Any:
    reader = a20_parquet.read_windows(places["shards"], decoder="wire", **options)
    return reader.read_all()


def _similar(places: dict[str, Path], **options: Any) -> Any:
    return a20_parquet.similar(places["dataset"], [1.0] * 16, **options)


def _verify(places: dict[str, Path], **options: Any) -> Any:
    return a20_parquet.verify(places["dataset"], **options)


def _duckdb(places: dict[str, Path], **options: Any) -> Any:
    return a20_parquet.duckdb(places["dataset"], places["new"], **options)


def _npy_json(places: dict[str, Path], **options: Any) -> Any:
    return a20_parquet.npy_json(places["shards"], places["new"], **options)


def _plan(places: dict[str, Path], **options: Any) -> Any:
    return a20_parquet.plan(places["shards"], **options)


_OPTIONS: dict[Callable[..., Any], dict[str, tuple[Any, ...]]] = {
    _convert: {
        "workers": (0, -1, _HUGE, 2.5, math.nan, math.inf),
        "memory": _NO_SIZE,
        "max_file_size": _NO_SIZE,
        "row_group_rows": (0, -1, 2.5, math.nan),
        "window_seconds": (0, -1, math.nan, math.inf, -math.inf),
        "sample_rate": (0, -1, math.nan, math.inf),
        "dims": (0, -1, 2.5, math.nan),
        "max_errors": (-1, 2.5, math.nan),
        "channels": ([-1], [_HUGE], [2.5]),
    },
    _read_windows: {
        "batch_bytes": (*_NO_COUNT, 1 << 40),
        "window_seconds": _NO_TIME,
        "sample_rate": (0, -1, math.nan, math.inf),
    },
    _similar: {"top": _NO_COUNT, "channel": (-1, _HUGE, 2.5, math.nan, True)},
    _verify: {"workers": _NO_WORKERS},
    _duckdb: {"workers": _NO_WORKERS, "memory": _NO_SIZE},
    _npy_json: {"workers": _NO_WORKERS, "sample_rate": (0, -1, math.nan, math.inf)},
    _plan: {"sample": _NO_COUNT, "rate": _NO_TIME, "workers": (0, -1, _HUGE)},
}
_CASES = [
    (function, option, value)
    for function, options in _OPTIONS.items()
    for option, values in options.items()
    for value in values
]


@pytest.mark.parametrize(("function", "option", "value"), _CASES)
def test_refused(
    places: dict[str, Path], function: Callable[..., Any], option: str, value: Any
) -> None:
    """One line names the option; nothing is written."""
    with pytest.raises(UsageError) as caught:
        function(places, **{option: value})
    assert "\n" not in str(caught.value)
    assert option in str(caught.value) or "not a valid size" in str(caught.value)
    assert not places["new"].exists()


def test_the_largest_that_are_taken(places: dict[str, Path]) -> None:
    """More than there is to do costs nothing."""
    assert a20_parquet.verify(places["dataset"], workers=1024).is_good
    assert len(_similar(places, top=1 << 40)) > 10
    assert _read_windows(places, batch_bytes=1 << 25).num_rows > 10

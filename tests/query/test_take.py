"""``take`` gives the windows of a list, in its order, as plain polars finds them."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import a20_parquet
from a20_parquet.errors import UsageError
from a20_parquet.query import take as take_module
from tests.helpers.recordings import NAMES, write_recordings
from tests.helpers.shards import make_record, random_tensor, write_shard

KEYS = ["filename", "recording_offset_in_file", "channel"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By site, with row groups of a few rows."""
    root = tmp_path_factory.mktemp("take")
    shards = write_recordings(root / "in")
    a20_parquet.convert(shards, root / "out", partition_by="site", row_group_rows=7, decoder="wire")
    return root / "out"


@pytest.fixture(scope="module")
def windows(dataset: Path) -> pl.DataFrame:
    """All windows, as polars alone reads them."""
    scanned = pl.scan_parquet(dataset / "data", hive_partitioning=True)
    return scanned.collect()


def bits(embeddings: Any) -> Any:
    return np.asarray(embeddings, np.float32).view(np.uint32)


@pytest.mark.parametrize("batch_bytes", [1, 1 << 26])
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_list(
    dataset: Path,
    windows: pl.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    batch_bytes: int,
    data: st.DataObject,
) -> None:
    """In the order of the list, also repeated; offsets may be a little off, rows be missing."""
    monkeypatch.setattr(take_module, "_BATCH_BYTES", batch_bytes)
    rows = data.draw(st.lists(st.integers(0, len(windows) - 1), max_size=30))
    shifts = data.draw(st.lists(st.sampled_from([0.0, 4e-4, -4e-4]), min_size=30, max_size=30))
    absent = data.draw(st.lists(st.booleans(), min_size=30, max_size=30))
    channels = windows["channel"].to_list()
    items, expected = [], []
    for row, shift, is_absent in zip(rows, shifts, absent, strict=False):
        name, offset_s, channel = windows.select(KEYS).row(row)
        items.append((name, offset_s + shift + (0.01 if is_absent else 0), channel))
        expected.append(None if is_absent else row)
    found = a20_parquet.take(dataset, items, missing="null")
    whole = windows.select(pl.all().gather(pl.Series(expected, dtype=pl.UInt32)))
    lacks = pl.Series([row is None for row in expected], dtype=pl.Boolean)
    given_keys = pl.DataFrame(items, schema=windows.select(KEYS).schema, orient="row")
    whole = whole.with_columns(
        pl.when(lacks).then(given_keys[key]).otherwise(key).alias(key) for key in KEYS
    )
    assert found.schema == a20_parquet.scan(dataset).collect_schema()
    assert_frame_equal(found, whole.select(found.columns))
    array = a20_parquet.take_numpy(dataset, items, missing="null")
    assert array.shape == (len(items), 16)
    assert array.flags.writeable
    for given_row, embedding in zip(expected, array, strict=True):
        if given_row is None:
            assert np.isnan(embedding).all()
        else:
            assert (bits(embedding) == bits(windows["embedding"][given_row].to_numpy())).all()
    assert channels


def test_forms_of_a_list(dataset: Path, windows: pl.DataFrame) -> None:
    """Tuples with and without a channel, lists and frames name the same windows."""
    some = windows.filter(pl.col("channel") == 1).select(KEYS).head(4)
    pairs = [(name, offset_s) for name, offset_s, _ in some.rows()]
    expected = a20_parquet.take(dataset, some.rows(), columns=["embedding", "channel", "site"])
    assert expected.columns == ["embedding", "channel", "site"]
    assert expected["channel"].to_list() == [1] * 4
    for listed in (pairs, iter(pairs), [list(pair) for pair in pairs], some, some.drop("channel")):
        found = a20_parquet.take(
            str(dataset), listed, columns=["embedding", "channel", "site"], channel=1
        )
        assert_frame_equal(found, expected)
    of_zero = a20_parquet.take(dataset, pairs, columns=["channel"])
    assert of_zero["channel"].to_list() == [0] * 4
    assert len(a20_parquet.take(dataset, [])) == 0
    assert a20_parquet.take_numpy(dataset, []).shape == (0, 16)


@pytest.mark.parametrize(
    ("items", "options", "message"),
    [
        ([("x", 1.0)], {}, "lacks 1 of 1 window: x@1 in channel 0. Leave them out, or give"),
        ([(f"x{n}", n) for n in range(7)], {}, "lacks 7 of 7 windows: x0@0 in channel 0, .*, …"),
        ([(NAMES[0], 0.1, 9)], {}, "in channel 9"),
        ([("x",)], {}, r"\('x',\) does not name a window, expected \(filename, offset"),
        (["abc"], {}, "'abc' does not name a window"),
        ([(1, 2.0)], {}, r"\(1, 2.0\) does not name a window"),
        ([("x", "y")], {}, "does not name a window"),
        ([("x", float("nan"))], {}, "does not name a window: each value must be given, and finite"),
        ([("x", 1.0, 1 << 20)], {}, "the list of windows cannot be read"),
        (pl.DataFrame({"filename": ["x"]}), {}, "the list of windows cannot be read"),
        ([], {"columns": ["nothing"]}, "has no column 'nothing'. It has embedding, filename"),
        ([], {"columns": ["site", "site"]}, "the column site is named 2 times"),
        ([], {"channel": -1}, "channel"),
        ([], {"missing": "ignore"}, "missing is 'ignore', expected 'error' or 'null'"),
    ],
)
def test_mistakes(dataset: Path, items: Any, options: Any, message: str) -> None:
    """One line that names the window, or what was expected."""
    with pytest.raises(UsageError, match=message):
        a20_parquet.take(dataset, items, **options)


def test_of_a_window_that_is_there_twice_the_first_is_taken(tmp_path: Path) -> None:
    """Duplicates that a conversion kept do not make further rows."""
    for shard in range(2):
        records = [make_record(random_tensor((2, 1, 4), shard), NAMES[0], 0.0)]
        write_shard(tmp_path / "in" / f"{shard}.tfrecord", records)
    a20_parquet.convert(tmp_path / "in", tmp_path / "out", decoder="wire")
    found = a20_parquet.take_numpy(tmp_path / "out", [(NAMES[0], 5.0)])
    assert len(a20_parquet.scan(tmp_path / "out").collect()) == 4
    assert (bits(found[0]) == bits(random_tensor((2, 1, 4), 0)[1, 0])).all()


def test_other_files_are_not_opened(dataset: Path, tmp_path: Path) -> None:
    """What a list does not name may be lost; a damaged file that it names is an error."""
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    kept = copy / "data" / "site=site_0286"
    for path in (copy / "data").rglob("*.parquet"):
        if kept not in path.parents:
            path.unlink()
    name = next(name for name in NAMES if name.startswith("site_0286"))
    found = a20_parquet.scan(copy).filter(filename=name).collect()
    assert len(found) > 3
    items = found.select(KEYS).rows()[::-1]
    assert_frame_equal(a20_parquet.take(copy, items), found.reverse())

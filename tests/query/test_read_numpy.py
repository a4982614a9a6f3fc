"""Windows as NumPy arrays: those that polars gives, whole or batch by batch."""

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import a20_parquet
from a20_parquet.errors import UsageError
from tests.helpers.recordings import write_recordings

channel = pl.col("channel")
FILTERS: list[pl.Expr | None] = [
    None,
    pl.col("site") == "site_0285",
    channel == 0,
    (channel == 1) & pl.col("filename").str.contains("Arkaba"),
    pl.col("embedding").arr.get(0) > 0,
    pl.col("site") == "nowhere",
    channel > 7,
]


@pytest.fixture(scope="module", params=["site", "site,date"])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Row groups of a few rows, and compressed pages for one of the partitionings."""
    root = tmp_path_factory.mktemp("numpy")
    a20_parquet.convert(
        write_recordings(root / "in"),
        root / "out",
        partition_by=request.param,
        compression="none" if request.param == "site" else "zstd",
        row_group_rows=5,
        decoder="wire",
    )
    return root / "out"


@pytest.fixture(params=[1, 16 << 20])
def _batch_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of one row group, and of all."""
    for name in ("_ARRAY_BATCH_BYTES", "_BLOCK_BYTES"):
        monkeypatch.setattr(f"a20_parquet.query.read_numpy.{name}", request.param)


def windows(dataset: Path, where: pl.Expr | None) -> tuple[pl.DataFrame, Any]:
    """Metadata and bits of embeddings, as polars alone reads them."""
    scanned = pl.scan_parquet(dataset / "data", hive_partitioning=True)
    found = scanned.filter(pl.lit(value=True) if where is None else where).collect()
    assert found.schema["embedding"] == pl.Array(pl.Float32, 16)
    return found.drop("embedding"), found["embedding"].to_numpy().view(np.uint32)


@pytest.mark.usefixtures("_batch_bytes")
@pytest.mark.parametrize("where", FILTERS, ids=str)
def test_read_numpy(dataset: Path, where: pl.Expr | None) -> None:
    """Row by row, writable and contiguous, with any metadata."""
    metadata, floats = windows(dataset, where)
    for columns in (None, ["window_start", "site"], []):
        found, array = a20_parquet.read_numpy(dataset, where, columns=columns)
        assert array.dtype == np.float32
        assert array.flags.writeable
        assert array.flags.c_contiguous
        assert (array.view(np.uint32) == floats).all()
        assert array.shape == floats.shape
        if columns != []:
            assert_frame_equal(found, metadata.select(columns or found.columns))


@pytest.mark.usefixtures("_batch_bytes")
@pytest.mark.parametrize("where", FILTERS, ids=str)
@pytest.mark.parametrize("parts", [1, 3])
def test_iter_numpy(dataset: Path, where: pl.Expr | None, parts: int) -> None:
    """All parts together have each window once, in order or shuffled by the seed."""
    metadata, floats = windows(dataset, where)
    expected = sorted(zip(metadata.rows(), floats.tolist(), strict=True), key=repr)
    orders = []
    for seed in (None, 1, 1, 2):
        frames, arrays = [], []
        for number in range(parts):
            batches = list(
                a20_parquet.iter_numpy(dataset, where, rows=7, seed=seed, part=(number, parts))
            )
            assert all(len(array) == 7 for _, array in batches[:-1])
            for frame, array in batches:
                assert len(frame) == len(array)
                assert array.flags.writeable
            frames += [frame.rows() for frame, _ in batches]
            arrays += [array.view(np.uint32).tolist() for _, array in batches]
        found = [
            pair
            for frame, array in zip(frames, arrays, strict=True)
            for pair in zip(frame, array, strict=True)
        ]
        assert sorted(found, key=repr) == expected
        orders.append(list(map(repr, found)))
    assert orders[1] == orders[2]
    if len(expected) > 20:
        assert orders[1] != orders[3]
        assert parts > 1 or orders[1] != orders[0]
    if parts == 1:
        assert [row for row, _ in zip(metadata.rows(), floats, strict=True)] == [
            row for frame in _frames(dataset, where) for row in frame.rows()
        ]


def _frames(dataset: Path, where: pl.Expr | None) -> list[pl.DataFrame]:
    return [frame for frame, _ in a20_parquet.iter_numpy(dataset, where, rows=4)]


def test_conditions_in_sql(dataset: Path) -> None:
    """The same windows as by an expression of polars."""
    where = pl.col("site").is_in(["site_0285", "site_0286"]) & (channel == 0)
    _, expected = a20_parquet.read_numpy(dataset, where)
    sql = "site in ('site_0285', 'site_0286') and channel = 0"
    _, found = a20_parquet.read_numpy(dataset, sql)
    assert len(expected) > 10
    assert (found.view(np.uint32) == expected.view(np.uint32)).all()
    batches = list(a20_parquet.iter_numpy(dataset, sql, columns=[]))
    assert sum(len(array) for _, array in batches) == len(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ["embedding"]}, "embedding is returned as the array"),
        ({"columns": ["x"]}, "has no column 'x'"),
        ({"where": "no_such = 1"}, "no_such"),
        ({"part": (2, 2)}, r"part is \(2, 2\), expected \(i, n\) with i from 0 to n - 1"),
        ({"rows": 0}, "rows"),
    ],
)
def test_mistakes(dataset: Path, options: dict[str, Any], message: str) -> None:
    """They are told when the function is called, not when the first batch is wanted."""
    with pytest.raises(UsageError, match=message):
        a20_parquet.iter_numpy(dataset, **options)


def test_functions_can_be_sent_to_other_processes() -> None:
    """Workers of a loader import them by name, and importing modules hides none of them."""
    for name in ("read_numpy", "iter_numpy", "take", "take_numpy"):
        function = getattr(a20_parquet, name)
        assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301 - just written
        assert function.__module__ in sys.modules

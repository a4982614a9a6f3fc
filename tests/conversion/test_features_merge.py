"""Features on their way from runs to a file."""

import io
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.parquet import Compression
from a20_parquet.runs.cursor import MergeCursor
from a20_parquet.runs.run import InMemoryRun, Run
from a20_parquet.runs.stored_run import StoredRun, write_run
from a20_parquet.windows.build import with_embeddings
from a20_parquet.windows.order import keyed_schema
from a20_parquet.windows.schema import Feature, metadata_schema, window_schema
from tests.helpers.metadata import make_keyed, window_table
from tests.helpers.parquet_files import encode
from tests.helpers.runs import DIMS, Row, embedding_of, embeddings_of, random_rows, sort_key

FEATURES = (Feature("nuisances", 3), Feature("label", 40))


def values_of(row: Row, feature: Feature) -> list[float] | None:
    """A feature's values that no other row has; some rows have none."""
    if row["record"] % 3 == len(feature.name) % 3:
        return None
    return [float(row["shard"]), *[float(row["record"])] * (feature.size - 1)]


def keyed_with_features(rows: list[Row]) -> Any:
    """A table of ``keyed_schema(FEATURES)``."""
    plain = make_keyed(rows)
    arrays = [
        pa.array([values_of(row, feature) for row in rows], feature.column.type)
        for feature in FEATURES
    ]
    count = len(metadata_schema())
    columns = [*plain.columns[:count], *arrays, *plain.columns[count:]]
    return pa.table(columns, schema=keyed_schema(FEATURES))


@pytest.mark.parametrize("on_disk", [False, True])
@settings(max_examples=10)
@given(rng=st.randoms(use_true_random=False))
def test_features_stay_with_their_windows(
    tmp_path_factory: pytest.TempPathFactory, rng: random.Random, *, on_disk: bool
) -> None:
    """Sorted, written to scratch disk, merged and encoded, each window has its own values."""
    folder = tmp_path_factory.mktemp("runs")
    rows = [random_rows(rng, rng.randint(1, 60), shard) for shard in range(4)]
    # Rows with and without each feature, whatever was drawn.
    rows[0] += [rows[0][0] | {"record": 999 + number} for number in range(3)]
    runs: list[Run] = []
    for shard, mine in enumerate(rows):
        run = InMemoryRun(
            embeddings_of(mine), np.arange(len(mine)), window_table(keyed_with_features(mine))
        )
        path = folder / f"run-{shard}"
        runs.append(StoredRun(write_run(run, path, batch_rows=7)) if on_disk else run)
    slices = [(0, len(mine)) for mine in rows]
    staging = np.empty((11, DIMS), np.float32)
    cursor = MergeCursor(runs, slices, batch_rows=7, staging=staging)
    ordered = sorted((row for mine in rows for row in mine), key=sort_key)
    groups = []
    for start in range(0, len(ordered), 25):
        out = np.empty((min(25, len(ordered) - start), DIMS), np.float32)
        groups.append(with_embeddings(cursor.read(out), out))
    assert {group.schema for group in groups} == {window_schema(DIMS, FEATURES)}
    table = pq.read_table(io.BytesIO(encode(groups, Compression.LZ4)))
    assert table["embedding"].to_pylist() == [embedding_of(row) for row in ordered]
    for feature in FEATURES:
        expected = [values_of(row, feature) for row in ordered]
        assert table[feature.name].to_pylist() == expected
        assert 0 < table[feature.name].null_count < len(expected)

"""Data files of a dataset, read as runs."""

# ruff: noqa: S311 - random rows, the same each time

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError
from a20_parquet.runs.dataset_run import DatasetRun
from a20_parquet.windows.order import keyed_schema
from a20_parquet.windows.schema import Feature, window_schema
from tests.helpers.datasets import make_dataset
from tests.helpers.metadata import make_keyed
from tests.helpers.parquet_files import windows
from tests.helpers.repeated import VALUES, repeated_rows, write_held
from tests.helpers.runs import DIMS, read_run, sort_key


@settings(max_examples=6)
@given(rng=st.randoms(use_true_random=False))
def test_a_data_file_is_the_run_that_it_was_written_from(
    tmp_path_factory: pytest.TempPathFactory, rng: random.Random
) -> None:
    """Any slice has the rows as they were sorted, numbered in the file, bit for bit."""
    rows = repeated_rows(rng, 60, 0, 30)
    catalog = write_held(tmp_path_factory.mktemp("parent") / "dataset", [rows])
    expected = sorted(rows, key=sort_key)
    done = 0
    keys = [file.key for file in catalog.data_files()]
    for number, count in enumerate(catalog.files["rows"].to_list()):
        run = DatasetRun(catalog, number, keys[number])
        mine = expected[done : done + count]
        done += count
        assert run.on_disk
        found = run.partitions
        assert [found.site.to_pylist(), found.period.to_pylist(), found.rows.tolist()] == [
            [mine[0]["site"]],
            [mine[0]["period"]],
            [count],
        ]
        told = [row | {"shard": -1, "record": n} for n, row in enumerate(mine)]
        for _ in range(4):
            start, stop = sorted(rng.sample(range(count + 1), 2))
            metadata, values = read_run(run, start, stop)
            assert metadata == make_keyed(told[start:stop]).to_pylist()
            expected_values = VALUES[[row["value"] for row in mine[start:stop]]]
            assert values.tobytes() == expected_values.tobytes()
            assert run.read_metadata(start, stop).schema == keyed_schema()
    assert done == len(expected)


def test_a_file_is_open_only_while_it_is_read(tmp_path: Path) -> None:
    """A file that vanishes between two reads is an error that names it."""
    catalog = write_held(tmp_path / "dataset", [repeated_rows(random.Random(1), 9, 0, 1)])
    run = DatasetRun(catalog, 0, catalog.data_files()[0].key)
    assert len(run.read_metadata(0, 1)) == 1
    (tmp_path / "dataset" / catalog.files["path"][0]).unlink()
    with pytest.raises(DatasetError, match=r"part-0000\.parquet is missing"):
        run.read_embeddings(0, np.empty((1, 3), np.float32))


def test_features_come_along_and_may_be_null(tmp_path: Path) -> None:
    """A further feature of the file is a column of the run, null where it is null there."""
    features = (Feature("label", 2),)
    rows = [{"filename": f"{number}", "record": number} for number in range(3)]
    keyed = make_keyed(rows)
    schema = window_schema(DIMS, features)
    columns = dict(zip(keyed.schema.names, keyed.columns, strict=True))
    columns["embedding"] = pa.array([[0.0] * DIMS] * 3, schema.field("embedding").type)
    columns["label"] = pa.array([[1.0, 2.0], None, [3.0, 4.0]], schema.field("label").type)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table([columns[name] for name in schema.names], schema=schema), sink)
    content = sink.getvalue().to_pybytes()
    catalog = Catalog.open(
        make_dataset(tmp_path / "dataset", [content], [3], dims=DIMS, features=features)
    )
    run = DatasetRun(catalog, 0, catalog.data_files()[0].key, features)
    found = run.read_metadata(1, 3)
    assert found.schema == keyed_schema(features)
    assert found.column("label").to_pylist() == [None, [3.0, 4.0]]


def test_a_column_of_another_type_is_an_error(tmp_path: Path) -> None:
    """A file whose columns are not the dataset's is told with what was found."""
    table = pa.Table.from_batches([windows(5)]).drop_columns("channel")
    table = table.append_column("channel", pa.array(["0"] * 5))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    content = sink.getvalue().to_pybytes()
    catalog = Catalog.open(make_dataset(tmp_path / "dataset", [content], [5], dims=8))
    with pytest.raises(DatasetError, match="its column channel is string, expected int16"):
        DatasetRun(catalog, 0, catalog.data_files()[0].key).read_metadata(0, 1)

"""Datasets with features: queries, DuckDB, search and report, against what pyarrow reads."""

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError
from a20_parquet.parquet import Compression
from a20_parquet.query.duckdb_file import As
from a20_parquet.query.read_rows import take_rows
from a20_parquet.query.window_query import WindowQuery
from a20_parquet.windows.schema import METADATA, Feature
from tests.helpers.datasets import make_dataset
from tests.helpers.features import list_bits, windows_with
from tests.helpers.parquet_files import encode, windows

DIMS = 8
NUISANCES, LABEL, NEVER = Feature("nuisances", 3), Feature("Label", 300), Feature("never", 1)
FEATURES = (NUISANCES, LABEL, NEVER)
ROWS = (1, 40, 100, 23)
NAMES = [column.name for column in METADATA]

Query = Callable[[pl.LazyFrame], pl.LazyFrame]
channel, site, first = pl.col("channel"), pl.col("site"), pl.col("nuisances").arr.get(0)

QUERIES: dict[str, Query] = {
    "all": lambda scan: scan,
    "features": lambda scan: scan.select("Label", "nuisances"),
    "one feature": lambda scan: scan.select("nuisances"),
    "only nulls": lambda scan: scan.select("never", "filename"),
    "other order": lambda scan: scan.select("never", "site", "embedding", "nuisances", "channel"),
    "without features": lambda scan: scan.drop("nuisances", "Label", "never"),
    "site": lambda scan: scan.filter(site == "site_0001"),
    "metadata": lambda scan: scan.filter(pl.col("recording_offset_in_file") == 10).select("Label"),
    "present": lambda scan: scan.filter(pl.col("nuisances").is_not_null()),
    "absent": lambda scan: scan.filter(pl.col("Label").is_null()).select("nuisances", "filename"),
    "value": lambda scan: scan.filter(first > 0),
    "value and embedding": lambda scan: scan.filter(
        (first > 0) & (pl.col("embedding").arr.get(0) > 0)
    ),
    "value, others wanted": lambda scan: scan.filter(first > 0).select("Label"),
    "nothing": lambda scan: scan.filter(channel > 9),
    "nothing of features": lambda scan: scan.filter(channel > 9).select("Label"),
    "head": lambda scan: scan.head(50),
    "head of features": lambda scan: scan.select("nuisances").head(3),
    "slice": lambda scan: scan.slice(30, 50).select("Label", "window_start"),
    "tail": lambda scan: scan.tail(30),
    "filter, then slice": lambda scan: scan.filter(first > 0).slice(3, 20),
    "counts": lambda scan: (
        scan.group_by("site").agg(pl.col("nuisances", "never").count()).sort("site")
    ),
}


def contents() -> list[list[Any]]:
    """The row groups of each file: features here and there, nowhere, and everywhere."""
    random = np.random.default_rng(3)
    files = []
    for number, rows in enumerate(ROWS):
        valid = random.random(rows) < (1, 0.5, 0.7, 0)[number]
        masks = {NUISANCES: valid, LABEL: ~valid, NEVER: np.zeros(rows, np.bool_)}
        batch = windows_with(masks, rows, DIMS, seed=number)
        files.append([batch.slice(start, 30) for start in range(0, rows, 30)])
    return files


@pytest.fixture(scope="module", params=list(Compression))
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four files of up to four row groups."""
    return make_dataset(
        tmp_path_factory.mktemp("features"),
        [encode(batches, request.param) for batches in contents()],
        ROWS,
        dims=DIMS,
        compression=request.param,
        row_group_rows=30,
        features=FEATURES,
    )


def expected(dataset: Path) -> pl.DataFrame:
    """All windows in the dataset's order, as pyarrow reads them file by file."""
    frames = []
    for path in sorted((dataset / "data").rglob("*.parquet")):
        frame = pl.DataFrame(pq.ParquetFile(path).read())
        frames.append(frame.with_columns(site=pl.lit(path.parent.name.removeprefix("site="))))
    return pl.concat(frames)


def bits(frame: pl.DataFrame) -> list[tuple[list[bool], list[int]]]:
    """Nulls and bits of all lists of a frame."""
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Array)]
    return [list_bits(frame[name].to_arrow()) for name in lists]


def assert_same(found: pl.DataFrame, wanted: pl.DataFrame) -> None:
    """Same columns, types and rows, lists to the bit."""
    assert found.schema == wanted.schema
    assert bits(found) == bits(wanted)
    flat = [name for name, kind in wanted.schema.items() if not isinstance(kind, pl.Array)]
    assert_frame_equal(found.select(flat), wanted.select(flat))


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_queries(dataset: Path, engine: Any) -> None:
    """``scan`` gives what the same query gives on all rows in memory."""
    rows = expected(dataset)
    scan = a20_parquet.scan(dataset)
    assert scan.collect_schema() == rows.schema
    for query in QUERIES.values():
        assert_same(query(scan).collect(engine=engine), query(rows.lazy()).collect())


@pytest.mark.slow
def test_queries_in_tiny_batches(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are read in parts give the same rows."""
    whole = WindowQuery.__init__

    def tiny(*arguments: Any, **options: Any) -> None:
        whole(*arguments, **options | {"batch_bytes": 20_000})

    monkeypatch.setattr(WindowQuery, "__init__", tiny)
    rows = expected(dataset)
    for query in QUERIES.values():
        assert_same(query(a20_parquet.scan(dataset)).collect(), query(rows.lazy()).collect())


def test_queries_from_a_url(dataset: Path) -> None:
    """A dataset on another file system gives the same rows."""
    memory = fsspec.filesystem("memory")
    for path in dataset.rglob("*"):
        if path.is_file():
            memory.pipe(str(path), path.read_bytes())
    rows = expected(dataset)
    scan = a20_parquet.scan(f"memory:/{dataset}")
    for query in QUERIES.values():
        assert_same(query(scan).collect(), query(rows.lazy()).collect())


def test_catalog(dataset: Path) -> None:
    """The features stand behind the metadata and before the keys."""
    catalog = Catalog.open(dataset)
    assert catalog.features == FEATURES
    names = [feature.name for feature in FEATURES]
    assert catalog.metadata_columns == (*NAMES, *names)
    assert catalog.schema.names() == ["embedding", *NAMES, *names, "site"]
    assert catalog.schema["Label"] == pl.Array(pl.Float32, 300)


def test_single_windows(dataset: Path) -> None:
    """Windows taken by number have their features."""
    numbers = np.array([163, 0, 41, 42, 5, 140])
    columns = ["site", "nuisances", "channel", "Label", "never"]
    found = take_rows(Catalog.open(dataset), numbers, columns)
    assert_same(found, expected(dataset)[numbers].select(columns))


def test_batches_are_smaller_where_features_are_read(dataset: Path) -> None:
    """About as many bytes are read at a time, however long the features."""
    catalog = Catalog.open(dataset)

    def largest(columns: list[str]) -> int:
        source = WindowQuery(catalog, columns, batch_bytes=100_000)
        return max(part.end - part.first for batch in source.batches() for part in batch)

    assert largest(["filename"]) == max(ROWS)
    assert largest(["filename", "Label"]) == 100_000 // (200 + 1200)


def test_damaged_features(tmp_path: Path) -> None:
    """Whatever byte of a feature's page head changes, there are all rows or an error."""
    batch = windows_with({NUISANCES: np.arange(30) % 3 > 0}, 30, DIMS)
    content = encode([batch], Compression.NONE)
    chunk = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(len(NAMES) + 1)
    assert chunk.path_in_schema == "nuisances.list.element"
    outcomes = Counter[str]()
    for position in range(chunk.data_page_offset, chunk.data_page_offset + 60):
        damaged = bytearray(content)
        damaged[position] ^= 0x21
        root = make_dataset(
            tmp_path / str(position), [bytes(damaged)], [30], dims=DIMS, features=(NUISANCES,)
        )
        try:
            found = a20_parquet.scan(root).select("nuisances").collect(engine="in-memory")
        except DatasetError as error:
            outcomes["error"] += "part-0000.parquet" in str(error)
        else:
            outcomes["read"] += len(found) == 30
    assert sum(outcomes.values()) == 60
    assert outcomes["error"] > 10


def by_duckdb(relation: Any) -> pl.DataFrame:
    """A relation's rows, their lists to the bit."""
    return pl.DataFrame(relation.to_arrow_table())


def check_duckdb(connection: Any, dataset: Path) -> None:
    """The relation ``windows`` has the dataset's columns, types and rows."""
    described = connection.execute("DESCRIBE windows").fetchall()
    types = {name: kind for name, kind, *_ in described}
    assert list(types) == ["embedding", *NAMES, "nuisances", "Label", "never", "site"]
    assert [types[name] for name in ("embedding", "nuisances", "Label", "never")] == [
        "FLOAT[8]",
        "FLOAT[3]",
        "FLOAT[300]",
        "FLOAT[1]",
    ]
    wanted = expected(dataset).sort("site", "filename", "recording_offset_in_file")
    columns = ["site", "filename", "recording_offset_in_file", "nuisances", "Label", "never"]
    quoted = ", ".join(f'"{name}"' for name in columns)
    found = connection.sql(f"SELECT {quoted} FROM windows ORDER BY ALL")
    assert_same(by_duckdb(found), wanted.select(columns))
    counts = connection.sql('SELECT count(nuisances), count("Label"), count(never) FROM windows')
    assert counts.fetchall() == [tuple(wanted.select("nuisances", "Label", "never").count().row(0))]
    found = connection.sql("SELECT array_distance(nuisances, nuisances) FROM windows LIMIT 1")
    assert len(found.fetchall()) == 1
    comments = connection.execute(
        "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'windows'"
    ).fetchall()
    assert "the record's feature Label" in dict(comments)["Label"]


def test_connection(dataset: Path) -> None:
    """Features are arrays of their length, null where a record has none."""
    with a20_parquet.connect(dataset) as connection:
        check_duckdb(connection, dataset)


@pytest.mark.parametrize("as_", ["view", "table"])
def test_database(dataset: Path, tmp_path: Path, as_: As) -> None:
    """So they are in a database file."""
    import duckdb

    file = tmp_path / "windows.duckdb"
    a20_parquet.duckdb(dataset, file, as_=as_)
    with duckdb.connect(str(file), read_only=True) as connection:
        check_duckdb(connection, dataset)


def test_view_below_a_folder_named_like_a_feature(dataset: Path, tmp_path: Path) -> None:
    """DuckDB would take ``label=…`` of the path for the feature's values."""
    place = tmp_path / "label=1" / "out"
    place.parent.mkdir()
    place.symlink_to(dataset)
    with a20_parquet.connect(place) as connection:
        check_duckdb(connection, dataset)


def test_search_and_report(dataset: Path, tmp_path: Path) -> None:
    """What does not ask for features gives what it gives without them."""
    plain = make_dataset(
        tmp_path / "plain",
        [
            encode([each.select(["embedding", *NAMES]) for each in parts], Compression.NONE)
            for parts in contents()
        ],
        ROWS,
        dims=DIMS,
        row_group_rows=30,
    )
    vector = windows(1, DIMS, seed=2)["embedding"].flatten().to_numpy()
    found = a20_parquet.similar(dataset, vector, top=20)
    assert_frame_equal(found, a20_parquet.similar(plain, vector, top=20))
    page = a20_parquet.report(dataset, tmp_path / "report.html").read_text()
    assert f"<strong>{sum(ROWS)}</strong>" in page
    assert f"site_0002: {ROWS[2]} windows" in page

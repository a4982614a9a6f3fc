"""Ways to query a dataset, each a function from its folder to the answer."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.lookups import LOOKUPS, prepare_lookups

_TOP = 10
_BLOCK_ROWS = 4096
_DAWN = 5
_DAWN_SQL = f"hour(window_start_local) = {_DAWN}"

Floats = npt.NDArray[np.float32]


def prepare(dataset: Path) -> None:
    """Writes, once, what queries need beside the dataset: the query vector and an ``.npy``."""
    import a20_parquet

    if _npy(dataset).exists():
        return
    prepare_lookups(dataset)
    windows = a20_parquet.scan(dataset).select("embedding").collect()["embedding"]
    np.save(_query_file(dataset), windows.head(1).to_numpy()[0])
    np.save(_npy(dataset), windows.to_numpy())


def column_scan(dataset: Path) -> int:
    """All embeddings through ``a20_parquet.scan``."""
    import a20_parquet

    return len(a20_parquet.scan(dataset).select("embedding").collect())


def column_connect(dataset: Path) -> int:
    """All embeddings as an Arrow table through ``a20_parquet.connect``."""
    import a20_parquet

    return _fetched_rows(a20_parquet.connect(dataset), "select embedding from windows")


def column_polars(dataset: Path) -> int:
    """All embeddings through plain ``pl.scan_parquet``."""
    return len(pl.scan_parquet(dataset / "data").select("embedding").collect())


def column_pyarrow(dataset: Path) -> int:
    """All embeddings through a ``pyarrow.dataset``."""
    return int(_pyarrow(dataset).to_table(columns=["embedding"]).num_rows)


def column_duckdb(dataset: Path) -> int:
    """All embeddings as an Arrow table through plain DuckDB."""
    import duckdb

    return _fetched_rows(duckdb.connect(), f"select embedding from {_parquet(dataset)}")  # noqa: S608


def dawn_scan(dataset: Path) -> int:
    """The embeddings of one hour of the day through ``a20_parquet.scan``."""
    import a20_parquet

    return _dawn_rows(a20_parquet.scan(dataset))


def dawn_connect(dataset: Path) -> int:
    """The same through ``a20_parquet.connect``."""
    import a20_parquet

    query = f"select filename, embedding from windows where {_DAWN_SQL}"  # noqa: S608
    return _fetched_rows(a20_parquet.connect(dataset), query)


def dawn_polars(dataset: Path) -> int:
    """The same through plain ``pl.scan_parquet``."""
    return _dawn_rows(pl.scan_parquet(dataset / "data"))


def dawn_pyarrow(dataset: Path) -> int:
    """The same through a ``pyarrow.dataset``."""
    import pyarrow.compute as pc

    at_five = pc.hour(pc.field("window_start_local")) == _DAWN
    table = _pyarrow(dataset).to_table(columns=["filename", "embedding"], filter=at_five)
    return int(table.num_rows)


def dawn_duckdb(dataset: Path) -> int:
    """The same through plain DuckDB."""
    import duckdb

    query = f"select filename, embedding from {_parquet(dataset)} where {_DAWN_SQL}"  # noqa: S608
    return _fetched_rows(duckdb.connect(), query)


def nearest_similar(dataset: Path) -> list[float]:
    """The cosines of the nearest windows by ``a20_parquet.similar``."""
    import a20_parquet

    found = a20_parquet.similar(dataset, _query(dataset), top=_TOP)
    return found["similarity"].to_list()


def nearest_duckdb(dataset: Path) -> list[float]:
    """The same by plain DuckDB over the Parquet files."""
    import duckdb

    # A cast to FLOAT[1280] for array_cosine_similarity takes a sixth more CPU time.
    similarity = "list_cosine_similarity(embedding, ?)"
    return _nearest_in_duckdb(duckdb.connect(), _parquet(dataset), similarity, dataset)


def nearest_connect(dataset: Path) -> list[float]:
    """The same by DuckDB through ``a20_parquet.connect``."""
    import a20_parquet

    similarity = f"array_cosine_similarity(embedding, ?::FLOAT[{len(_query(dataset))}])"
    return _nearest_in_duckdb(a20_parquet.connect(dataset), "windows", similarity, dataset)


def nearest_pyarrow(dataset: Path) -> list[float]:
    """The same by NumPy over the batches of a ``pyarrow.dataset``."""
    query = _query(dataset)
    batches = _pyarrow(dataset).to_batches(columns=["embedding"])
    columns = (batch.column("embedding").flatten().to_numpy() for batch in batches)
    return _nearest((column.reshape(-1, len(query)) for column in columns), query)


def nearest_numpy(dataset: Path) -> list[float]:
    """The same by NumPy over a memory-mapped ``.npy`` of all embeddings, block by block."""
    embeddings = np.load(_npy(dataset), mmap_mode="r")
    firsts = range(0, len(embeddings), _BLOCK_ROWS)
    return _nearest((embeddings[i : i + _BLOCK_ROWS] for i in firsts), _query(dataset))


WAYS: dict[str, dict[str, Callable[[Path], Any]]] = {
    "the embedding column into memory": {
        "scan": column_scan,
        "connect": column_connect,
        "pl.scan_parquet": column_polars,
        "pyarrow.dataset": column_pyarrow,
        "DuckDB": column_duckdb,
    },
    "embeddings of one hour of the day": {
        "scan": dawn_scan,
        "connect": dawn_connect,
        "pl.scan_parquet": dawn_polars,
        "pyarrow.dataset": dawn_pyarrow,
        "DuckDB": dawn_duckdb,
    },
    "the ten nearest windows": {
        "similar": nearest_similar,
        "connect, array_cosine_similarity": nearest_connect,
        "DuckDB, list_cosine_similarity": nearest_duckdb,
        "pyarrow.dataset and NumPy": nearest_pyarrow,
        "NumPy, memory-mapped .npy": nearest_numpy,
    },
    **LOOKUPS,
}
"""Ways to ask the same, by what is asked; the program's own come first."""


def _nearest(blocks: Iterable[Floats], query: Floats) -> list[float]:
    """The largest cosines of blocks of embeddings, descending."""
    unit = query / np.linalg.norm(query)
    # vecdot makes no copy of the squares, which norm does.
    cosines = np.concatenate([each @ unit / np.sqrt(np.vecdot(each, each)) for each in blocks])
    nearest = np.argpartition(cosines, -_TOP)[-_TOP:]
    values: list[float] = np.sort(cosines[nearest])[::-1].tolist()
    return values


def _nearest_in_duckdb(
    connection: Any, relation: str, similarity: str, dataset: Path
) -> list[float]:
    found = connection.execute(
        f"select {similarity} as similarity, filename, recording_offset_in_file "  # noqa: S608
        f"from {relation} order by similarity desc limit {_TOP}",
        [_query(dataset).tolist()],
    ).fetchall()
    return [row[0] for row in found]


def _fetched_rows(connection: Any, query: str) -> int:
    return int(connection.sql(query).to_arrow_table().num_rows)


def _dawn_rows(windows: pl.LazyFrame) -> int:
    at_five = pl.col("window_start_local").dt.hour() == _DAWN
    return len(windows.filter(at_five).select("filename", "embedding").collect())


def _pyarrow(dataset: Path) -> Any:
    import pyarrow.dataset as ds

    return ds.dataset(dataset / "data", partitioning="hive")


def _parquet(dataset: Path) -> str:
    return f"read_parquet('{dataset}/data/**/*.parquet')"


def _query(dataset: Path) -> Floats:
    query: Floats = np.load(_query_file(dataset))
    return query


def _query_file(dataset: Path) -> Path:
    return dataset.with_name(dataset.name + ".query.npy")


def _npy(dataset: Path) -> Path:
    return dataset.with_name(dataset.name + ".npy")

"""Ways to ask for a part of a dataset: single windows, recordings, sites, counts.

Each is a function from the dataset's folder to a number that all ways must agree on.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

_RANDOM_WINDOWS = 1000
_KEYS = ["filename", "recording_offset_in_file"]

Ask = Callable[[pl.LazyFrame, Path], pl.LazyFrame]
Way = Callable[[Path], Any]


def prepare_lookups(dataset: Path) -> None:
    """Writes, once, the windows that queries ask for."""
    windows = pl.scan_parquet(dataset / "data", hive_partitioning=True)
    keys = windows.select(*_KEYS, "site", "window_start_local").collect()
    count = min(_RANDOM_WINDOWS, len(keys))
    keys.sample(count, seed=1, shuffle=True).write_parquet(_asked(dataset))


def _one_window(windows: pl.LazyFrame, dataset: Path) -> pl.LazyFrame:
    name, offset_s, *_ = _first(dataset)
    return windows.filter(filename=name, recording_offset_in_file=offset_s)


def _one_recording(windows: pl.LazyFrame, dataset: Path) -> pl.LazyFrame:
    return windows.filter(filename=_first(dataset)[0])


def _one_site(windows: pl.LazyFrame, dataset: Path) -> pl.LazyFrame:
    return windows.filter(site=_first(dataset)[2])


def _one_day(windows: pl.LazyFrame, dataset: Path) -> pl.LazyFrame:
    _, _, site, start = _first(dataset)
    day = pl.col("window_start_local").dt.date()
    has_date = "date" in windows.collect_schema()
    return windows.filter(
        pl.col("site") == site, (pl.col("date") if has_date else day) == start.date()
    )


def _head(windows: pl.LazyFrame, _: Path) -> pl.LazyFrame:
    return windows.head(10)


def _random_windows(windows: pl.LazyFrame, dataset: Path) -> pl.LazyFrame:
    return windows.join(pl.scan_parquet(_asked(dataset)).select(_KEYS), on=_KEYS)


def _count(windows: pl.LazyFrame, _: Path) -> pl.LazyFrame:
    return windows.select(embedding=pl.concat_list(pl.len().cast(pl.Float32)))


def _groups(windows: pl.LazyFrame, _: Path) -> pl.LazyFrame:
    groups = windows.group_by("site_name").agg(pl.col("window_start").min(), n=pl.len())
    return groups.select(embedding=pl.concat_list(pl.col("n").cast(pl.Float32)))


def _by_scan(ask: Ask, dataset: Path) -> int:
    import a20_parquet

    return _answer(ask(a20_parquet.scan(dataset), dataset))


def _by_polars(ask: Ask, dataset: Path) -> int:
    return _answer(ask(pl.scan_parquet(dataset / "data", hive_partitioning=True), dataset))


def _by_duckdb(query: str, dataset: Path) -> int:
    import duckdb

    files = f"read_parquet('{dataset}/data/**/*.parquet')"
    return _answer_of_duckdb(duckdb.connect(), query.replace("windows", files), dataset)


def _by_connect(query: str, dataset: Path) -> int:
    import a20_parquet

    return _answer_of_duckdb(a20_parquet.connect(dataset), query, dataset)


def _answer_of_duckdb(connection: Any, query: str, dataset: Path) -> int:
    name, offset_s, site, start = _first(dataset)
    values = {"name": name, "offset": offset_s, "site": site, "day": start.date()}
    used = {key: value for key, value in values.items() if f"${key}" in query}
    found = connection.sql(query, params=used).to_arrow_table()["embedding"]
    return _bits(found.combine_chunks().flatten().to_numpy())


def _taken(dataset: Path) -> int:
    import a20_parquet

    asked = pl.read_parquet(_asked(dataset)).select(_KEYS)
    return _bits(a20_parquet.take_numpy(dataset, asked))


def _array_by_us(dataset: Path) -> int:
    import a20_parquet

    _, embeddings = a20_parquet.read_numpy(dataset, columns=_KEYS)
    embeddings[0, 0] += 0
    return len(embeddings)


def _array_by_scan(dataset: Path) -> int:
    import a20_parquet

    return _rows(a20_parquet.scan(dataset).select(*_KEYS, "embedding"))


def _array_by_polars(dataset: Path) -> int:
    return _rows(pl.scan_parquet(dataset / "data").select(*_KEYS, "embedding"))


def _ways(ask: Ask, query: str) -> dict[str, Way]:
    return {
        "scan": partial(_by_scan, ask),
        "connect": partial(_by_connect, query),
        "pl.scan_parquet": partial(_by_polars, ask),
        "DuckDB": partial(_by_duckdb, query),
    }


def _where(condition: str) -> str:
    return f"select embedding from windows where {condition}"  # noqa: S608 - written below


_NUMBER = "[count(*)::float]::float[1]"
LOOKUPS: dict[str, dict[str, Way]] = {
    "one window by filename and offset": _ways(
        _one_window, _where("filename = $name and recording_offset_in_file = $offset")
    ),
    "one recording": _ways(_one_recording, _where("filename = $name")),
    "1,000 random windows": {
        "take_numpy": _taken,
        "scan": partial(_by_scan, _random_windows),
        "pl.scan_parquet": partial(_by_polars, _random_windows),
    },
    "one site": _ways(_one_site, _where("site = $site")),
    "one site and day": _ways(_one_day, _where("site = $site and window_start_local::date = $day")),
    "the first ten windows": _ways(_head, "select embedding from windows limit 10"),
    "count of windows": _ways(_count, f"select {_NUMBER} as embedding from windows"),  # noqa: S608 - written above
    "windows and first time by place": _ways(
        _groups,
        f"select {_NUMBER} as embedding, min(window_start) from windows group by site_name",  # noqa: S608 - written above
    ),
    "all embeddings as a writable array": {
        "read_numpy": _array_by_us,
        "scan, to_numpy": _array_by_scan,
        "pl.scan_parquet, to_numpy": _array_by_polars,
    },
}
"""Ways to ask the same, by what is asked; the program's own come first."""


def _answer(windows: pl.LazyFrame) -> int:
    return _bits(windows.collect()["embedding"].explode(empty_as_null=False).to_numpy())


def _rows(windows: pl.LazyFrame) -> int:
    return len(np.array(windows.collect()["embedding"].to_numpy()))


def _bits(values: Any) -> int:
    """A sum that does not depend on the order of rows."""
    return int(np.ascontiguousarray(values, np.float32).view(np.uint32).sum(dtype=np.uint64))


def _asked(dataset: Path) -> Path:
    return dataset.with_name(dataset.name + ".asked.parquet")


def _first(dataset: Path) -> Any:
    return pl.read_parquet(_asked(dataset), n_rows=1).row(0)

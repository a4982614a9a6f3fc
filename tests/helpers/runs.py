"""Random windows and runs of them, with the order that Python's ``sorted`` gives."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from a20_parquet.runs.run import InMemoryRun, Rows, Run
from tests.helpers.metadata import make_keyed, window_table

DIMS = 3
Row = dict[str, Any]


def sort_key(row: Row) -> tuple[Any, ...]:
    """The design's order: null first, text by its bytes, then shard and record."""
    start = row["window_start"]
    return (
        row["site"].encode(),
        row["period"] is not None,
        row["period"] or 0,
        start is not None,
        start or 0,
        row["filename"].encode(),
        row["recording_offset_in_file"],
        row["channel"],
        row["shard"],
        row["record"],
    )


def random_rows(rng: random.Random, count: int, shard: int, sites: str = "abc") -> list[Row]:
    """Rows with many equal keys; ``record`` tells them apart, and says nothing of their order."""
    records = rng.sample(range(10 * count), count)
    return [
        {
            "site": rng.choice(sites),
            "period": rng.choice([None, 0, 1]),
            "window_start": rng.choice([None, -1, 0, 10**15]),
            "filename": rng.choice(["x", "x\0", "\N{KOALA}"]),
            "recording_offset_in_file": rng.choice([0.0, 5.0]),
            "channel": rng.choice([0, 1]),
            "shard": shard,
            "record": record,
        }
        for record in records
    ]


def embedding_of(row: Row) -> list[float]:
    """An embedding that no other row has."""
    return [float(row["shard"]), float(row["record"]), -0.0]


def embeddings_of(rows: Sequence[Row]) -> Rows:
    """The embeddings of rows, shape ``(rows, DIMS)``."""
    return np.array([embedding_of(row) for row in rows], np.float32).reshape(-1, DIMS)


def held(rows: Sequence[Row], rng: random.Random | None = None) -> InMemoryRun:
    """A run of rows, whose embeddings lie in a larger buffer in another order."""
    places = list(range(len(rows) + 2))
    if rng:
        rng.shuffle(places)
    used = np.array(places[: len(rows)], np.int64)
    buffer = np.full((len(rows) + 2, DIMS), np.nan, np.float32)
    buffer[used] = embeddings_of(rows)
    return InMemoryRun(buffer, used, window_table(make_keyed(rows)))


def read_run(run: Run, start: int, stop: int) -> tuple[list[Row], Rows]:
    """Metadata and embeddings of some of a run's rows."""
    out = np.full((stop - start, DIMS), np.nan, np.float32)
    run.read_embeddings(start, out)
    return run.read_metadata(start, stop).to_pylist(), out

"""Windows that come several times, with what a plain search finds among them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.runs.run import InMemoryRun
from a20_parquet.windows.partition import PartitionBy
from tests.helpers.datasets import complete
from tests.helpers.layout import LocalLayout
from tests.helpers.metadata import make_keyed, window_table
from tests.helpers.runs import DIMS, Row, sort_key
from tests.helpers.units import OPTIONS, write_runs

VALUES = np.array(
    [
        [0x7FC00000, 0, 0],
        [0x7FC00001, 0, 0],  # another NaN
        [0, 0, 0],
        [0x80000000, 0, 0],  # -0.0, which equals 0.0
        [0x3F800000, 1, 2],
    ],
    np.uint32,
).view(np.float32)
"""Embeddings, no two of them alike in all bits."""
assert VALUES.shape[1] == DIMS


def repeated_rows(rng: random.Random, count: int, shard: int, names: int) -> list[Row]:
    """Rows of few names and fewer embeddings; site and time follow from the name."""
    rows = []
    for record in rng.sample(range(10 * count), count):
        name = rng.randrange(names)
        rows.append(
            {
                "filename": f"recording-{name // 4}",
                "site": "ab"[name // 4 % 2],
                "period": [None, 18_000, 18_001][name // 4 % 3],
                "recording_offset_in_file": [0.0, 5.0][name // 2 % 2],
                "channel": name % 2,
                "window_start": None if name // 4 % 3 == 0 else 10**15 + name // 2 % 2,
                "shard": shard,
                "record": record,
                "value": rng.randrange(rng.choice([1, len(VALUES)])),
            }
        )
    return rows


def run_of(rows: Sequence[Row]) -> InMemoryRun:
    """A run in memory of rows with their values."""
    keyed = window_table(make_keyed(rows))
    values = VALUES[[row["value"] for row in rows]].reshape(-1, DIMS)
    return InMemoryRun(values, np.arange(len(rows)), keyed)


@dataclass
class Found:
    """What a plain search finds."""

    identical: list[Row] = field(default_factory=list)
    different: list[Row] = field(default_factory=list)


def search(held: Sequence[Row], new: Sequence[Row]) -> Found:
    """Compare each new row with all before it, one by one."""
    seen: dict[tuple[object, ...], set[int]] = {}
    for row in held:
        seen.setdefault(name_of(row), set()).add(row["value"])
    found = Found()
    for row in sorted(new, key=sort_key):
        values = seen.setdefault(name_of(row), set())
        if row["value"] in values:
            found.identical.append(row)
        elif values:
            found.different.append(row)
        values.add(row["value"])
    return found


def name_of(row: Row) -> tuple[str, float, int]:
    """What names a window."""
    return row["filename"], row["recording_offset_in_file"], row["channel"]


def names_of(rows: Sequence[Row]) -> tuple[tuple[str, float, int], ...]:
    """The first ten names of rows, each once."""
    return tuple(dict.fromkeys(map(name_of, rows)))[:10]


def write_held(root: Path, conversions: Sequence[Sequence[Row]], by: str = "site,date") -> Catalog:
    """A dataset to which rows were appended several times, in files of 7 rows."""
    layout = LocalLayout.at(root)
    layout.conversion.mkdir(parents=True)
    files = []
    for number, rows in enumerate(conversions):
        files += write_runs(layout, [run_of(rows)], by=by, first_part=100 * number)[1]
    options = OPTIONS.model_copy(update={"partition_by": PartitionBy(by), "row_group_rows": 3})
    complete(layout, options, [], files)
    return Catalog.open(root)

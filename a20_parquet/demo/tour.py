"""``demo``: writes shards, converts them and queries the dataset in three ways."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a20_parquet.conversion.convert import convert
from a20_parquet.conversion.result import Conversion
from a20_parquet.demo.shards import DemoPlan, write_demo_shards
from a20_parquet.demo.soundscape import DAWN_CHORUS
from a20_parquet.errors import UsageError
from a20_parquet.progress import NoProgress, Progress

_SHARD_BYTES = 25_000_000
_RECORD_BYTES = 61_000
_RECORDERS, _DAYS = 6, 5
_OWN = {"shards", "labels.csv", "dataset"}

_QUERIES = (
    (
        "polars: hours of audio by site and date",
        "import a20_parquet, polars as pl",
        """
(
    a20_parquet.scan("DATASET")
    .group_by("site", "date")
    .agg(hours=pl.len() * 5 / 3600)
    .sort("site", "date")
    .head(5)
    .collect()
)
""",
    ),
    (
        "DuckDB: the hours of the day that sound like a dawn chorus, by one labelled window",
        "import a20_parquet",
        """
a20_parquet.connect("DATASET").sql('''
    with chorus as (
        select embedding from windows
        where filename = 'FILENAME'
            and recording_offset_in_file = OFFSET
    )
    select hour(window_start_local) as hour, count(*) as windows, count(*) filter (
        array_cosine_similarity(windows.embedding, chorus.embedding) > 0.8
    ) as like_it
    from windows, chorus group by all order by like_it desc, hour limit 5
''')
""",
    ),
    (
        "nearest neighbours: the windows of other recordings that sound most like it",
        "import a20_parquet",
        """
a20_parquet.similar(
    "DATASET",
    to="FILENAME@OFFSET",
    exclude="recording",
    top=5,
).select("site", "window_start_local", "recording_offset_in_file", "similarity")
""",
    ),
)
"""Title, setup and code of each query of the tour."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query of the tour."""

    title: str
    setup: str
    """The import that a user would type first."""
    code: str
    """The Python expression that a user would type."""
    answer: str
    """What the query prints."""


@dataclass(frozen=True, slots=True)
class Tour:
    """Result of ``demo``."""

    conversion: Conversion
    queries: tuple[Query, ...]


def demo(folder: Path, size_bytes: int, progress: Progress | None = None) -> Tour:
    """Write shards below ``folder``, convert them and query the dataset.

    Args:
        folder: gets ``shards/``, ``labels.csv`` and ``dataset/``; must not contain anything else.
        size_bytes: approximate size of all shards.
        progress: of writing and converting.

    Raises:
        UsageError: the folder is in use, or the size is too small for a demo.
    """
    progress = progress or NoProgress()
    if folder.exists() and {path.name for path in folder.iterdir()} - {
        "shards",
        "labels.csv",
        "dataset",
    }:
        raise UsageError(f"{folder} has other files. Name a new folder for the demo.")
    plan = demo_plan(size_bytes)
    progress.start("writing shards", plan.size_bytes)
    labels = folder / "labels.csv"
    folder.mkdir(parents=True, exist_ok=True)
    shards = write_demo_shards(folder / "shards", plan, progress.advance, labels)
    conversion = convert(shards[0].parent, folder / "dataset", progress=progress, overwrite=True)
    dataset = str(folder / "dataset")
    words = {"DATASET": dataset, **_dawn_chorus(labels)}
    queries = tuple(
        _ask(title, setup, _fill(code.strip(), words)) for title, setup, code in _QUERIES
    )
    return Tour(conversion, queries)


def demo_plan(size_bytes: int) -> DemoPlan:
    """Plan shards of about ``size_bytes``, with more sites for more bytes.

    Raises:
        UsageError: the size is too small.
    """
    records = size_bytes // _RECORD_BYTES
    scale = max(1, records // (_RECORDERS * _DAYS * 24 * 20))
    return DemoPlan(
        size_bytes=size_bytes,
        shards=max(2, size_bytes // _SHARD_BYTES),
        recorders=_RECORDERS * scale,
        days=_DAYS,
    )


def _dawn_chorus(labels: Path) -> dict[str, str]:
    """Return recording and offset of the first window that is labelled as a dawn chorus."""
    with labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    first = next((row for row in rows if row["label"] == DAWN_CHORUS), rows[0])
    return {"FILENAME": first["filename"], "OFFSET": first["start_s"]}


def _fill(code: str, words: dict[str, str]) -> str:
    for name, value in words.items():
        code = code.replace(name, value)
    return code


def _ask(title: str, setup: str, code: str) -> Query:
    names: dict[str, Any] = {}
    exec(setup, names)  # noqa: S102 - this module's own text, which is also shown
    answer = eval(code, names)  # noqa: S307 - likewise
    return Query(title, setup, code, str(answer))

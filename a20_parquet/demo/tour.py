"""``demo``: writes shards, converts them and queries the dataset in three ways."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a20_parquet.conversion.convert import convert
from a20_parquet.conversion.result import Conversion
from a20_parquet.demo.shards import DemoPlan, write_demo_shards
from a20_parquet.errors import UsageError
from a20_parquet.progress import NoProgress, Progress
from a20_parquet.query.scan import scan

_SHARD_BYTES = 25_000_000
_RECORD_BYTES = 61_000
_RECORDERS, _DAYS = 6, 5

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
        "DuckDB: the liveliest hours of the day, by the embeddings' mean",
        "import a20_parquet",
        """
a20_parquet.connect("DATASET").sql('''
    select hour(window_start_local) as hour, count(*) as windows,
           round(avg(list_avg(embedding::FLOAT[])), 4) as mean
    from windows group by all order by mean desc limit 5
''')
""",
    ),
    (
        "nearest neighbours: the windows that sound most like one of them",
        "import a20_parquet",
        """
a20_parquet.similar(
    "DATASET",
    to="WINDOW",
    top=5,
).select("site", "window_start", "recording_offset_in_file", "similarity")
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
        folder: gets ``shards/`` and ``dataset/``; must not contain anything else.
        size_bytes: approximate size of all shards.
        progress: of writing and converting.

    Raises:
        UsageError: the folder is in use, or the size is too small for a demo.
    """
    progress = progress or NoProgress()
    if folder.exists() and {path.name for path in folder.iterdir()} - {"shards", "dataset"}:
        raise UsageError(f"{folder} has other files. Name a new folder for the demo.")
    plan = demo_plan(size_bytes)
    progress.start("writing shards", plan.size_bytes)
    shards = write_demo_shards(folder / "shards", plan, progress.advance)
    conversion = convert(shards[0].parent, folder / "dataset", progress=progress, overwrite=True)
    dataset = str(folder / "dataset")
    window = _first_window(dataset)
    queries = tuple(
        _ask(title, setup, code.strip().replace("DATASET", dataset).replace("WINDOW", window))
        for title, setup, code in _QUERIES
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


def _first_window(dataset: str) -> str:
    first = scan(dataset).select("filename", "recording_offset_in_file").head(1).collect()
    filename, offset_s = first.row(0)
    return f"{filename}@{offset_s:g}"


def _ask(title: str, setup: str, code: str) -> Query:
    names: dict[str, Any] = {}
    exec(setup, names)  # noqa: S102 - this module's own text, which is also shown
    answer = eval(code, names)  # noqa: S307 - likewise
    return Query(title, setup, code, str(answer))

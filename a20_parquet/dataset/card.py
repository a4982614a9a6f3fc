"""The dataset card ``README.md``, by which the Hugging Face Hub and ``datasets`` know a dataset."""

import html
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from a20_parquet.dataset.card_parts import BEGIN, END
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.dataset.manifest_content import existing_id
from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.formatting import format_bytes, format_count
from a20_parquet.windows.order import SORT_KEYS
from a20_parquet.windows.schema import EMBEDDING, KEYS, Column, Store, columns, file_columns

# The Hub's limits of size_categories, and their names.
_SIZES: Final = (
    *((10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M")),
    *((10**8, "100M"), (10**9, "1B"), (10**10, "10B"), (10**11, "100B"), (10**12, "1T")),
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = """\
# Embeddings of windows of audio

To be filled in: who recorded this, where, and how to cite it. The license goes into the head, above
the title, where `# license:` is. Everything outside of the marked part stays as you write it.
"""
_LICENSE: Final = "# license: to be filled in, such as cc-by-4.0, without this comment's mark\n"


def make_card(manifest: Manifest, files: Sequence[FileSummary]) -> str:
    """Write the card of a dataset that has none; it follows from manifest and files alone.

    ``merge_cards`` takes what is this program's part of it into a card that is there already.
    """
    begin = (
        f"{BEGIN}, files {manifest.files_checksum}. The text up to the next mark is written anew "
        "by convert, append and repair, and so are configs and size_categories above. -->"
    )
    body = "\n\n".join(_sections(manifest, files))
    return f"---\n{_LICENSE}{_head(manifest)}---\n\n{_FIRST}\n{begin}\n\n{body}\n\n{END}\n"


def _head(manifest: Manifest) -> str:
    # Without configs, files.parquet would be taken for data.
    return (
        "configs:\n"
        "- config_name: default\n"
        "  data_files:\n"
        "  - split: train\n"
        '    path: "data/**/*.parquet"\n'
        f"size_categories:\n- {_size_category(manifest.totals.windows)}\n"
    )


def _size_category(rows: int) -> str:
    """Return the Hub's word for a number of rows."""
    if rows < _SIZES[0][0]:
        return f"n<{_SIZES[0][1]}"
    for (_, least), (most, name) in pairwise(_SIZES):
        if rows < most:
            return f"{least}<n<{name}"
    return f"n>{_SIZES[-1][1]}"


def _sections(manifest: Manifest, files: Sequence[FileSummary]) -> Iterator[str]:
    options = manifest.options
    yield "## What it holds"
    yield _table(
        ("what", "value"),
        ((name, _escape(value)) for name, value in _figures(manifest, files)),
    )
    exact = "bit for bit" if options.store is Store.FLOAT32 else "rounded to half floats"
    keys = ", ".join(key for key in SORT_KEYS if key in _column_names(manifest))
    yield (
        "One row is one window of a recording. Rows of a file are sorted by "
        f"{keys}. The embeddings and their metadata come from Perch's TFRecord shards, "
        f"{exact}, and were written by a20-parquet. `manifest.json` lists shards and options, "
        "`files.parquet` each data file with its checksum."
    )
    yield "## Columns"
    every = file_columns(options.dims, options.features, options.store, options.key_columns)
    yield _table(("column", "type", "unit", "meaning"), map(_cells, every))
    yield "Folders' names hold further columns, which readers of Hive folders add:"
    named = [KEYS[key] for key in options.partition_by.keys]
    yield _table(("column", "type", "unit", "meaning"), map(_cells, named))
    yield from _loading(manifest)


def _figures(manifest: Manifest, files: Sequence[FileSummary]) -> Iterator[tuple[str, str]]:
    totals, options = manifest.totals, manifest.options
    yield "windows (rows)", f"{totals.windows:,}"
    yield "floats of an embedding", f"{options.dims:,}"
    yield "model", options.model or "not known"
    if options.window_size_seconds is not None:
        yield "seconds of audio of a window", f"{options.window_size_seconds:g}"
    yield "seconds from window to window", f"{options.window_seconds:g}"
    yield "sites", f"{totals.sites:,}"
    if options.partition_by.period is not None:
        yield f"different values of `{options.partition_by.period}`", f"{totals.dates:,}"
    starts = [each.first_window_us for each in files if each.first_window_us is not None]
    ends = [each.last_window_us for each in files if each.last_window_us is not None]
    if starts and ends:
        yield "first window", _instant(min(starts))
        yield "last window", _instant(max(ends))
    yield "data files", f"{totals.files:,}, {format_bytes(totals.bytes)}"
    if totals.shards:
        shards = format_count(totals.shards, "shard")
        yield "made from", f"{shards}, {format_count(totals.records, 'record')}"
        left = f"{totals.quarantined:,} records, {totals.damaged:,} damaged places"
        yield "could not be converted", left
    yield "dataset id", existing_id(manifest)


def _instant(microseconds: int) -> str:
    try:
        return f"{_EPOCH + timedelta(microseconds=microseconds):%Y-%m-%d %H:%M} UTC"
    except OverflowError:
        return "outside of the years 1 to 9999"


def _column_names(manifest: Manifest) -> set[str]:
    return {column.name for column in columns(manifest.options.dims, manifest.options.features)}


def _cells(column: Column) -> tuple[str, str, str, str]:
    kind = f"`{column.type}`{'' if column.nullable else ', never null'}"
    return f"`{_escape(column.name)}`", kind, _escape(column.unit or ""), _escape(column.meaning)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    """Keep a name from ending the cell, the line or the marked part."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")


def _loading(manifest: Manifest) -> Iterator[str]:
    keys = ", ".join(manifest.options.partition_by.keys)
    yield "## Loading it"
    yield (
        "`DATASET` is this folder, on the Hub `USER/NAME` (for polars and DuckDB "
        "`hf://datasets/USER/NAME`)."
    )
    yield (
        "```python\n"
        "from datasets import load_dataset\n\n"
        'windows = load_dataset("DATASET", split="train", streaming=True).with_format("numpy")\n'
        "```"
    )
    yield (
        "```python\n"
        "import polars as pl\n\n"
        'windows = pl.scan_parquet("DATASET/data/**/*.parquet", hive_partitioning=True)\n'
        f'windows.select("filename", "{EMBEDDING}").head(10).collect()\n'
        "```"
    )
    yield (
        "```sql\n"
        f"SELECT {keys}, count(*) AS windows\n"
        "FROM read_parquet('DATASET/data/**/*.parquet', hive_partitioning = true)\n"
        f"GROUP BY {keys} ORDER BY {keys};\n"
        "```"
    )
    yield (
        "`datasets` and the Hub's viewer take no columns from folders' names. "
        f'`a20_parquet.scan("DATASET")` and `a20-parquet info DATASET` know {keys}, and check what '
        "they read."
    )

"""Flips bits of data files, cuts them, and reads them in every way: rows are right or an error.

``python -m tests.robustness.flips --flips 4000``

Each damage is read in a child process, so that one that ends the process is seen.
"""

import json
import os
import resource
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click
import numpy as np
import polars as pl
import pyarrow.parquet as pq

import a20_parquet
from a20_parquet.errors import DatasetError
from tests.helpers.thrift import read_pages
from tests.robustness.children import start
from tests.robustness.dataset_bases import DIMS, Base, convert, write_shards

_ADDRESS_SPACE: Final = 12 << 30
_BASES: Final = (
    Base(name="features", first=("a",), options={"feature": ("logits", "label")}),
    Base(
        name="zstd",
        first=("a",),
        options={"compression": "zstd", "partition_by": "site", "row_group_rows": 5},
    ),
    Base(name="lz4", first=("a",), options={"compression": "lz4", "partition_by": "site"}),
)
_REGIONS: Final = ("footer", "header", "page", "index", "cut")
_HEADER_BYTES: Final = 40


def _similar(dataset: Path) -> pl.DataFrame:
    return a20_parquet.similar(dataset, np.arange(1.0, DIMS + 1), top=100)


def _table(dataset: Path) -> pl.DataFrame:
    import duckdb

    a20_parquet.duckdb(dataset, dataset.parent / "table.duckdb", as_="table", force=True)
    with duckdb.connect(dataset.parent / "table.duckdb") as database:
        found: pl.DataFrame = database.sql("SELECT * FROM windows").pl()
    return found


def _report(dataset: Path) -> pl.DataFrame:
    page = a20_parquet.report(dataset, dataset.parent / "report.html")
    return pl.DataFrame({"page": [page.read_text()]})


WAYS: Final[Mapping[str, Callable[[Path], pl.DataFrame]]] = {
    "collect": lambda dataset: a20_parquet.scan(dataset).collect(engine="in-memory"),
    "streaming": lambda dataset: a20_parquet.scan(dataset).collect(engine="streaming"),
    "metadata": lambda dataset: a20_parquet.scan(dataset).drop("embedding").collect(),
    "filter": lambda dataset: (
        a20_parquet.scan(dataset).filter(pl.col("channel") == 0).select("filename").collect()
    ),
    "similar": _similar,
    "report": _report,
    "duckdb --as table": _table,
}


def damage(content: bytes, region: str, draw: np.random.Generator) -> bytes:
    """Flip one bit of a data file in a region of it, or cut its end off."""
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    if region == "cut":
        return content[: int(draw.integers(len(content)))]
    if region == "footer":
        place = int(draw.integers(footer, len(content)))
    elif region == "index":
        place = int(draw.integers(_index_start(content), footer))
    elif region == "header":
        starts = _page_starts(content)
        place = starts[int(draw.integers(len(starts)))] + int(draw.integers(_HEADER_BYTES))
    else:
        place = int(draw.integers(4, footer))
    found = bytearray(content)
    found[place] ^= 1 << int(draw.integers(8))
    return bytes(found)


def _index_start(content: bytes) -> int:
    """Where the page index begins, behind the last page."""
    return max(page.stop for page in read_pages(content))


def _page_starts(content: bytes) -> list[int]:
    import io

    footer = pq.ParquetFile(io.BytesIO(content)).metadata
    starts = []
    for group in range(footer.num_row_groups):
        for column in range(footer.num_columns):
            chunk = footer.row_group(group).column(column)
            starts.append(chunk.data_page_offset)
            if chunk.has_dictionary_page:
                starts.append(chunk.dictionary_page_offset)
    return starts


def run(folder: Path, flips: int, seed: int) -> Counter[tuple[str, str, str]]:
    """Damage data files so many times; how often each region and way ended how."""

    def make() -> None:
        write_shards(folder / "shards")
        for base in _BASES:
            convert(base, folder / "shards", folder / base.name, base.first)

    start(make, folder / "output").expect(0)
    shutil.copytree(folder, folder / "whole")
    log, first = folder / "log.jsonl", 0
    log.touch()
    while first < flips:
        child = start(lambda: _try(folder, log, range(first, flips), seed), folder / "output")  # noqa: B023
        code = child.wait(limit_s=3600)
        if code == 1:
            raise RuntimeError((folder / "output").read_text())
        if code == 0:
            break
        *_, last = map(json.loads, log.read_text().splitlines())
        with log.open("a") as notes:
            notes.write(json.dumps([*last[:3], f"ends the process: {code}"]) + "\n")
        first = last[0] + 1
        for base in _BASES:
            shutil.rmtree(folder / base.name)
            shutil.copytree(folder / "whole" / base.name, folder / base.name)
    lines = map(json.loads, log.read_text().splitlines())
    return Counter((region, way, end) for _, region, way, end in lines if end)


def _try(folder: Path, log: Path, numbers: range, seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    os.chdir(folder)
    expected = {
        base.name: {way: read(folder / base.name) for way, read in WAYS.items()} for base in _BASES
    }
    with log.open("a", buffering=1) as notes:
        for number in numbers:
            draw = np.random.default_rng([seed, number])
            dataset = folder / _BASES[number % len(_BASES)].name
            region = _REGIONS[number // len(_BASES) % len(_REGIONS)]
            files = sorted(dataset.rglob("part-*.parquet"))
            file = files[int(draw.integers(len(files)))]
            content = file.read_bytes()
            file.write_bytes(damage(content, region, draw))
            for way, read in WAYS.items():
                notes.write(json.dumps([number, region, way, ""]) + "\n")
                end = _end(read, dataset, file, expected[dataset.name][way])
                notes.write(json.dumps([number, region, way, end]) + "\n")
            file.write_bytes(content)


def _end(read: Callable[[Path], Any], dataset: Path, file: Path, expected: pl.DataFrame) -> str:
    try:
        return "right" if read(dataset).equals(expected) else "wrong"
    except DatasetError as error:
        return "DatasetError" if str(file) in str(error) else f"no name: {error}"
    except BaseException as error:  # noqa: BLE001 - polars' panics are no Exceptions
        return f"{type(error).__module__}.{type(error).__name__}: {error}"


@click.command()
@click.option("--flips", default=4000, help="How many.")
@click.option("--seed", default=14, help="Chooses what is damaged.")
def main(flips: int, seed: int) -> None:
    """Damage data files and read them in every way."""
    with TemporaryDirectory() as folder:
        found = run(Path(folder), flips, seed)
    for (region, way, end), count in sorted(found.items()):
        click.echo(f"{region:7} {way:18} {count:6,} {end}")
    raise SystemExit(any(end not in {"right", "DatasetError"} for _, _, end in found))


if __name__ == "__main__":
    main()

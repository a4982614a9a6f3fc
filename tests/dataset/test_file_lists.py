"""Lists of files that somebody has changed, checksums and all, end with an error that says what."""

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import crc32c
import polars as pl
import pytest

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError
from tests.helpers.conversions import write_shuffled
from tests.helpers.manifests import write_manifest


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, whose list is put back after each test."""
    folder = tmp_path_factory.mktemp("lists")
    shards = write_shuffled(folder / "in", shards=1)
    a20_parquet.convert(shards, folder / "out", decoder="wire", partition_by="site,month")
    return folder / "out"


@pytest.fixture
def forge(whole: Path) -> Iterator[Callable[[bytes], Path]]:
    """Write other bytes as the list of files, for which the manifest vouches."""
    kept = {name: (whole / name).read_bytes() for name in ("files.parquet", "manifest.json")}

    def forge(content: bytes) -> Path:
        manifest = json.loads(kept["manifest.json"])
        manifest["files_checksum"] = f"{crc32c.crc32c(content):08x}"
        (whole / "files.parquet").write_bytes(content)
        write_manifest(whole, manifest)
        return whole

    yield forge
    for name, content in kept.items():
        (whole / name).write_bytes(content)


def one(column: str, value: Any) -> pl.Expr:
    """Another value in the first row of a column."""
    return pl.when(pl.int_range(pl.len()) == 0).then(value).otherwise(column).alias(column)


CHANGES: list[tuple[pl.Expr | None, str]] = [
    (pl.col("rows").cast(pl.Float64), "its column rows is Float64, expected Int64"),
    (pl.col("rows").cast(pl.String), "its column rows is String"),
    (pl.struct("site").alias("site"), "its column site is Struct"),
    (pl.concat_list("month").alias("month"), r"its column month is List"),
    (pl.lit("2020-10-14").alias("first_window_start"), "first_window_start is String"),
    (pl.lit(None).alias("checksum"), "its column checksum is Null"),
    (
        one("rows", 1 << 62),
        "found the rows '4611686018427387904', expected 1 to what its bytes can hold",
    ),
    (one("rows", 0), "found the rows '0'"),
    (one("rows", None), "found the rows 'None'"),
    (one("bytes", -1), "found the bytes '-1'"),
    (one("site", pl.lit("../x")), r"found the site '\.\./x', expected letters"),
    (one("site", None), "found the site 'None'"),
    (one("month", pl.lit("2020-13")), "found the month '2020-13'"),
    (one("checksum", pl.lit("\x1b[31m")), r"found the checksum '\\x1b\[31m', expected eight"),
    (
        one("last_window_start", pl.lit(1 << 62).cast(pl.Datetime("us", "UTC"))),
        "found the last_window_start ",
    ),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_other_columns_and_values(
    whole: Path, forge: Callable[[bytes], Path], change: pl.Expr, message: str
) -> None:
    """Nothing is read by such a list."""
    content = io.BytesIO()
    pl.read_parquet(whole / "files.parquet").with_columns(change).write_parquet(content)
    forge(content.getvalue())
    for use in (a20_parquet.info, a20_parquet.scan, a20_parquet.verify):
        with pytest.raises(DatasetError, match=rf"files\.parquet.*{message}"):
            use(whole)


def test_a_column_less_and_one_more(whole: Path, forge: Callable[[bytes], Path]) -> None:
    """Each column is needed; what a later version has added is passed over."""
    files = pl.read_parquet(whole / "files.parquet")
    content = io.BytesIO()
    files.drop("bytes").write_parquet(content)
    with pytest.raises(DatasetError, match=r"files\.parquet has no column bytes, expected Int64"):
        a20_parquet.scan(forge(content.getvalue()))
    content = io.BytesIO()
    files.with_columns(added=datetime(2026, 1, 1, tzinfo=UTC)).write_parquet(content)
    assert a20_parquet.verify(forge(content.getvalue())).is_good


def test_flipped_bits(whole: Path, forge: Callable[[bytes], Path]) -> None:
    """A damaged list is an error that names the file, or reads as before; no library aborts."""
    content = (whole / "files.parquet").read_bytes()
    expected = Catalog.open(whole).files
    refused = 0
    # Every byte of the first pages, whose headers are the danger, and some of the footer.
    for place in (*range(600), *range(600, len(content), 7)):
        changed = bytearray(content)
        changed[place] ^= 1
        forge(bytes(changed))
        try:
            found = Catalog.open(whole).files
        except DatasetError as error:
            assert "files.parquet" in str(error), place  # noqa: PT017 - some bytes mean nothing
            refused += 1
        else:
            assert found.shape == expected.shape, place
    assert refused > 300


def test_no_parquet(whole: Path, forge: Callable[[bytes], Path]) -> None:
    """Changed bytes at the end of the footer are an error that names the file, or mean nothing."""
    content = bytearray((whole / "files.parquet").read_bytes())
    for place in range(len(content) - 200, len(content)):
        changed = content.copy()
        changed[place] ^= 0x41
        forge(bytes(changed))
        try:
            a20_parquet.info(whole)
        except DatasetError as error:
            assert "files.parquet" in str(error)  # noqa: PT017 - some bytes mean nothing

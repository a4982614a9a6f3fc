"""Bounds of filenames and ids: of whole files, merged and shortened, and as datasets list them."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crc32c
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.file_bounds import BOUNDS
from a20_parquet.dataset.find_bounds import bound_groups, merge_bounds
from a20_parquet.errors import DatasetError
from tests.helpers.manifests import write_manifest
from tests.helpers.recordings import write_recordings

NAMES = st.text(max_size=5) | st.sampled_from(
    [
        "a" * 128,
        "a" * 129,
        "a" * 127 + "é",
        "\U0010ffff" * 129,
        "b" + "\U0010ffff" * 140,
        "\ud7ff" * 150,
        "a" * 127 + "\U0001f426b",
        "\x7f" * 200,
    ]
)
IDS = st.none() | st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-2, 2)
ROWS = st.lists(st.tuples(NAMES, IDS, st.none() | st.integers(0, 9)), min_size=1, max_size=8)


def batch(rows: list[tuple[Any, ...]]) -> Any:
    """Metadata of windows, as far as bounds are of it."""
    names, ids, sites = zip(*rows, strict=True)
    return pa.record_batch(
        {
            "filename": pa.array(names, pa.string()),
            "file_seq_id": pa.array(ids, pa.int64()),
            "site_id": pa.array(sites, pa.int32()),
        }
    )


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_bounds_are_those_of_python(groups: list[list[tuple[Any, ...]]]) -> None:
    """Ids and nulls exactly, names by their bytes; long names are bounded by shorter ones."""
    together = [row for rows in groups for row in rows]
    found = bound_groups(batch(together), [len(rows) for rows in groups])
    assert merge_bounds(found) == bound_groups(batch(together), [len(together)])[0]
    for bounds, rows in zip(found, groups, strict=True):
        # Python compares code points, which is the order of UTF-8 bytes.
        names = sorted(row[0] for row in rows)
        assert bounds.first_filename == names[0][:128]
        if bounds.last_filename is None:
            assert names[-1].startswith("\U0010ffff" * 128)
        elif len(names[-1]) <= 128:
            assert bounds.last_filename == names[-1]
        else:
            assert bounds.last_filename > names[-1]
            assert len(bounds.last_filename) <= 128
        ids = [row[1] for row in rows if row[1] is not None]
        assert bounds.first_file_seq_id == min(ids, default=None)
        assert bounds.last_file_seq_id == max(ids, default=None)
        assert bounds.null_file_seq_ids == len(rows) - len(ids)
        assert bounds.null_site_ids == sum(row[2] is None for row in rows)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """By site and month, several windows a file."""
    shards = write_recordings(tmp_path / "in")
    a20_parquet.convert(shards, tmp_path / "out", partition_by="site,month", decoder="wire")
    return tmp_path / "out"


def relist(dataset: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change the list of files, for which the manifest then vouches."""
    content = io.BytesIO()
    change(pl.read_parquet(dataset / "files.parquet")).write_parquet(content)
    (dataset / "files.parquet").write_bytes(content.getvalue())
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["files_checksum"] = f"{crc32c.crc32c(content.getvalue()):08x}"
    write_manifest(dataset, manifest)


def without_bounds(dataset: Path) -> None:
    """Make a dataset as earlier versions wrote it."""
    relist(dataset, lambda files: files.drop(*BOUNDS))


def test_lists_have_the_bounds_of_their_files(dataset: Path) -> None:
    """As polars finds them in the files."""
    files = Catalog.open(dataset).files
    assert len(files) > 3
    for row in files.iter_rows(named=True):
        windows = pl.read_parquet(dataset / row["path"], hive_partitioning=False)
        assert row["first_filename"] == windows["filename"].min()
        assert row["last_filename"] == windows["filename"].max()
        assert row["first_file_seq_id"] == windows["file_seq_id"].min()
        assert row["last_file_seq_id"] == windows["file_seq_id"].max()
        assert row["null_file_seq_ids"] == windows["file_seq_id"].null_count()
        assert row["null_site_ids"] == windows["site_id"].null_count()


def test_repair_adds_what_earlier_versions_did_not_list(dataset: Path) -> None:
    """The list is then the same, byte for byte; until then the dataset is good without it."""
    content = (dataset / "files.parquet").read_bytes()
    windows = a20_parquet.scan(dataset).collect()
    without_bounds(dataset)
    assert Catalog.open(dataset).files["null_site_ids"].null_count() > 3
    assert a20_parquet.verify(dataset).is_good
    assert a20_parquet.scan(dataset).collect().equals(windows)
    count = a20_parquet.scan(dataset).select(pl.len()).collect().item()
    assert count == len(windows)
    a20_parquet.repair(dataset)
    assert (dataset / "files.parquet").read_bytes() == content
    assert a20_parquet.verify(dataset).is_good


@pytest.mark.parametrize("known", [True, False])
def test_appends_keep_what_is_listed(dataset: Path, tmp_path: Path, known: bool) -> None:  # noqa: FBT001
    """Files that are there stay as they are, and new ones have bounds."""
    if not known:
        without_bounds(dataset)
    before = Catalog.open(dataset).files
    more = write_recordings(tmp_path / "more")
    for path in more.iterdir():
        path.write_bytes(path.read_bytes() * 2)
    a20_parquet.convert(more, dataset, partition_by="site,month", decoder="wire")
    after = Catalog.open(dataset).files
    assert len(after) > len(before)
    assert after.join(before, on="path", how="semi").equals(before)
    new = after.join(before, on="path", how="anti")
    assert not new["null_site_ids"].null_count()
    assert a20_parquet.verify(dataset).is_good


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("first_filename", "1", "its first_filename is '.*', expected '1' as in files.parquet"),
        ("last_filename", None, "its last_filename is '.*', expected None"),
        ("first_file_seq_id", -5, "its first_file_seq_id is .*, expected -5"),
        ("null_site_ids", 1, "its null_site_ids is .*, expected 1"),
    ],
)
def test_verify_finds_wrong_bounds(dataset: Path, column: str, value: Any, message: str) -> None:
    """A list that says something else than the file is named."""
    with_ids = pl.col("first_file_seq_id").is_not_null()
    is_it = pl.col("path") == pl.col("path").filter(with_ids).first()
    changed = pl.when(is_it).then(pl.lit(value)).otherwise(column).alias(column)
    relist(dataset, lambda files: files.with_columns(changed))
    (found,) = a20_parquet.verify(dataset).problems
    assert re.search(message, str(found))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            pl.lit(-1, pl.Int64).alias("null_site_ids"),
            "found the null_site_ids '-1', expected 0 to",
        ),
        (pl.lit(None, pl.Int64).alias("null_file_seq_ids"), "found the null_file_seq_ids 'None'"),
        (pl.lit(None, pl.String).alias("first_filename"), "first_filename 'None', expected one in"),
        (pl.lit("").alias("last_filename"), "found the last_filename '', expected one that is not"),
        (pl.lit(None, pl.Int64).alias("first_file_seq_id"), "first_file_seq_id 'None'"),
        (pl.lit(-(1 << 63)).alias("last_file_seq_id"), "found the last_file_seq_id '-9223"),
        (pl.lit(1).alias("first_filename"), "its column first_filename is Int32, expected String"),
    ],
)
def test_impossible_bounds(dataset: Path, change: pl.Expr, message: str) -> None:
    """Nothing is read by such a list."""
    relist(dataset, lambda files: files.with_columns(change))
    with pytest.raises(DatasetError, match=rf"files\.parquet.*{message}"):
        a20_parquet.scan(dataset)

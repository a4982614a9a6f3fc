"""What filenames tell leaves files unopened, whatever bounds say, and never a wanted one."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crc32c
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.file_bounds import BOUNDS
from a20_parquet.query.name_hints import hint_of_names
from tests.helpers.manifests import write_manifest
from tests.helpers.shards import make_record, random_tensor, write_shard

NAMES = [
    "20201014T010000+1030_Arkaba-Dry-A_49500.flac",
    "20201014T010000+1030_Arkaba-Wet-A_49501.flac",
    "20201015T010000Z_Kl9_49502.flac",
    "20201016T010000+1030_Arkaba-Dry-A_49503.flac",
    "site_0285/20201016T010000+1030_Arkaba-Dry-A_49504.flac",
]
SITES = "name,site_id,time_zone\nArkaba,285,Australia/Adelaide\n"
NO_NAME = "100sec.wav"
filename, offset = pl.col("filename"), pl.col("recording_offset_in_file")


def write(folder: Path, names: list[str]) -> Path:
    """A shard of two minutes of each recording."""
    records = [
        make_record(random_tensor((12, 1, 4), number), name, 60.0 * minute)
        for minute in range(2)
        for number, name in enumerate(names)
    ]
    write_shard(folder / "a-00000-of-00001", records)
    return folder


def forget_bounds(dataset: Path) -> None:
    """As earlier versions listed the files."""
    content = io.BytesIO()
    pl.read_parquet(dataset / "files.parquet").drop(*BOUNDS).write_parquet(content)
    (dataset / "files.parquet").write_bytes(content.getvalue())
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["files_checksum"] = f"{crc32c.crc32c(content.getvalue()):08x}"
    write_manifest(dataset, manifest)


def chosen(dataset: Path, predicate: pl.Expr) -> int | None:
    """How many files a filter chooses by names alone; None if names tell nothing."""
    catalog = Catalog.open(dataset)
    hint = hint_of_names(catalog, predicate)
    return None if hint is None else len(catalog.files.filter(hint))


Convert = Callable[..., Path]


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    """Convert recordings, with a sites table if asked for; bounds are forgotten."""

    def convert(names: list[str], *, sites: bool = False, **options: Any) -> Path:
        if sites:
            options["sites"] = tmp_path / "sites.csv"
            options["sites"].write_text(SITES)
        shards = write(tmp_path / "in", names)
        a20_parquet.convert(shards, tmp_path / "out", decoder="wire", **options)
        forget_bounds(tmp_path / "out")
        return tmp_path / "out"

    return convert


@pytest.mark.parametrize("by", ["site", "site,date"])
@pytest.mark.parametrize(
    "options", [{}, {"unknown_site": "Elsewhere"}, {"sites": True, "unknown_site": "Elsewhere"}]
)
def test_no_wanted_window_is_lost(
    convert: Convert,
    by: str,
    options: dict[str, Any],
) -> None:
    """Each recording, and each of its windows, is found as by plain polars."""
    names = NAMES + ([NO_NAME] if options else [])
    dataset = convert(names, partition_by=by, **options)
    plain = pl.scan_parquet(dataset / "data", hive_partitioning=True).collect()
    for name in names:
        for test in (
            filename == name,
            filename.is_in([name, "x"]),
            (filename == name) & (offset == 65.0),
            (pl.lit(5.0) == offset) & (pl.col("channel") == 0) & (filename == name),
            (filename == name) | (offset == 65.0),
        ):
            expected = plain.filter(test)
            assert len(expected)
            assert_frame_equal(a20_parquet.scan(dataset).filter(test).collect(), expected)


def test_files_that_names_rule_out(convert: Convert) -> None:
    """By site, and by the time of a window."""
    dataset = convert(NAMES)
    files = len(Catalog.open(dataset).files)
    assert files == 5
    assert chosen(dataset, filename == NAMES[2]) == 1
    assert chosen(dataset, filename == NAMES[4]) == 1
    assert chosen(dataset, filename == NAMES[0]) == 2
    assert chosen(dataset, (filename == NAMES[0]) & (offset == 60.0)) == 1
    assert chosen(dataset, (filename == NAMES[0]) & (offset == 1e6)) == 0
    assert chosen(dataset, filename.is_in([NAMES[1], NAMES[2]])) == 2
    for predicate in (
        filename == NO_NAME,
        filename.is_in([NAMES[0], NO_NAME]),
        filename != NAMES[0],
        (filename == NAMES[0]) | (offset == 0.0),
        filename.is_in(pl.Series([], dtype=pl.String).implode()),
        filename.str.starts_with(NAMES[0]),
        offset == 0.0,
    ):
        assert chosen(dataset, predicate) is None, predicate


def test_a_lost_sites_table_only_costs_time(convert: Convert) -> None:
    """Queries do not need it."""
    dataset = convert(NAMES, sites=True)
    assert chosen(dataset, filename == NAMES[2]) == 1
    (dataset / "sites.parquet").unlink()
    assert chosen(dataset, filename == NAMES[2]) is None
    assert len(a20_parquet.scan(dataset).filter(filename == NAMES[2]).collect()) == 24

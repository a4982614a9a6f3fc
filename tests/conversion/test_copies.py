"""Shards that hold the same records are named, so that one sees where duplicates come from."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import a20_parquet
from a20_parquet.cli.main import cli
from tests.helpers.shards import make_record, random_tensor, write_content, write_shard

SHARD = "embeddings-0000{}-of-00002"
OPTIONS: dict[str, Any] = {"decoder": "wire"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two shards, one of them in two further copies, one of these compressed."""
    folder = tmp_path / "in"
    for number in range(2):
        records = [
            make_record(random_tensor((2, 1, 8), n), timestamp_s=60.0 * n)
            for n in (2 * number, 2 * number + 1)
        ]
        write_shard(folder / SHARD.format(number), records)
    original = (folder / SHARD.format(1)).read_bytes()
    write_content(folder / "backup" / SHARD.format(1), original)
    write_content(folder / "zipped" / "x.tfrecord.gz", original, "GZIP")
    return folder


@pytest.mark.parametrize("drop", [True, False])
def test_copies_among_the_sources(source: Path, tmp_path: Path, drop: bool) -> None:  # noqa: FBT001
    """Each group by its places; other shards are in none."""
    conversion = a20_parquet.convert(source, tmp_path / "out", drop_duplicates=drop, **OPTIONS)
    places = ("backup/" + SHARD.format(1), SHARD.format(1), "zipped/x.tfrecord.gz")
    (group,) = conversion.copies
    assert sorted(group) == sorted(str(source / place) for place in places)
    assert conversion.duplicates.identical == 8
    assert conversion.dropped_duplicates == drop


def test_the_console_names_them(source: Path, tmp_path: Path) -> None:
    """Before it counts duplicates."""
    given = ["convert", "--decoder", "wire", str(source), str(tmp_path / "out")]
    lines = CliRunner().invoke(cli, given).stderr.splitlines()
    (at,) = [n for n, line in enumerate(lines) if line.startswith("copies: ")]
    assert lines[at].endswith("hold the same records")
    assert str(source / "backup" / SHARD.format(1)) in lines[at]
    assert lines[at + 1].startswith("duplicates: 8 windows equal to others")


def test_copies_of_what_is_held(source: Path, tmp_path: Path) -> None:
    """Appended later: a plain copy is held already, a compressed one is named with its original."""
    out = tmp_path / "out"
    a20_parquet.convert(source / SHARD.format(1), out, **OPTIONS)
    conversion = a20_parquet.convert(source / "backup", out, **OPTIONS)
    assert (conversion.held_shards, conversion.copies) == (1, ())
    conversion = a20_parquet.convert(source / "zipped", out, **OPTIONS)
    (group,) = conversion.copies
    assert group == (str(source / SHARD.format(1)), str(source / "zipped" / "x.tfrecord.gz"))


def test_the_same_path_twice_is_one_shard(source: Path, tmp_path: Path) -> None:
    """Named itself and found in its folder; a link is another path."""
    shutil.rmtree(source / "backup")
    shutil.rmtree(source / "zipped")
    given = [str(source), str(source / SHARD.format(0)), f"{source}/*"]
    conversion = a20_parquet.convert(given, tmp_path / "out", **OPTIONS)
    assert (conversion.new_shards, conversion.copies) == (2, ())
    link = tmp_path / "link"
    link.symlink_to(source)
    conversion = a20_parquet.convert([source, link], tmp_path / "linked", **OPTIONS)
    assert sorted(map(len, conversion.copies)) == [2, 2]


def test_empty_shards_are_no_copies(tmp_path: Path) -> None:
    """Nor are records in quarantine that are tried again copies of their shard."""
    for number in range(2):
        write_shard(tmp_path / "in" / SHARD.format(number), [])
    name = "no-site.wav"
    write_shard(tmp_path / "in" / "x.tfrecord", [make_record(random_tensor((2, 1, 8)), name)])
    options = OPTIONS | {"dims": 8}
    first = a20_parquet.convert(tmp_path / "in", tmp_path / "out", **options)
    assert (first.totals.windows, first.copies) == (0, ())
    again = a20_parquet.convert(
        tmp_path / "out/quarantine", tmp_path / "out", unknown_site="Lab", **OPTIONS
    )
    assert (again.retried_shards, again.copies) == (1, ())

"""What was selected, and how much was left out, as info, verify and report show it."""

import json
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.taken import taken, taken_lines
from a20_parquet.query.info import info
from a20_parquet.verification.verify import verify
from tests.helpers.command_line import run
from tests.helpers.manifests import as_first, edit_manifest
from tests.helpers.shards import make_record, random_tensor, write_shard

NAMES = [f"site_{site:04d}/20201014T010000+1030_A_{site}.flac" for site in (285, 286, 287)]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three conversions with two selections, and quarantine that was tried again."""
    for number in range(3):
        records = [
            make_record(random_tensor((2, 2, 8), 10 * number + n), name)
            for n, name in enumerate([*NAMES, f"{number}.wav"])
        ]
        write_shard(tmp_path / "in" / f"a-{number:05d}-of-00003", records)
    table = tmp_path / "sites.csv"
    table.write_text("name,site_id\nRidge,77\n")
    first, second, third = sorted((tmp_path / "in").iterdir())
    out = tmp_path / "out"
    common: dict[str, Any] = {"channels": "1", "site": ["286"]}
    a20_parquet.convert(first, out, **common)
    a20_parquet.convert(second, out, **common)
    a20_parquet.convert(
        third, out, channels="1", sites=table, from_date="2020-01-01", drop_duplicates=True
    )
    a20_parquet.convert(out / "quarantine", out, channels="1", unknown_site="Lab <b>")
    return out


def test_what_info_tells(dataset: Path) -> None:
    """The options of each conversion that were given, its shards, and what it left out."""
    one, two, three, four = info(dataset).conversions
    assert one == two
    assert (one.shards, one.retried_shards, one.left_out) == (1, 0, 10)
    assert one.options == {"channels": (1,), "site": ("286",)}
    assert one.selected == "--channels 1 --site 286"
    assert three.options.keys() == {"channels", "sites", "from_date", "drop_duplicates"}
    assert three.selected.endswith("--from 2020-01-01 --drop-duplicates")
    assert (three.shards, three.left_out) == (1, 6)
    assert (four.shards, four.retried_shards, four.left_out) == (0, 3, 6)
    lines = list(taken_lines(info(dataset).conversions))
    assert lines[0] == ("2 shards", "--channels 1 --site 286", "20 windows left out")
    assert lines[2][0] == "quarantine of 3 shards"
    assert "--unknown-site 'Lab <b>' --sites (the table with fingerprint " in lines[2][1]
    assert verify(dataset).conversions == info(dataset).conversions


def test_one_shard_that_is_tried_again_twice(tmp_path: Path) -> None:
    """It counts once for the same options, as older manifests may have it, and again for others."""
    names = [NAMES[0], "foreign.wav"]
    records = [make_record(random_tensor((1, 1, 8), n), name) for n, name in enumerate(names)]
    source = write_shard(tmp_path / "a-00000-of-00001", records)
    out = tmp_path / "out"
    a20_parquet.convert(source, out)
    a20_parquet.convert(out / "quarantine", out)
    assert [which for which, _, _ in taken_lines(info(out).conversions)] == ["1 shard"]
    a20_parquet.convert(out / "quarantine", out, unknown_site="Lab")
    manifest = Catalog.open(out).manifest
    first, (shard,) = manifest.conversions[0], manifest.shards
    again = manifest.model_copy(
        update={
            "conversions": (first, first, first, manifest.conversions[1]),
            "shards": (shard.model_copy(update={"retried": (1, 2, 3)}),),
        }
    )
    found = taken(again)
    lines = [which for which, _, _ in taken_lines(found)]
    assert lines == ["1 shard and quarantine of 1 shard", "quarantine of 1 shard"]
    assert [each.retried_shards for each in found] == [0, 1, 1, 1]
    assert [each.first_retried_shards for each in found] == [0, 1, 0, 1]


def test_manifests_that_do_not_tell(dataset: Path) -> None:
    """What an earlier version's conversion left out is told as far as its shards tell it."""
    edit_manifest(dataset, as_first)
    assert [each.left_out for each in info(dataset).conversions] == [None] * 4

    def without_retries(manifest: dict[str, Any]) -> None:
        for shard in manifest["shards"]:
            shard["retried"] = []

    edit_manifest(dataset, without_retries)
    # What the last one left out counts for the shards.
    assert [each.left_out for each in info(dataset).conversions] == [12, 12, 8, 0]


def test_the_commands(
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same is printed, once for each selection, and is in the report and the JSON."""
    code, text, _ = run(monkeypatch, capsys, "info", dataset)
    assert code == 0
    line = "2 shards: --channels 1 --site 286, 20 windows left out"
    assert f"  selected    {line}" in text.splitlines()
    code, text, _ = run(monkeypatch, capsys, "verify", dataset)
    assert code == 0
    assert f"selected of {line}" in text.splitlines()
    for command in ("info", "verify"):
        code, text, _ = run(monkeypatch, capsys, command, dataset, "--json")
        found = json.loads(text)["conversions"]
        assert [each["left_out"] for each in found] == [10, 10, 6, 6]
        assert found[0]["options"] == {"channels": [1], "site": ["286"]}
    page = tmp_path / "page.html"
    assert run(monkeypatch, capsys, "report", dataset, "-o", page)[0] == 0
    html = page.read_text()
    row = "2 shards: --channels 1 --site 286; 20 windows left out"
    assert html.count(f'<th scope="row">Selected</th><td>{row}</td>') == 1
    assert "--unknown-site &#x27;Lab &lt;b&gt;&#x27;" in html


def test_without_a_selection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is everything."""
    shard = write_shard(tmp_path / "a", [make_record(random_tensor((2, 2, 8)), NAMES[0])])
    a20_parquet.convert(shard, tmp_path / "out")
    (only,) = info(tmp_path / "out").conversions
    assert (only.options, only.left_out) == ({}, 0)
    text = run(monkeypatch, capsys, "info", tmp_path / "out")[1]
    assert "  selected    1 shard: everything" in text.splitlines()
    a20_parquet.convert(shard, tmp_path / "part", site=["285", "Site A"])
    (only,) = info(tmp_path / "part").conversions
    assert only.selected == "--site 285 --site 'Site A'"
    assert "selected" not in run(monkeypatch, capsys, "verify", tmp_path / "out")[1]

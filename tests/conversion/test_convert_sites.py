"""Places as values of the key ``site``: each its own, on every disk, in old datasets and new."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import a20_parquet
from a20_parquet.errors import UsageError
from a20_parquet.windows.filenames.site_token import SHARED_TOKENS, site_token
from tests.helpers.conversions import digests
from tests.helpers.manifests import write_manifest
from tests.helpers.shards import make_record, random_tensor, write_shard

PATTERN = r"(?P<site_name>[^/]+)/(?P<date>\d{8})_(?P<time>\d{6})"
LOST = ["Åsgård", "Øsgård", "北山", "南山", "Site A", "Site.A", "Site_A", "Rio+Norte", "Rio Norte"]
CASE = ["Ridge", "ridge", "RIDGE"]


def shard_of(path: Path, places: list[str]) -> Path:
    """A shard with one record of two windows for each place."""
    return write_shard(
        path,
        [
            make_record(random_tensor((2, 1, 8), seed), f"{place}/20230501_053000.wav")
            for seed, place in enumerate(places)
        ],
    )


def convert(source: Path, dataset: Path, **options: Any) -> a20_parquet.Conversion:
    return a20_parquet.convert(
        source, dataset, decoder="wire", **{"filename_pattern": PATTERN, **options}
    )


def site_of(dataset: Path) -> dict[str, list[str]]:
    """For each place the sites that it has, as plain polars reads the folders."""
    frame = pl.scan_parquet(dataset / "data").select("site", "site_name").unique().collect()
    found: dict[str, list[str]] = {}
    for site, name in sorted(frame.rows()):
        found.setdefault(name, []).append(site)
    return found


@pytest.mark.parametrize("places", [LOST, CASE])
def test_places_have_a_site_each(places: list[str], tmp_path: Path) -> None:
    """Names that differ in lost characters or case are as many sites, in folders that differ."""
    shard = shard_of(tmp_path / "a-00000-of-00001", places)
    convert(shard, tmp_path / "out")
    found = site_of(tmp_path / "out")
    assert found == {place: [site_token(place)] for place in places}
    folders = {path.name.casefold() for path in (tmp_path / "out" / "data").iterdir()}
    assert len(folders) == len(places)
    with duckdb.connect() as connection:
        [(sites,)] = connection.execute(
            f"select count(distinct site) from '{tmp_path}/out/data/**/*.parquet'"
        ).fetchall()
    assert sites == len(places)
    assert a20_parquet.verify(tmp_path / "out", source=shard, decoder="wire").problems == ()


def test_composed_names_are_one_place(tmp_path: Path) -> None:
    """A name written in two normal forms is one site, with or without a sites table."""
    places = [unicodedata.normalize(form, "Åsgård") for form in ("NFC", "NFD")]
    shard = shard_of(tmp_path / "a-00000-of-00001", places)
    convert(shard, tmp_path / "plain")
    assert site_of(tmp_path / "plain") == {place: [site_token("Åsgård")] for place in places}
    table = tmp_path / "sites.csv"
    table.write_text("name,site_id\nÅsgård,7\n")
    convert(shard, tmp_path / "numbered", sites=table)
    assert site_of(tmp_path / "numbered") == {place: ["site_0007"] for place in places}


@pytest.mark.parametrize("written", [*LOST, "RIDGE", "ridge"])
def test_places_are_selected_as_they_are_written(written: str, tmp_path: Path) -> None:
    """``--site`` takes a recorder's name, or its site, and takes that place alone."""
    shard = shard_of(tmp_path / "a-00000-of-00001", [*LOST, *CASE])
    for number, site in enumerate([written, site_token(written)]):
        convert(shard, tmp_path / str(number), site=[site])
        assert list(site_of(tmp_path / str(number))) == [written]


def test_an_unknown_site_is_named_as_written(tmp_path: Path) -> None:
    """What ``--unknown-site`` says is the site; a recorder of that very name is the same place."""
    shard = write_shard(
        tmp_path / "a-00000-of-00001",
        [make_record(random_tensor((2, 1, 8)), name) for name in ("x.wav", "Lab/20230501_053000")],
    )
    convert(shard, tmp_path / "out", unknown_site="elsewhere")
    sites = pl.scan_parquet(tmp_path / "out" / "data").select("site").collect()["site"]
    assert set(sites) == {"Lab", "elsewhere"}
    convert(shard, tmp_path / "same", unknown_site="Lab")
    sites = pl.scan_parquet(tmp_path / "same" / "data").select("site").collect()["site"]
    assert set(sites) == {"Lab"}


@pytest.mark.parametrize("is_there", [False, True])
def test_an_unknown_site_may_not_share_a_folder(tmp_path: Path, *, is_there: bool) -> None:
    """A chosen site that differs from a recorder's in case only is refused, and nothing changes."""
    lab = shard_of(tmp_path / "a-00000-of-00001", ["Lab"])
    other = shard_of(tmp_path / "b-00000-of-00001", ["Ridge"])
    nowhere = write_shard(
        tmp_path / "c-00000-of-00001", [make_record(random_tensor((2, 1, 8)), "x.wav")]
    )
    out = tmp_path / "out"
    if is_there:
        convert(other, out)
    before = digests(out) if is_there else {}
    with pytest.raises(
        UsageError, match="site=Lab and site=lab are different sites, but one folder on disks"
    ):
        a20_parquet.convert(
            [lab, nowhere], out, decoder="wire", filename_pattern=PATTERN, unknown_site="lab"
        )
    assert digests(out) == before
    convert(nowhere, out, unknown_site="lab")
    with pytest.raises(UsageError, match="site=Lab and site=lab"):
        convert(lab, out)
    assert a20_parquet.verify(out).problems == ()
    convert(other if not is_there else shard_of(tmp_path / "d-00000-of-00001", ["Hill"]), out)


@pytest.fixture
def from_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of the places ``Site A`` and ``Site.A`` as earlier versions made it."""
    dataset = tmp_path / "old"
    with monkeypatch.context() as patch:
        patch.setattr("a20_parquet.conversion.table_options.DISTINCT_TOKENS", SHARED_TOKENS)
        convert(shard_of(tmp_path / "a-00000-of-00002", ["Site A", "Site.A"]), dataset)
    manifest = json.loads((dataset / "manifest.json").read_text())
    assert manifest["options"].pop("site_tokens") == SHARED_TOKENS
    for conversion in manifest["conversions"]:
        conversion.pop("assumptions")
    write_manifest(dataset, manifest)
    return dataset


def test_one_site_in_the_words_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that share a site in a dataset select the same part of it."""
    shard, out = shard_of(tmp_path / "a-00000-of-00001", ["Site A", "Hill"]), tmp_path / "old"
    with monkeypatch.context() as patch:
        patch.setattr("a20_parquet.conversion.table_options.DISTINCT_TOKENS", SHARED_TOKENS)
        convert(shard, out, site=["Site A"])
    assert convert(shard, out, site=["Site_A"]).held_shards == 1
    with pytest.raises(UsageError, match="site is Hill, was Site A"):
        convert(shard, out, site=["Hill"])


def test_datasets_from_before_keep_their_sites(from_before: Path, tmp_path: Path) -> None:
    """They verify, take further shards of a place into its site, and say that it may be shared."""
    assert a20_parquet.verify(from_before).problems == ()
    assert a20_parquet.info(from_before).assumptions == ()
    shard_of(tmp_path / "a-00001-of-00002", ["Site A", "Site_A", "ridge"])
    conversion = convert(tmp_path, from_before)
    assert conversion.new_shards == 1
    assert site_of(from_before) == {
        "Site A": ["Site_A"],
        "Site.A": ["Site_A"],
        "Site_A": ["Site_A"],
        "ridge": ["ridge"],
    }
    [assumption] = [each for each in conversion.assumptions if each.about == "site"]
    assert "several places may share one, such as Site_A" in assumption.text
    assert assumption in a20_parquet.info(from_before).assumptions
    shards = sorted(tmp_path.glob("a-*"))
    assert a20_parquet.verify(from_before, source=shards, decoder="wire").problems == ()


def test_similar_takes_names(tmp_path: Path) -> None:
    """``similar`` takes places as they are written, and names what there is instead."""
    convert(shard_of(tmp_path / "a-00000-of-00001", LOST), tmp_path / "out")
    found = a20_parquet.similar(
        tmp_path / "out", to="Åsgård/20230501_053000.wav@0", sites=["北山", "Site.A"]
    )
    assert set(found["site"]) == {site_token("北山"), site_token("Site.A")}
    with pytest.raises(UsageError, match="has no site Sita"):
        a20_parquet.similar(tmp_path / "out", to="Åsgård/20230501_053000.wav@0", sites="Sita")


def test_columns_of_the_table_that_are_not_used(tmp_path: Path) -> None:
    """They are said, also where nothing is left to do; one that is misspelt is refused."""
    shard = shard_of(tmp_path / "a-00000-of-00001", ["Ridge"])
    table = tmp_path / "sites.csv"
    table.write_text("name,site_id,habitat\nRidge,7,heath\n")
    for _ in range(2):
        (line,) = convert(shard, tmp_path / "out", sites=table).warnings
        assert line.startswith("--sites: columns that are not used: habitat; known: name, site_id")
    table.write_text("name,timezone\nRidge,Asia/Tokyo\n")
    with pytest.raises(UsageError, match="'timezone', did you mean time_zone"):
        convert(shard, tmp_path / "other", sites=table)
    assert not (tmp_path / "other").exists()

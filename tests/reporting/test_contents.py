"""What the report tells of sites, decisions and quarantine, compared with the files."""

import json
import os
import shutil
from pathlib import Path

import pytest

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError
from a20_parquet.progress import NoProgress
from a20_parquet.reporting.contents import Contents, read_contents
from a20_parquet.reporting.report import report
from tests.helpers.shards import make_record, random_tensor, write_shard

_TENSOR = random_tensor((12, 1, 8))
_TABLE = (
    "name,site_id,time_zone,latitude,longitude\n"
    "Ridge-Dry-A,,,-27.5,152.9\n"
    "creek-wet-a,12,Australia/Brisbane,-27.55,152.95\n"
    "Other,13,,-28.6,153.1\n"
    "Nowhere,14,,,\n"
)


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with quarantine of several shards, exclusions, duplicates and guesses."""
    folder = tmp_path_factory.mktemp("messy")
    good = [
        make_record(_TENSOR, f"20201001T000000Z_{name}_1.flac", 60.0 * i)
        for name in ("Ridge-Dry-A", "Creek-Wet-A", "Nowhere")
        for i in range(2)
    ]
    good.append(make_record(_TENSOR, "site_0013/20201002T100000+1000_Renamed_5.flac"))
    bad = [
        make_record(_TENSOR, "nonsense <b>.wav"),
        make_record(random_tensor((12, 1, 4)), "20201001T000000Z_Ridge-Dry-A_9.flac"),
    ]
    write_shard(folder / "in" / "a-00000-of-00002", [*good, bad[0], good[0]])
    write_shard(folder / "in" / "a-00001-of-00002", [*bad, bad[0]])
    (folder / "sites.csv").write_text(_TABLE)
    (folder / "out.csv").write_text(
        "filename,timestamp_s\n20201001T000000Z_Nowhere_1.flac,60\nnone.flac,0\n"
    )
    a20_parquet.convert(
        folder / "in",
        folder / "messy",
        sites=folder / "sites.csv",
        exclude=folder / "out.csv",
        where="recording_offset_in_file < 115",
        dims=8,
        workers=1,
    )
    return folder / "messy"


@pytest.fixture(scope="module")
def contents(messy: Path) -> Contents:
    """What its report shows."""
    return read_contents(Catalog.open(messy), "messy", NoProgress())


def test_sites_have_names_and_positions(contents: Contents) -> None:
    """By the recorder's name whatever its case, else by the id; null where the table is silent."""
    assert {site.site: (site.recorder, site.position) for site in contents.sites} == {
        "site_0012": ("Creek-Wet-A", (-27.55, 152.95)),
        "site_0013": ("Renamed", (-28.6, 153.1)),
        "site_0014": ("Nowhere", None),
        "Ridge-Dry-A": ("Ridge-Dry-A", (-27.5, 152.9)),
    }


def test_decisions_are_told(contents: Contents) -> None:
    """Selections, what they left out, assumptions and duplicates, with their counts."""
    told = "\n".join(f"{kind}: {text}" for kind, text in contents.decisions)
    assert "Selected: 2 shards: --sites" in told
    assert "--where 'recording_offset_in_file < 115'" in told
    assert "Left out: 12 windows named in out.csv; 1 row of it named none" in told
    assert "Left out: 3 windows without recording_offset_in_file < 115" not in told
    assert "Left out: 2 windows without recording_offset_in_file < 115" in told
    assert "Assumed: hop: 5 s" in told
    assert "Duplicates: 12 windows equal to others of the same recording and time: kept" in told


def test_quarantine_has_an_example_of_each_reason(messy: Path, contents: Contents) -> None:
    """Counts, shards and examples are those of the lists."""
    entries = [
        json.loads(line)
        for path in sorted((messy / "quarantine").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    assert [(held.reason.value, held.count, held.shards) for held in contents.held] == [
        ("bad_filename", 3, 2),
        ("wrong_dims", 1, 1),
    ]
    for held in contents.held:
        assert held.example is not None
        assert json.loads(held.example.model_dump_json()) in entries
        assert held.example.reason == held.reason


def test_page_shows_all_of_it(messy: Path, tmp_path: Path) -> None:
    """The page names reasons, meanings, fixes and examples; text of others is escaped."""
    page = report(messy, tmp_path / "page.html").read_text(encoding="utf-8")
    for expected in (
        "3 records of 2 shards: <code>bad_filename</code>",
        "The filename does not tell what the dataset needs.",
        "nonsense &lt;b&gt;.wav",
        "12 windows named in out.csv",
        "The position of 1 site is unknown.",
        '<td data-value="-27.55">-27.550</td>',
        "site_0012 <span>Creek-Wet-A</span>",
    ):
        assert expected in page


def test_damaged_quarantine_is_an_error(messy: Path, tmp_path: Path) -> None:
    """A list that is missing or no list is named."""
    lists = sorted((messy / "quarantine").glob("*.jsonl"))
    kept = lists[0].read_bytes()
    try:
        lists[0].write_bytes(b"[]\n")
        with pytest.raises(DatasetError, match="line 1"):
            report(messy, tmp_path / "page.html")
        lists[0].unlink()
        with pytest.raises(DatasetError, match="cannot be read"):
            report(messy, tmp_path / "page.html")
    finally:
        lists[0].write_bytes(kept)


def test_sites_of_another_coverage_are_refused(contents: Contents) -> None:
    """Contents that do not fit together are never made."""
    with pytest.raises(ValueError, match="not those of the coverage"):
        Contents(
            name="x",
            info=contents.info,
            coverage=contents.coverage,
            sites=contents.sites[:-1],
            picture=None,
            file_bytes=contents.file_bytes,
            decisions=(),
            held=(),
        )


def test_a_pipe_in_place_of_a_list_is_an_error(messy: Path, tmp_path: Path) -> None:
    """Nobody writes to it: reading would wait for ever."""
    dataset = tmp_path / "dataset"
    shutil.copytree(messy, dataset)
    for path in (dataset / "quarantine").glob("*.jsonl"):
        path.unlink()
        os.mkfifo(path)
    with pytest.raises(DatasetError, match="named pipe"):
        report(dataset, tmp_path / "page.html")

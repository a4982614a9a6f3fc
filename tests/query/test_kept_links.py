"""Templates of links that are kept in a dataset: in every way of querying, the same links."""

import json
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest

import a20_parquet
from a20_parquet.errors import DatasetError, UsageError
from tests.helpers.command_line import run
from tests.helpers.recordings import write_recordings
from tests.helpers.shards import random_tensor

TEMPLATE = (
    "https://example.org/'{{{file_seq_id}}}?f={filename}&a={recording_offset_in_file-60}"
    "&b={recording_offset_in_file+2.5}&t={window_start}&l={window_start_local}&c={channel}"
    "&d={date}&u={utc_offset_minutes}"
)
COLUMNS = (
    "file_seq_id, filename, recording_offset_in_file, window_start, window_start_local, channel, "
    "date, utc_offset_minutes"
)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """By site and date."""
    shards = write_recordings(tmp_path / "in")
    a20_parquet.convert(shards, tmp_path / "out", decoder="wire")
    return tmp_path / "out"


def test_every_way_gives_the_same_links(dataset: Path) -> None:
    """The scan, the macro and the searches, by name or by the template itself."""
    assert a20_parquet.link(dataset) == {}
    assert a20_parquet.link(dataset, "a2o", TEMPLATE) == {"a2o": TEMPLATE}
    scanned = a20_parquet.scan(dataset, link="a2o").select("link").collect()["link"]
    assert 0 < scanned.null_count() < len(scanned)
    again = a20_parquet.scan(dataset, link=TEMPLATE).select("link").collect()["link"]
    assert again.equals(scanned)
    with a20_parquet.connect(dataset) as connection:
        connection.execute("SET TimeZone = 'Australia/Brisbane'")
        made = connection.sql(f"select link_a2o({COLUMNS}) as link from windows").pl()["link"]
    assert made.sort().equals(scanned.sort())
    vector = random_tensor((16,), 3)
    found = a20_parquet.similar(dataset, vector, top=10_000, link="a2o")
    windows = a20_parquet.scan(dataset, link="a2o").drop("embedding").collect()
    keys = ["filename", "recording_offset_in_file", "channel"]
    joined = found.join(windows.select(*keys, expected="link").unique(), on=keys, how="left")
    assert joined["link"].equals(joined["expected"].alias("link"))


def test_queries_read_what_the_link_needs(dataset: Path) -> None:
    """Filters still choose files, and embeddings are not read."""
    frame = a20_parquet.scan(dataset, link="https://example.org/{file_seq_id}")
    plan = frame.filter(pl.col("channel") == 0).select("link").explain()
    assert "PROJECT 2/" in plan
    assert "SELECTION" in plan


def test_templates_stay(dataset: Path, tmp_path: Path) -> None:
    """Verify, appends and an overwrite leave them; one of the same name is replaced."""
    a20_parquet.link(dataset, "b", "x/{site}")
    a20_parquet.link(dataset, "a", "x/{filename}")
    assert list(a20_parquet.link(dataset, "b", "y/{site}")) == ["a", "b"]
    assert a20_parquet.verify(dataset).is_good
    kept = (dataset / "links.json").read_bytes()
    a20_parquet.convert(tmp_path / "in", dataset, decoder="wire", overwrite=True)
    assert (dataset / "links.json").read_bytes() == kept
    assert a20_parquet.link(dataset) == {"a": "x/{filename}", "b": "y/{site}"}


def test_in_a_store(dataset: Path) -> None:
    """A store keeps them too."""
    fsspec.filesystem("memory").put(str(dataset), str(dataset), recursive=True)
    a20_parquet.link(f"memory:/{dataset}", "a", "x/{site}")
    assert a20_parquet.link(f"memory:/{dataset}") == {"a": "x/{site}"}
    assert a20_parquet.link(dataset) == {}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("a",), "Give both, or none"),
        ((None, "x/{site}"), "Give both, or none"),
        (("a b", "x/{site}"), "'a b' is not a name of a link, expected letters"),
        (("1", "x/{site}"), "is not a name of a link"),
        (("a", "x/{nosuch}"), "there is no column 'nosuch'"),
        (("a", "x"), "names no column"),
    ],
)
def test_mistakes(dataset: Path, arguments: Any, told: str) -> None:
    """Nothing is kept."""
    with pytest.raises(UsageError, match=told):
        a20_parquet.link(dataset, *arguments)
    assert not (dataset / "links.json").exists()


def test_names_that_are_not_kept(dataset: Path) -> None:
    """The names that there are are told."""
    for call in (
        lambda: a20_parquet.scan(dataset, link="a2o"),
        lambda: a20_parquet.similar(dataset, random_tensor((16,), 3), link="a2o"),
    ):
        with pytest.raises(UsageError, match=r"has no link 'a2o'\. It has none\. Keep one with"):
            call()
    a20_parquet.link(dataset, "x", "x/{site}")
    with pytest.raises(UsageError, match=r"It has x\. Keep one"):
        a20_parquet.scan(dataset, link="a2o")


def test_damaged_templates(dataset: Path) -> None:
    """The file is named, and what to do; other templates of columns that are gone are left out."""
    path = dataset / "links.json"
    path.write_text("{")
    for call in (lambda: a20_parquet.link(dataset), lambda: a20_parquet.connect(dataset)):
        with pytest.raises(DatasetError, match=r"links\.json has no templates .* Delete it"):
            call()
    path.write_text(json.dumps({"links": {"a": "x/{gone}", "b": "x/{site}"}}))
    with a20_parquet.connect(dataset) as connection:
        assert connection.sql("select link_b('s')").fetchall() == [("x/s",)]
    path.write_text(json.dumps({"links": {"a; drop": "x/{site}"}}))
    with pytest.raises(DatasetError, match="has no templates"):
        a20_parquet.link(dataset)


def test_the_command(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lists what is kept."""
    _, text, errors = run(monkeypatch, capsys, "link", dataset)
    assert (text, "no links are kept" in errors) == ("", True)
    _, text, _ = run(monkeypatch, capsys, "link", dataset, "a2o", "x/{site}")
    assert text == "a2o  x/{site}\n"
    _, text, _ = run(monkeypatch, capsys, "link", dataset, "--json")
    assert json.loads(text) == {"a2o": "x/{site}"}
    code, _, errors = run(monkeypatch, capsys, "link", dataset, "a2o")
    assert code == 2
    assert "Give both" in errors

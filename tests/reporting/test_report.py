"""The report without a browser: its numbers, its place and its text."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pytest

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.progress import NoProgress
from a20_parquet.query.info import info
from a20_parquet.reporting.contents import read_coverage
from a20_parquet.reporting.coverage import Coverage, Tally
from a20_parquet.reporting.heat_map import format_minutes, heat_map_json, step, top_minutes
from a20_parquet.reporting.html_parts import size_bars
from a20_parquet.reporting.render import render
from a20_parquet.reporting.report import report
from tests.helpers.command_line import run
from tests.helpers.conversions import MakeDataset
from tests.helpers.large import large_coverage
from tests.helpers.report_contents import make_contents
from tests.helpers.shards import make_record, random_tensor, write_shard


def embedded(page: str) -> dict[str, Any]:
    """What the page's script draws from."""
    (text,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL
    )
    content: dict[str, Any] = json.loads(text)
    return content


def cells(content: dict[str, Any]) -> dict[tuple[str, int], int]:
    """Windows by site and day, where there are any, read as the script reads them."""
    days = [first + i for first, count in content["days"] for i in range(count)]
    if not days:
        return {}
    numbers = np.frombuffer(base64.b64decode(content["cells"]), f"<u{content['cell_bytes']}")
    windows = np.array(content["amounts"], np.int64)[numbers].reshape(-1, len(days))
    return {
        (content["sites"][site], days[column]): int(windows[site, column])
        for site, column in np.argwhere(windows)
    }


@pytest.mark.parametrize("by", ["site,date", "site,month", "site,year", "site"])
def test_counts_are_those_of_the_data(make_dataset: MakeDataset, tmp_path: Path, by: str) -> None:
    """Sites, days and hours equal polars' ``group_by`` on the windows, whatever the keys."""
    dataset = make_dataset(by)
    page = report(dataset, tmp_path / "page.html").read_text(encoding="utf-8")
    data = pl.scan_parquet(dataset / "data", try_parse_hive_dates=False)
    start = pl.col("window_start_local")
    by_day = data.group_by("site", start.dt.date().alias("day").cast(pl.Int32)).len().collect()
    assert cells(embedded(page)) == {(site, day): count for site, day, count in by_day.rows()}
    day = start.dt.date().cast(pl.Int32).alias("day")
    by_hour = data.group_by(day, start.dt.hour().alias("hour")).len().collect()
    coverage = read_coverage(Catalog.open(dataset), NoProgress())
    found = {
        (int(coverage.days[row]), int(hour)): int(coverage.by_hour[row, hour])
        for row, hour in np.argwhere(coverage.by_hour)
    }
    assert found == {(day, hour): count for day, hour, count in by_hour.rows()}
    assert coverage.channels == 2
    assert coverage.local_unknown == 24
    assert "For 24 windows the local time is unknown" in page
    assert "<strong>96</strong>" in page


def test_same_dataset_same_bytes(make_dataset: MakeDataset, tmp_path: Path) -> None:
    """Nothing in the page depends on the time, the place or the file system."""
    dataset = make_dataset("site,date")
    first = report(dataset, tmp_path / "a.html").read_bytes()
    assert report(dataset, tmp_path / "b.html").read_bytes() == first
    assert str(dataset).encode() not in first
    fsspec.filesystem("memory").put(str(dataset), "/report-by-url", recursive=True)
    remote = report("memory://report-by-url", tmp_path / "c.html").read_text(encoding="utf-8")
    assert remote.replace("memory:///report-by-url", "site,date").encode() == first


def test_recordings_without_date(make_dataset: MakeDataset) -> None:
    """They are in the totals, and the page says that they are missing from the charts."""
    held = info(make_dataset("site"))
    coverage = Coverage(
        sites=("here", "nowhere"),
        days=np.array([18_000]),
        windows=np.array([[90], [0]]),
        undated=np.array([0, 6]),
        by_hour=np.zeros((1, 24), np.int64),
        local_unknown=0,
        channels=1,
    )
    page = render(make_contents(held, coverage))
    assert "6 windows are without date" in page
    assert "Windows without date" in page
    none = Coverage.of(("nowhere",), Tally.sum([]))
    empty = render(make_contents(held, none))
    assert 'id="heat-map" hidden' in empty
    assert cells(embedded(empty)) == {}


def test_text_is_escaped(make_dataset: MakeDataset) -> None:
    """No name of a site or a dataset becomes HTML or ends the embedded data."""
    evil = '</script><script>alert("1")</script><!-- & \'"'
    coverage = Coverage(
        sites=(evil,),
        days=np.array([18_000]),
        windows=np.array([[96]]),
        undated=np.array([0]),
        by_hour=np.zeros((1, 24), np.int64),
        local_unknown=0,
        channels=1,
    )
    page = render(make_contents(info(make_dataset("site")), coverage, evil))
    assert "alert(" in page
    assert "<script>alert(" not in page
    assert embedded(page)["sites"] == [evil]

    class Tags(HTMLParser):
        """Counts the scripts."""

        scripts = 0

        def handle_starttag(self, tag: str, attrs: object) -> None:
            del attrs
            self.scripts += tag == "script"

    tags = Tags()
    tags.feed(page)
    assert tags.scripts == 3


def test_policy_forbids_everything_from_elsewhere(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    """The page names no address and its policy allows none."""
    page = report(make_dataset("site"), tmp_path / "page.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert "unsafe" not in page
    assert not re.findall(r"https?://|//[a-z]+\.|@import|url\(", page)
    assert " style=" not in page


def test_default_place(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default the page lies in the current folder under the dataset's name."""
    monkeypatch.chdir(tmp_path)
    assert report(make_dataset("site")) == tmp_path / "site-report.html"
    assert report(make_dataset("site")).exists()  # a report is replaced
    assert [path.name for path in tmp_path.iterdir()] == ["site-report.html"]


def test_other_files_are_not_touched(make_dataset: MakeDataset, tmp_path: Path) -> None:
    """Only a report is replaced, and none is written where it would do harm."""
    dataset = make_dataset("site")
    mine = tmp_path / "mine.html"
    mine.write_text("<html>")
    with pytest.raises(UsageError, match="not replaced"):
        report(dataset, mine)
    assert mine.read_text() == "<html>"
    with pytest.raises(UsageError, match="is a folder"):
        report(dataset, tmp_path)
    with pytest.raises(UsageError, match="is not a folder"):
        report(dataset, tmp_path / "nowhere" / "page.html")
    with pytest.raises(UsageError, match="Parquet files only"):
        report(dataset, dataset / "data" / "page.html")


def test_damaged_data_file(tmp_path: Path) -> None:
    """A data file that is missing, cut or another one is named, and no page is left."""
    shard = write_shard(tmp_path / "a-00000-of-00001", [make_record(random_tensor((3, 1, 8)))])
    dataset = tmp_path / "out"
    a20_parquet.convert(shard, dataset)
    (path,) = (dataset / "data").rglob("*.parquet")
    whole = path.read_bytes()
    pl.read_parquet(path).head(1).write_parquet(path)
    with pytest.raises(DatasetError, match=r"part-0000\.parquet has \d+ bytes, expected"):
        report(dataset, tmp_path / "page.html")
    path.write_bytes(whole[:-20])
    with pytest.raises(DatasetError, match=r"part-0000\.parquet has \d+ bytes, expected"):
        report(dataset, tmp_path / "page.html")
    path.unlink()
    with pytest.raises(DatasetError, match=r"part-0000\.parquet is missing"):
        report(dataset, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_scale_ends_at_what_is_typical() -> None:
    """Whole days end at 24 hours, a sample of one percent at minutes; one outlier moves nothing."""
    whole = large_coverage(20, 100)
    assert top_minutes(whole, 5 / 60) == 24 * 60
    assert top_minutes(whole, 5 / 60 / 100) == 15
    assert top_minutes(Coverage.of((), Tally.sum([])), 1) == 1
    assert [step(value, 24) for value in (0.1, 12, 23.5, 23.9, 24, 30)] == [0, 4, 8, 9, 9, 9]
    assert [format_minutes(each) for each in (0.5, 15, 60, 90, 1440)] == [
        "0.5 min",
        "15 min",
        "1 h",
        "1.5 h",
        "24 h",
    ]


@pytest.mark.parametrize(("amounts", "width"), [(3, 1), (300, 2), (70_000, 4)])
def test_cells_are_as_narrow_as_they_can_be(amounts: int, width: int) -> None:
    """However many different amounts there are, each cell is read back."""
    windows = np.arange(1, amounts + 1).reshape(1, -1) * 7
    coverage = Coverage(
        sites=("a",),
        days=np.arange(amounts) + 10_000 + np.arange(amounts) // 2,
        windows=windows,
        undated=np.array([0]),
        by_hour=np.zeros((amounts, 24), np.int64),
        local_unknown=0,
        channels=1,
    )
    content = json.loads(heat_map_json(coverage, 1 / 12))
    assert content["cell_bytes"] == width
    found = cells(content)
    assert list(found.values()) == windows[0].tolist()
    assert [day for _, day in found] == coverage.days.tolist()


def test_file_sizes() -> None:
    """Every file is in one bin, and the median's is marked."""
    html = size_bars(np.array([0, 999, 1000, 3_400_000, 3_500_000, 3_600_000, 10**12]))
    counts = [int(text) for text in re.findall(r"<td>(\d+)</td>", html)]
    assert sum(counts) == 7
    assert html.count("median 3.4 MB") == 1
    assert "1 kB to 2 kB" in html
    assert size_bars(np.array([], np.int64)) == ""


def test_command(
    make_dataset: MakeDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command prints where the page lies."""
    target = tmp_path / "page.html"
    code, out, err = run(monkeypatch, capsys, "report", make_dataset("site"), "-o", target)
    assert (code, out) == (0, f"{target}\n")
    assert "reading times" in err
    code, out, _ = run(monkeypatch, capsys, "report", make_dataset("site"), "-o", target, "--json")
    assert json.loads(out) == {"report": str(target)}
    code, out, err = run(monkeypatch, capsys, "report", make_dataset("site"), "-o", tmp_path)
    assert (code, out) == (2, "")

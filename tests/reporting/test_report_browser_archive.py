"""The report of the whole archive in a real browser: every cell in its colour, at any width."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from a20_parquet.reporting.coverage import Coverage
from a20_parquet.reporting.render import render
from tests.helpers.browser import (
    NARROW,
    WIDE,
    Open,
    body_width,
    canvas_pixels,
    named_colour,
    pixel_at,
    visible_text,
)
from tests.helpers.large import FULL_DAY, large_coverage
from tests.helpers.report_contents import large_contents

pytestmark = pytest.mark.browser


def write_page(folder: Path, name: str, coverage: Coverage) -> Path:
    """Write the report of a dataset with this coverage."""
    path = folder / f"{name}.html"
    path.write_text(render(large_contents(folder / name, coverage)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def large() -> Coverage:
    """The whole archive: 340 sites by 1,100 days."""
    return large_coverage()


@pytest.fixture(scope="module")
def large_page(tmp_path_factory: pytest.TempPathFactory, large: Coverage) -> Path:
    """Its page."""
    return write_page(tmp_path_factory.mktemp("large"), "archive", large)


def gaps(coverage: Coverage) -> npt.NDArray[np.bool_]:
    """Days without a window between a site's first and last, shape (sites, days)."""
    recorded = coverage.windows > 0
    begun = np.maximum.accumulate(recorded, axis=1)
    not_over = np.maximum.accumulate(recorded[:, ::-1], axis=1)[:, ::-1]
    missing: npt.NDArray[np.bool_] = begun & not_over & ~recorded
    return missing


def test_archive_at_full_width(open_page: Open, large_page: Path, large: Coverage) -> None:
    """340 sites by 1,100 days fit with a column a day, every one in its colour."""
    assert large_page.stat().st_size < 3_000_000
    page = open_page(large_page).page
    assert f"{large.total:,}" in visible_text(page)
    assert "one column a day" in page.inner_text("#cell-means")
    box = page.locator("#cells").bounding_box()
    assert box is not None
    assert box["width"] >= 1100
    assert box["height"] >= 3 * 340
    gap, full = named_colour(page, "--gap"), named_colour(page, "--c9")
    draw = np.random.default_rng(1)
    pixels = canvas_pixels(page)
    for wanted, colour in ((gaps(large), gap), (large.windows == FULL_DAY, full)):
        for site, day in draw.permutation(np.argwhere(wanted))[:500]:
            x, y = (day + 0.5) / 1100, (site + 0.5) / 340
            assert pixel_at(pixels, x, y) == colour, (site, day)
    page.click("#years >> text=2020")
    assert page.locator("#axis .major").all_text_contents() == ["2020"]
    assert body_width(page) <= WIDE


def test_archive_on_a_phone_hides_no_gap(
    open_page: Open, large_page: Path, large: Coverage
) -> None:
    """Columns are weeks, and a week with a single missing day has some of the gap's colour."""
    page = open_page(large_page, NARROW, device_scale_factor=1).page
    assert body_width(page) <= NARROW
    assert "one column 7 days" in page.inner_text("#cell-means")
    pixels = canvas_pixels(page)
    height, width, _ = pixels.shape
    rows = pixels.reshape(340, height // 340, width, 3)
    is_gap = (rows == np.array(named_colour(page, "--gap"), np.uint8)).all(-1).any(1)
    weeks = np.arange(0, 1100, 7)
    left = np.round(np.arange(len(weeks)) * width / len(weeks)).astype(int)
    has_gap = np.logical_or.reduceat(gaps(large), weeks, axis=1)
    np.testing.assert_array_equal(is_gap[:, left], has_gap)


def test_far_dates_do_not_squeeze_the_rest(open_page: Open, tmp_path: Path) -> None:
    """A recorder with its clock at 1970 gets a stretch of its own behind a cut of the axis."""
    coverage = large_coverage(10, 300)
    windows = np.zeros((10, 301), np.int64)
    windows[:, 1:] = coverage.windows
    windows[0, 0] = 12
    far = Coverage(
        sites=coverage.sites,
        days=np.append(0, coverage.days),
        windows=windows,
        undated=coverage.undated,
        by_hour=np.concatenate([coverage.by_hour[:1], coverage.by_hour]),
        local_unknown=0,
        channels=1,
    )
    page = open_page(write_page(tmp_path, "far", far)).page
    assert "one column a day" in page.inner_text("#cell-means")
    assert page.locator("#years button").all_text_contents() == ["all", "1970", "2019", "2020"]
    box = page.locator("#cells").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 1, box["y"] + 5)
    assert "1970-01-01" in page.inner_text("#tip")

"""The report in a real browser: no errors, no network, the right numbers and colours."""

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import a20_parquet
from a20_parquet.query.info import catalog_info
from a20_parquet.reporting.coverage import Coverage
from a20_parquet.reporting.render import render
from a20_parquet.reporting.report import report
from tests.helpers.large import FULL_DAY, large_catalog, large_coverage
from tests.helpers.shards import make_record, random_tensor, write_shard

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, NARROW = 1280, 400
OPENS_WITHIN_MS = 30_000  # loaded machines too: more would mean that it hangs


@dataclass(frozen=True)
class Opened:
    """A page with what it asked for and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


Open = Callable[..., Opened]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The installed Chromium; without one the tests are skipped, or fail where one must be."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None and os.environ.get("A20_PARQUET_REQUIRE_BROWSER"):
        pytest.fail(f"none of {', '.join(NAMES)} is installed")
    if path is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens files, each in a new profile, and checks at the end that all went quietly."""
    opened: list[Opened] = []

    def open_file(file: Path, width: int = WIDE, **options: Any) -> Opened:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        one = Opened(context.new_page())
        opened.append(one)
        one.page.on("request", lambda request: one.requests.append(request.url))
        one.page.on("console", lambda message: one.complaints.append(message.text))
        one.page.on("pageerror", lambda error: one.complaints.append(str(error)))
        one.page.goto(file.as_uri(), timeout=OPENS_WITHIN_MS)
        assert one.requests == [file.as_uri()]
        return one

    yield open_file
    for one in opened:
        assert one.complaints == []
        assert len(one.requests) == 1
        one.page.context.close()


@pytest.fixture(scope="module")
def small_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sites on five days; the second has a gap, the third comes late and has most."""
    folder = tmp_path_factory.mktemp("report")
    recorded = {"site_0001": (1, 2, 3, 4, 5), "site_0002": (1, 2, 4), "site_0003": (3, 4)}
    minutes = {"site_0001": 1, "site_0002": 2, "site_0003": 30}
    records = [
        make_record(
            random_tensor((12, 1, 8)),
            f"{site}/202010{day:02d}T040000+1000_Here_{day}.flac",
            60.0 * i,
        )
        for site, days in recorded.items()
        for day in days
        for i in range(minutes[site])
    ]
    shard = write_shard(folder / "in" / "a-00000-of-00001", records)
    a20_parquet.convert(shard, folder / "birds", workers=1)
    return report(folder / "birds", folder / "birds.html")


@pytest.fixture(scope="module")
def large() -> Coverage:
    """The whole archive: 340 sites by 1,100 days."""
    return large_coverage()


@pytest.fixture(scope="module")
def large_page(tmp_path_factory: pytest.TempPathFactory, large: Coverage) -> Path:
    """Its page."""
    folder = tmp_path_factory.mktemp("large")
    catalog = large_catalog(folder / "archive", large)
    page = render("archive", catalog_info(catalog), large, catalog.files["bytes"].to_numpy())
    path = folder / "archive.html"
    path.write_text(page, encoding="utf-8")
    return path


def canvas_pixels(page: Page) -> npt.NDArray[np.uint8]:
    """The heat map's colours, shape (height, width, 3)."""
    script = """() => {
        const canvas = document.getElementById("cells");
        const copy = new OffscreenCanvas(canvas.width, canvas.height);
        const pen = copy.getContext("2d", { willReadFrequently: true });
        pen.drawImage(canvas, 0, 0);
        const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
        let text = "";
        for (let i = 0; i < data.length; i += 8192)
            text += String.fromCharCode(...data.subarray(i, i + 8192));
        return [canvas.width, canvas.height, btoa(text)];
    }"""
    width, height, text = page.evaluate(script)
    pixels = np.frombuffer(base64.b64decode(text), np.uint8)
    return pixels.reshape(height, width, 4)[..., :3]


def canvas_pixel(page: Page, x: float, y: float) -> tuple[int, ...]:
    """The colour of the heat map at a part of its width and height."""
    return pixel_at(canvas_pixels(page), x, y)


def pixel_at(pixels: npt.NDArray[np.uint8], x: float, y: float) -> tuple[int, ...]:
    """The colour at a part of the width and height."""
    height, width, _ = pixels.shape
    return tuple(pixels[int(y * height), int(x * width)].tolist())


def gaps(coverage: Coverage) -> npt.NDArray[np.bool_]:
    """Days without a window between a site's first and last, shape (sites, days)."""
    recorded = coverage.windows > 0
    begun = np.maximum.accumulate(recorded, axis=1)
    not_over = np.maximum.accumulate(recorded[:, ::-1], axis=1)[:, ::-1]
    missing: npt.NDArray[np.bool_] = begun & not_over & ~recorded
    return missing


def named_colour(page: Page, name: str) -> tuple[int, ...]:
    """A colour of the page's palette."""
    script = "(name) => getComputedStyle(document.documentElement).getPropertyValue(name)"
    text = page.evaluate(script, name).strip()
    return tuple(bytes.fromhex(text.removeprefix("#")))


def names(page: Page) -> list[str]:
    """The sites in the order of the table."""
    return page.locator("#sites tbody th").all_text_contents()


def body_width(page: Page) -> int:
    """How wide the page would have to be to show all without scrolling sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth"))


def visible_text(page: Page) -> str:
    """What can be read."""
    return page.inner_text("body")


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_numbers_are_shown(open_page: Open, small_page: Path, width: int) -> None:
    """Totals, sites and hours are text on the page, and nothing sticks out."""
    page = open_page(small_page, width).page
    text = visible_text(page)
    for expected in ("birds", "852", "1.2 h", "71 records", "3", "10 site days", "2020-10-05"):
        assert expected in text
    assert "Nothing is in quarantine" in text
    assert page.locator("#sites tbody tr").nth(1).all_inner_texts()[0].split() == [
        "site_0002", "72", "0.1", "2020-10-01", "2020-10-04", "3", "75.0", "%", "1",
    ]  # fmt: skip
    assert page.locator(".hours tbody tr").nth(9).locator("td").nth(4).inner_text() == "852"
    assert body_width(page) <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_cells_have_their_colours(open_page: Open, small_page: Path, scheme: str) -> None:
    """A gap, a full cell, a nearly empty one and a day before the first all look different."""
    page = open_page(small_page, color_scheme=scheme).page

    def cell(site: int, day: int) -> tuple[int, ...]:
        return canvas_pixel(page, (day - 0.5) / 5, (site - 0.5) / 3)

    gap, outside = named_colour(page, "--gap"), named_colour(page, "--outside")
    assert cell(2, 3) == gap
    assert {cell(3, 1), cell(3, 2), cell(3, 5), cell(2, 5)} == {outside}
    assert cell(3, 3) == cell(3, 4) == named_colour(page, "--c9")
    assert cell(1, 1) == named_colour(page, "--c0")
    assert len({gap, outside, cell(3, 3), cell(1, 1)}) == 4


def test_pointing_tells_the_cell(open_page: Open, small_page: Path) -> None:
    """Mouse and arrow keys show site, day and amount; leaving hides them."""
    page = open_page(small_page).page
    box = page.locator("#cells").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    assert page.inner_text("#tip").split("\n") == ["site_0002", "2020-10-03", "no recording"]
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.9)
    assert page.inner_text("#tip").split("\n")[1:] == [
        "2020-10-03",
        "360 windows, 30 min of audio",
    ]
    page.mouse.move(2, 2)
    assert page.locator("#tip").is_hidden()
    page.focus("#cells")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    expected = ["site_0002", "2020-10-02", "24 windows, 2 min of audio"]
    assert page.inner_text("#tip").split("\n") == expected
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()
    hour = page.locator(".hours tbody tr").nth(9).locator("td").nth(4)
    hour.scroll_into_view_if_needed()
    page.wait_for_timeout(200)  # scrolling hides what was shown, a moment later
    hour.hover()
    assert page.inner_text("#tip").split("\n") == ["Oct, 04:00 to 04:59", "852 windows"]


def test_touching_tells_the_cell(open_page: Open, small_page: Path) -> None:
    """A tap does what the mouse does."""
    page = open_page(small_page, NARROW, has_touch=True, is_mobile=True).page
    cells = page.locator("#cells")
    cells.scroll_into_view_if_needed()
    box = cells.bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    assert page.inner_text("#tip").split("\n") == ["site_0002", "2020-10-03", "no recording"]


def test_sorting_orders_table_and_heat_map(open_page: Open, small_page: Path) -> None:
    """By name, amount and first day, from the buttons and the headings."""
    page = open_page(small_page).page
    assert names(page) == ["site_0001", "site_0002", "site_0003"]
    page.click("#order >> text=windows")
    assert names(page) == ["site_0003", "site_0002", "site_0001"]
    assert page.locator("#labels span").all_text_contents() == names(page)
    assert canvas_pixel(page, 0.5, 0.5 / 3) == named_colour(page, "--c9")
    page.click("#sites >> text=Windows")
    assert names(page) == ["site_0001", "site_0002", "site_0003"]
    page.click("#sites >> text=Longest gap")
    assert names(page) == ["site_0002", "site_0001", "site_0003"]
    page.click("#order >> text=first day")
    assert names(page) == ["site_0001", "site_0002", "site_0003"]
    assert page.locator("#sites [aria-sort]").all_inner_texts() == ["First day"]


def test_without_script(open_page: Open, small_page: Path) -> None:
    """The numbers are there, and a line says where to look instead of the heat map."""
    page = open_page(small_page, java_script_enabled=False).page
    text = visible_text(page)
    assert "852" in text
    assert "site_0003" in text
    assert "The heat map needs JavaScript" in text


def test_printing_takes_the_light_palette(open_page: Open, small_page: Path) -> None:
    """A dark page prints on white, and is dark again afterwards."""
    page = open_page(small_page, color_scheme="dark").page
    dark = canvas_pixel(page, 0.5, 0.9)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    light = canvas_pixel(page, 0.5, 0.9)
    assert light != dark
    assert light == named_colour(page, "--c9")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert canvas_pixel(page, 0.5, 0.9) == dark
    assert page.pdf().startswith(b"%PDF")


def test_archive_at_full_width(open_page: Open, large_page: Path, large: Coverage) -> None:
    """340 sites by 1,100 days fit with a column a day, every one in its colour."""
    assert large_page.stat().st_size < 2_000_000
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
        by_hour=coverage.by_hour,
        local_unknown=0,
        channels=1,
    )
    catalog = large_catalog(tmp_path / "far", far)
    path = tmp_path / "far.html"
    path.write_text(render("far", catalog_info(catalog), far, catalog.files["bytes"].to_numpy()))
    page = open_page(path).page
    assert "one column a day" in page.inner_text("#cell-means")
    assert page.locator("#years button").all_text_contents() == ["all", "1970", "2019", "2020"]
    box = page.locator("#cells").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 1, box["y"] + 5)
    assert "1970-01-01" in page.inner_text("#tip")

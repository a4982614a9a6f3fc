"""The report in a real browser: no errors, no network, the right numbers and colours."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

import a20_parquet
from a20_parquet.reporting.report import report
from tests.helpers.browser import (
    NARROW,
    WIDE,
    Open,
    body_width,
    canvas_pixel,
    named_colour,
    visible_text,
)
from tests.helpers.shards import make_record, random_tensor, write_shard

pytestmark = pytest.mark.browser


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


def names(page: Page) -> list[str]:
    """The sites in the order of the table."""
    return [text.split()[0] for text in page.locator("#sites tbody th").all_text_contents()]


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_numbers_are_shown(open_page: Open, small_page: Path, width: int) -> None:
    """Totals, sites and hours are text on the page, and nothing sticks out."""
    page = open_page(small_page, width).page
    text = visible_text(page)
    for expected in ("birds", "852", "1.18 h", "71 records", "3", "10 site days", "2020-10-05"):
        assert expected in text
    assert "Nothing is in quarantine" in text
    assert page.locator("#sites tbody tr").nth(1).all_inner_texts()[0].split() == [
        "site_0002", "Here", "72", "0.10", "2020-10-01", "2020-10-04", "3", "75.0", "%", "1",
    ]  # fmt: skip
    assert page.locator(".hours tbody th").all_inner_texts() == [
        f"{day} Oct" for day in range(1, 6)
    ]
    fourth = page.locator(".hours tbody tr").nth(3)
    assert fourth.locator("td").nth(4).inner_text() == fourth.locator(".sum").inner_text() == "0.55"
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
    assert page.inner_text("#tip").split("\n") == ["site_0002 Here", "2020-10-03", "no recording"]
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
    expected = ["site_0002 Here", "2020-10-02", "24 windows, 2 min of audio"]
    assert page.inner_text("#tip").split("\n") == expected
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()
    hour = page.locator(".hours tbody tr").nth(3).locator("td").nth(4)
    hour.scroll_into_view_if_needed()
    page.wait_for_timeout(200)  # scrolling hides what was shown, a moment later
    hour.hover()
    assert page.inner_text("#tip").split("\n") == ["4 Oct, 04:00 to 04:59", "33 min recorded"]


def test_touching_tells_the_cell(open_page: Open, small_page: Path) -> None:
    """A tap does what the mouse does."""
    page = open_page(small_page, NARROW, has_touch=True, is_mobile=True).page
    cells = page.locator("#cells")
    cells.scroll_into_view_if_needed()
    box = cells.bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    assert page.inner_text("#tip").split("\n") == ["site_0002 Here", "2020-10-03", "no recording"]


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

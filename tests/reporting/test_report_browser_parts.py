"""Finding sites, the map, the picture and the keyboard in a real browser."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

import a20_parquet
from a20_parquet.reporting.coverage import Coverage
from a20_parquet.reporting.render import render
from a20_parquet.reporting.report import report
from tests.helpers.browser import (
    NARROW,
    WIDE,
    Open,
    body_width,
    canvas_pixels,
    named_colour,
    visible_text,
)
from tests.helpers.large import large_coverage
from tests.helpers.report_contents import large_contents
from tests.helpers.shards import make_record, random_tensor, write_shard

pytestmark = pytest.mark.browser

_SITES = 40


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty sites with positions and a picture, on three hundred days."""
    folder = tmp_path_factory.mktemp("parts")
    path = folder / "page.html"
    contents = large_contents(folder / "data", large_coverage(_SITES, 300))
    path.write_text(render(contents), encoding="utf-8")
    return path


def sparse_coverage(sites: int, days: int) -> Coverage:
    """A few minutes on some days."""
    dense = large_coverage(sites, days)
    draw = np.random.default_rng(5)
    windows = draw.poisson(3, (sites, days)) * 12 * (draw.random((sites, days)) < 0.3)
    windows[:, 0] = windows[:, -1] = 12
    return Coverage(
        sites=dense.sites,
        days=dense.days,
        windows=windows,
        undated=dense.undated,
        by_hour=dense.by_hour,
        local_unknown=0,
        channels=1,
    )


def shown_sites(page: Page) -> list[str]:
    """The sites in the table."""
    heads = page.locator("#sites tbody tr:not([hidden]) th")
    return [text.split()[0] for text in heads.all_text_contents()]


def tip(page: Page) -> list[str]:
    """What is told of the thing that is pointed at."""
    return page.inner_text("#tip").split("\n")


def test_sites_are_found(open_page: Open, page_file: Path) -> None:
    """A part of an id or a recorder's name leaves its rows in heat map and table."""
    page = open_page(page_file).page
    height = page.locator("#cells").evaluate("(it) => it.clientHeight")
    page.fill("#find", "recorder-01")
    assert shown_sites(page) == [f"site_0{number}" for number in range(210, 220)]
    assert page.inner_text("#found") == "10 of 40 sites"
    assert page.locator("#cells").evaluate("(it) => it.clientHeight") < height
    page.fill("#find", "0203, 0239")
    assert shown_sites(page) == ["site_0203", "site_0239"]
    assert page.locator("#labels span").all_text_contents() == ["site_0203", "site_0239"]
    page.fill("#find", "nothing like this")
    assert shown_sites(page) == []
    assert page.locator("#heat-map").is_hidden()
    page.click("#clear")
    assert len(shown_sites(page)) == _SITES
    assert page.inner_text("#found") == ""
    assert page.evaluate("document.activeElement.id") == "find"


def test_map_finds_sites(open_page: Open, page_file: Path) -> None:
    """A circle tells its sites, and chooses them by mouse and keyboard."""
    page = open_page(page_file).page
    circle = page.locator("#map circle").last
    circle.scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    circle.hover()
    (number,) = (circle.get_attribute("data-sites") or "").split()
    site = f"site_{200 + int(number):04d}"
    assert tip(page)[0].split()[0] == site
    circle.click()
    assert shown_sites(page) == [site]
    assert page.locator("#map circle:not(.off)").count() == 1
    page.click("#clear")
    page.focus("#map")
    page.keyboard.press("ArrowRight")
    first = tip(page)
    page.keyboard.press("ArrowRight")
    assert tip(page) != first
    page.keyboard.press("ArrowLeft")
    assert tip(page) == first
    page.keyboard.press("Enter")
    assert shown_sites(page) == [first[0].split()[0]]


def test_picture_names_windows(open_page: Open, page_file: Path) -> None:
    """Mouse and arrows tell site, time and window of a point; the table has all of them."""
    page = open_page(page_file).page
    picture = page.locator("#picture")
    picture.scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    page.evaluate("document.getElementById('picture').focus()")
    page.keyboard.press("ArrowRight")
    first = tip(page)
    assert first[0].startswith("site_0")
    assert ".flac@" in first[1]
    page.keyboard.press("ArrowRight")
    assert tip(page) != first
    x, y = page.evaluate("[spots[7].x, spots[7].y]")
    box = picture.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + x, box["y"] + y)
    name = page.evaluate("windowName(7)")
    assert any(name in line for line in tip(page))
    page.mouse.move(2, 2)
    assert page.locator("#tip").is_hidden()
    page.click("#sample-table summary")
    rows = page.locator("#sample-rows tr")
    assert rows.count() == 2000
    assert name in rows.nth(7).inner_text()


def test_picture_has_three_colourings(open_page: Open, page_file: Path) -> None:
    """By hour, site and month, each with a legend; chosen sites stand out."""
    page = open_page(page_file).page

    def pixels() -> str:
        return str(page.evaluate("document.getElementById('picture').toDataURL()"))

    seen = [pixels()]
    for name, expected in (("site", "other sites"), ("month", "Dec"), ("hour of the day", "23:00")):
        page.click(f"#colouring >> text={name}")
        assert expected in page.inner_text("#picture-legend")
        seen.append(pixels())
    assert len(set(seen)) == 3
    assert seen[0] == seen[-1]
    page.fill("#find", "site_0205")
    assert pixels() not in seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_sparse_archives_do_not_drown_in_gaps(open_page: Open, tmp_path: Path, scheme: str) -> None:
    """Where most days have no recording, nothing has the gap's colour, at any width."""
    path = tmp_path / "sparse.html"
    contents = large_contents(tmp_path / "data", sparse_coverage(30, 400))
    path.write_text(render(contents), encoding="utf-8")
    for width in (WIDE, NARROW):
        page = open_page(path, width, color_scheme=scheme).page
        pixels = canvas_pixels(page).reshape(-1, 3)
        colours = {tuple(colour) for colour in np.unique(pixels, axis=0).tolist()}
        assert named_colour(page, "--gap") not in colours
        assert named_colour(page, "--seldom") in colours
        assert "days without are pale" in page.inner_text("#cell-means")
        assert body_width(page) <= width


def test_few_days_fill_the_width(open_page: Open, tmp_path: Path) -> None:
    """Two days in different years are two wide cells; the cut of the axis is told."""
    records = [
        make_record(random_tensor((12, 1, 8)), f"site_0001/{day}T040000+1000_Here_1.flac")
        for day in ("20190312", "20221104")
    ]
    shard = write_shard(tmp_path / "in" / "a-00000-of-00001", records)
    a20_parquet.convert(shard, tmp_path / "two", workers=1)
    path = report(tmp_path / "two", tmp_path / "two.html")
    for width in (WIDE, NARROW):
        page = open_page(path, width).page
        field, cells = (page.locator(each).bounding_box() for each in ("#field", "#cells"))
        assert field is not None
        assert cells is not None
        assert cells["width"] >= 0.95 * field["width"]
        assert page.locator("#axis .major").all_text_contents() == ["Mar 2019", "Nov 2022"]
        assert "The axis is cut" in page.inner_text("#cell-means")
        pixels = canvas_pixels(page)
        is_full = (pixels[5] == np.array(named_colour(page, "--c9"), np.uint8)).all(axis=-1)
        assert is_full.mean() > 0.9


def test_keyboard_reaches_everything(open_page: Open, page_file: Path) -> None:
    """The tab key goes through all controls in the order in which they stand."""
    page = open_page(page_file).page
    reached: list[list[Any]] = []
    for _ in range(80):
        page.keyboard.press("Tab")
        at = page.evaluate(
            "[document.activeElement.id || document.activeElement.textContent.trim().slice(0, 20),"
            " document.activeElement.getBoundingClientRect().top + scrollY,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        if at[0] == "page" or (reached and at == reached[0]):
            break
        reached.append(at)
        if at[0].startswith("The sample as"):
            break
    names = [name for name, _, _ in reached]
    for name in ("find", "all", "2019", "windows", "cells", "Site", "map", "site", "picture"):
        assert name in names
    order = [names.index(name) for name in ("find", "cells", "Site", "map", "picture")]
    assert order == sorted(order)
    assert all(outline == "solid" for name, _, outline in reached if name != "find")


def test_screen_readers_have_names(open_page: Open, page_file: Path) -> None:
    """Each control, image and region has a name; each section is named by its heading."""
    page = open_page(page_file).page
    tree = page.locator("body").aria_snapshot()
    for expected in (
        'searchbox "Find sites"',
        'region "Table of sites"',
        'region "Where the sites are"',
        'img "Map of 40 sites',
        'img "Heat map of recordings',
        'img "Points of a sample',
        'group "Colour points by"',
        'group "Years"',
    ):
        assert expected in tree
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, [role=img], [role=region]')].filter("
        "(it) => !(it.textContent.trim() || it.getAttribute('aria-label') || it.labels?.length))"
        ".length"
    )
    assert unnamed == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nothing_sticks_out(open_page: Open, page_file: Path, width: int, scheme: str) -> None:
    """All parts fit the width, and text is readable on its ground."""
    page = open_page(page_file, width, color_scheme=scheme).page
    assert body_width(page) <= width
    assert "What sounds alike" in visible_text(page)
    for name in ("--ink", "--soft", "--accent"):
        assert contrast(named_colour(page, name), named_colour(page, "--page")) >= 4.5


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """The contrast ratio of WCAG 2."""

    def luminance(colour: tuple[int, ...]) -> float:
        parts = [value / 255 for value in colour]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)

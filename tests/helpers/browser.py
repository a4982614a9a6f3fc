"""Opened reports, and what a browser shows of them."""

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

WIDE, NARROW = 1280, 400
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


@contextmanager
def open_browser() -> Iterator[Browser]:
    """The installed Chromium; without one the test is skipped, or fails where one must be."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None and os.environ.get("A20_PARQUET_REQUIRE_BROWSER"):
        pytest.fail(f"none of {', '.join(NAMES)} is installed")
    if path is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Opened:
    """A page with what it asked for and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


Open = Callable[..., Opened]


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


def named_colour(page: Page, name: str) -> tuple[int, ...]:
    """A colour of the page's palette."""
    script = "(name) => getComputedStyle(document.documentElement).getPropertyValue(name)"
    text = page.evaluate(script, name).strip()
    return tuple(bytes.fromhex(text.removeprefix("#")))


def body_width(page: Page) -> int:
    """How wide the page would have to be to show all without scrolling sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth"))


def visible_text(page: Page) -> str:
    """What can be read."""
    return page.inner_text("body")

"""Opens reports in a browser, without errors and without a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.helpers.browser import WIDE, Open, Opened

OPENS_WITHIN_MS = 30_000  # loaded machines too: more would mean that it hangs


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

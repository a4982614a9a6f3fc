"""The documents' code runs, on the dataset that the README's first command makes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser

import a20_parquet
from a20_parquet.cli.main import cli
from a20_parquet.windows.filenames.patterns import GROUPS
from a20_parquet.windows.rejection import Reason

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
README = PAGES[0].read_text()
PYTHON_BLOCKS = {
    f"{path.stem} {number}": block
    for path in PAGES
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL))
}


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``a20-parquet demo`` was run, with less data."""
    folder = tmp_path_factory.mktemp("readme")
    command = [sys.executable, "-m", "a20_parquet", "demo", "--size", "10MB"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for expected in (
        "windows",
        "a20_parquet.scan",
        "a20_parquet.connect",
        "similarity",
    ):
        assert expected in done.stdout
    return folder


@pytest.mark.parametrize("block", PYTHON_BLOCKS.values(), ids=PYTHON_BLOCKS.keys())
def test_python_runs(demo_folder: Path, block: str) -> None:
    """Each Python block runs as it stands and prints something that is not empty."""
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=demo_folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "shape: (0," not in done.stdout
    assert "0 rows" not in done.stdout


def test_readme_has_its_two_commands() -> None:
    """One command installs and runs the demo, one installs and runs the tests."""
    assert "$ pip install . && a20-parquet demo\n" in README
    assert "$ pip install '.[dev]' && pytest\n" in README


def test_docs_list_every_reason_and_group() -> None:
    """What can bring a record into quarantine is documented as the code says it."""
    quarantine = (ROOT / "docs" / "quarantine.md").read_text().replace("`", "")
    for reason in Reason:
        assert f"| {reason} | {reason.meaning}" in quarantine
    converting = (ROOT / "docs" / "converting.md").read_text()
    for group in GROUPS:
        assert f"`{group}`" in converting


def anchors(page: Path) -> set[str]:
    """What links to a page's headings end in, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link within the project names a file that is there, and one of its headings."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if not path.startswith("https:"):
            linked = page.parent / path if path else page
            assert linked.exists(), target
            assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_exist(page: Path) -> None:
    """Each command of a console block exists, with each option that it is given."""
    for line in re.findall(r"^\$ a20-parquet (.+)$", page.read_text(), re.MULTILINE):
        name, *words = line.split()
        known = {option for param in cli.commands[name].params for option in param.opts}
        known |= {"-vv"}
        assert not {word for word in words if word.startswith("-")} - known, line


def test_readme_leads_to_each_page() -> None:
    """No page of ``docs/`` is missing from the README's list."""
    for page in PAGES[1:]:
        assert f"[docs/{page.name}](docs/{page.name})" in README


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a warning."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_site_has_every_column_command_and_name(site: Path) -> None:
    """The generated pages list what the schemas, the command line and the package have."""
    columns = (site / "columns.html").read_text()
    for column in json.loads((ROOT / "schemas" / "windows.json").read_text())["columns"]:
        assert f"<code>{column['name']}</code>" in columns
    commands = (site / "command-line.html").read_text()
    for name, command in cli.commands.items():
        assert f'id="{name}"' in commands
        for param in command.params:
            assert max(param.opts, key=len) in commands or not param.opts[0].startswith("-")
    python = (site / "python.html").read_text()
    for name in a20_parquet.__all__:
        assert f".{name}" in python


@pytest.mark.browser
@pytest.mark.parametrize("width", [400, 1280])
def test_site_fits_the_screen_and_asks_no_other_server(
    site: Path, browser: Browser, width: int
) -> None:
    """No page is wider than the screen, and none loads anything that is not beside it."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    pages = sorted(set(site.glob("*.html")) - {site / "404.html"})  # which only a server can show
    for path in pages:
        assert "```" not in path.read_text(), path.name
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
    assert [url for url in requests if not url.startswith((site.as_uri(), "data:"))] == []
    page.close()

"""Pages of the site that are made from the project itself: a hook of mkdocs."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pygments.formatters import HtmlFormatter

import a20_parquet
from a20_parquet.cli.main import cli

ROOT: Final = Path(__file__).parents[1]
_LINK: Final = re.compile(
    r"\[([^\]]*)\]\((?:\.\./)?([A-Z]+\.md|(?:schemas|notebooks|benchmarks)/[^)#]*)(#[^)]*)?\)"
)
_WIDTH: Final = 100


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of ``docs/``."""
    for name, make in PAGES.items():
        files.append(File.generated(config, name, content=make()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links to files at the top to their pages; make names of files that have none text."""
    # Only tests look at what follows the language.
    return _LINK.sub(_link, markdown.replace("```python notest\n", "```python\n"))


def _link(match: re.Match[str]) -> str:
    text, path, anchor = match.groups(default="")
    page = path.lower()
    return f"[{text}]({page}{anchor})" if page in PAGES else text


def index() -> str:
    """The README, with links as they are from ``docs/``."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\[docs/([\w-]+)\.md\]", r"[\1]", text).replace("](docs/", "](")


def changelog() -> str:
    """``CHANGELOG.md`` as it is."""
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def contributing() -> str:
    """``CONTRIBUTING.md``, with links as they are from ``docs/``."""
    return (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("](docs/", "](")


def columns() -> str:
    """The data dictionary: each column with its type, unit and meaning."""
    schema = json.loads((ROOT / "schemas" / "windows.json").read_text(encoding="utf-8"))
    return f"""# Columns

One row is one window of audio. [dataset.md](dataset.md) explains how rows, times and sites are
made; [converting.md](converting.md#further-columns) how further features become columns.

## In the files

Inside each Parquet file, in this order.

{_table(schema["columns"])}

## In the names of folders

Keys that readers take from folders such as `site=site_0285/date=2020-10-14`: `site`, and one of the
others or none (`--partition-by`).

{_table(schema["hive_keys"])}
"""


def _table(described: list[dict[str, Any]]) -> str:
    head = "| column | type | null | unit | meaning |\n|---|---|---|---|---|"
    return "\n".join((head, *map(_column, described)))


def _column(column: dict[str, Any]) -> str:
    nullable = "yes" if column["nullable"] else "never"
    meaning = _escape(column["meaning"])
    return (
        f"| `{column['name']}` | `{column['type']}` | {nullable} "
        f"| {_escape(column['unit'] or '')} | {meaning} |"
    )


def _escape(text: str) -> str:
    return re.sub(r"([_|*])", r"\\\1", text)


def command_line() -> str:
    """The help text of each command."""
    helps = "\n\n".join(f"## {name}\n\n```text\n{text}\n```" for name, text in _helps())
    return f"""# Command line

What `a20-parquet COMMAND --help` prints. [Exit codes](troubleshooting.md#exit-codes) and
[shell completion](start.md#shell-completion) are on other pages.

{helps}
"""


def _helps() -> Iterator[tuple[str, str]]:
    for name, command in sorted(cli.commands.items()):
        settings = {**cli.context_settings, "terminal_width": _WIDTH}
        with click.Context(cli, info_name="a20-parquet") as parent:
            context = click.Context(command, parent=parent, info_name=name, **settings)
            yield name, command.get_help(context)


def python() -> str:
    """Docstrings of the public names, functions first."""
    functions = [name for name in a20_parquet.__all__ if name.islower()]
    classes = [name for name in a20_parquet.__all__ if not name.islower()]
    return f"""# Python

Everything is imported from `a20_parquet`, such as `a20_parquet.scan`. Each command except `demo`
has a function of the same name.

## Functions

{"".join(map(_reference, functions))}
## Results and errors

{"".join(map(_reference, classes))}"""


def _reference(name: str) -> str:
    home = getattr(a20_parquet, name).__module__
    return f"::: {home}.{name}\n    options:\n      heading_level: 3\n\n"


def code_css() -> str:
    """Colours of code, light and dark."""
    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs("[data-bs-theme=dark] .highlight")
    return f"{light}\n{dark}\n"


PAGES: Final[dict[str, Callable[[], str]]] = {
    "index.md": index,
    "changelog.md": changelog,
    "code.css": code_css,
    "columns.md": columns,
    "command-line.md": command_line,
    "contributing.md": contributing,
    "python.md": python,
}

"""What the command line prints: results on stdout; progress, remarks and errors on stderr."""

import io
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from a20_parquet.formatting import escape, write_line
from a20_parquet.progress import NoProgress, Progress

_QUIET = f"{__name__}.quiet"


def prepare_streams() -> None:
    """Make stdout and stderr show what they cannot encode, and tracebacks, with escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.excepthook = _print_traceback


def show(*lines: str) -> None:
    """Print lines of the result; control characters, newlines too, are escaped."""
    for line in lines:
        # click would write UTF-8 to a terminal that takes ASCII.
        print(escape(line), flush=True)  # noqa: T201 - the command's result


def show_json(value: Any, default: Callable[[Any], str] = str) -> None:
    """Print the result as JSON."""
    click.echo(json.dumps(value, indent=1, default=default))


def check_one_format(*, as_csv: bool, as_json: bool) -> None:
    """Refuse ``--csv`` with ``--json``."""
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other.")


def show_csv(text: str) -> None:
    """Print the result as CSV, which ends with a newline."""
    click.echo(text, nl=False)


def be_quiet(ctx: click.Context) -> None:
    """Show no progress and no remarks while a command runs."""
    ctx.meta[_QUIET] = True


def _is_quiet() -> bool:
    ctx = click.get_current_context(silent=True)
    return ctx is not None and bool(ctx.meta.get(_QUIET))


def note(line: str) -> None:
    """Print a remark, unless ``--quiet`` was given."""
    if not _is_quiet():
        write_line(line)


@contextmanager
def console_progress() -> Iterator[Progress]:
    """Yield bars or lines, or nothing with ``--quiet``."""
    if _is_quiet():
        yield NoProgress()
        return
    from a20_parquet.progress_bars import show_progress

    with show_progress(str) as progress:
        yield progress


def short_path(path: Path | str) -> str:
    """Return a path as a user in the current folder would type it; a URL as it is."""
    if isinstance(path, str):
        return path
    here = Path.cwd()
    return str(path.relative_to(here)) if path != here and path.is_relative_to(here) else str(path)


def print_wrong_usage(error: click.ClickException) -> None:
    """Print click's error about wrong usage."""
    text = io.StringIO()
    error.show(text)
    _print_lines(text.getvalue())


def _print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    _print_lines("".join(traceback.format_exception(kind, error, trace)))


def _print_lines(text: str) -> None:
    for line in text.removesuffix("\n").split("\n"):
        write_line(line)

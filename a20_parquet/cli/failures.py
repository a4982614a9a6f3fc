"""What a command prints, on stderr, where it fails."""

import io
import sys
import traceback
from types import TracebackType

import click

from a20_parquet.formatting import write_line


def prepare_streams() -> None:
    """Have stdout and stderr show what they can't encode, and tracebacks, with escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.excepthook = _print_traceback


def print_wrong_usage(error: click.ClickException) -> None:
    """Print what click says of a command that it can't take."""
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

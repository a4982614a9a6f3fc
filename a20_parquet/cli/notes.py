"""Remarks beside the result, on stderr; none with ``--quiet``."""

import click

from a20_parquet.formatting import write_line

_QUIET = f"{__name__}.quiet"


def be_quiet(ctx: click.Context) -> None:
    """Make no remarks while a command runs."""
    ctx.meta[_QUIET] = True


def is_quiet() -> bool:
    """Whether the command that runs makes no remarks."""
    ctx = click.get_current_context(silent=True)
    return ctx is not None and bool(ctx.meta.get(_QUIET))


def note(line: str) -> None:
    """Print a remark."""
    if not is_quiet():
        write_line(line)

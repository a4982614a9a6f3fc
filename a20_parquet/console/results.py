"""Results on stdout."""

import click

from a20_parquet.escapes import escape


def show(*lines: str) -> None:
    """Print lines; a control character in one of them, a newline too, is shown escaped."""
    for line in lines:
        click.echo(escape(line))

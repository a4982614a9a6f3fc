"""Options under titles in the text of ``--help``."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import click

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

_TITLES: Final = "__a20_parquet_titles__"


def section(title: str, *options: Decorator) -> Decorator:
    """Add options to a command, in this order, which ``--help`` shows below a title."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        known = len(_params(function))
        for option in reversed(options):
            function = option(function)
        added = {param.name: title for param in _params(function)[known:]}
        setattr(function, _TITLES, {**titles(function), **added})
        return function

    return add


def titles(function: Callable[..., Any] | None) -> dict[str | None, str]:
    """Return the titles of a command's parameters, by name."""
    found: dict[str | None, str] = getattr(function, _TITLES, {})
    return found


def write_sections(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write what ``--help`` shows of options: those without a title last."""
    by_title: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    last: list[tuple[str, str]] = []
    known = titles(command.callback)
    for param in command.get_params(ctx):
        record = param.get_help_record(ctx)
        if record is not None:
            (by_title[known[param.name]] if param.name in known else last).append(record)
    for title, records in (*by_title.items(), ("Options", last)):
        with formatter.section(title):
            formatter.write_dl(records)


def _params(function: Callable[..., Any]) -> Sequence[click.Parameter]:
    # Where click collects them until the command is made.
    found: Sequence[click.Parameter] = getattr(function, "__click_params__", ())
    return found

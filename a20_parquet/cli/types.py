"""Types of options, checked before anything else is imported or read."""

import re
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from a20_parquet.errors import flag
from a20_parquet.formatting import parse_size

if TYPE_CHECKING:
    TextType: TypeAlias = click.ParamType[str]
else:
    # It takes no parameter before click 8.4.
    TextType = click.ParamType


class Checked(TextType):
    """A text that is checked, and passed on as it is."""

    def __init__(self, name: str, check: Callable[[str], object]) -> None:
        """Take the name of the type, and a check that raises ``ValueError``: what was expected."""
        self.name = name
        self._check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See ``click.ParamType``."""
        try:
            self._check(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}.", param, ctx)
        return str(value)


def _check_budget(value: str) -> None:
    from a20_parquet.conversion.memory import LEAST_BUDGET

    if parse_size(value) < LEAST_BUDGET:
        raise ValueError(f"too little for any conversion, expected {LEAST_BUDGET:,} bytes or more")


def _check_date(value: str) -> None:
    try:
        date.fromisoformat(value)
    except ValueError:
        raise ValueError("expected a date YYYY-MM-DD") from None


def _check_pattern(value: str) -> None:
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from None


def _check_window(value: str) -> None:
    if "@" not in value and not value.endswith((".npy", ".csv")):
        raise ValueError(
            "names no window. Write FILENAME@OFFSET, such as "
            "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac@600, or name a .npy or .csv "
            "file"
        )


SIZE = Checked("size", parse_size)
BUDGET = Checked("size", _check_budget)
"""A size that is large enough for a conversion."""
DATE = Checked("date", _check_date)
PATTERN = Checked("regex", _check_pattern)
WINDOW = Checked("window", _check_window)
"""The name of a window, or a file with windows or embeddings."""


class ExistingDataset(TextType):
    """The path or URL of a dataset that exists."""

    name = "dataset"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See ``click.ParamType``.

        Raises:
            DatasetError: the dataset does not exist.
        """
        from a20_parquet.dataset.presence import check_is_there

        del param, ctx
        check_is_there(str(value))
        return str(value)


def check_days(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse a day of ``--until`` before that of ``--from``, in either order."""
    given = {**ctx.params, param.name: value}
    first, last = given.get("from_date"), given.get("until_date")
    if first and last and date.fromisoformat(last) < date.fromisoformat(first):
        raise click.BadParameter(
            f"{last} is before {flag('from_date')} {first}.", ctx, param_hint=flag("until_date")
        )
    return value

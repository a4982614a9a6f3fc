"""Checks of arguments of functions that have no model of options."""

import math
from operator import index
from pathlib import Path

from a20_parquet.errors import UsageError, flag
from a20_parquet.formatting import escape, is_unicode, parse_size
from a20_parquet.resources import MOST_WORKERS, default_workers

_MOST = 1 << 40


def check_count(option: str, value: object, *, least: int = 1, most: int = _MOST) -> int:
    """Return ``value`` as a whole number from ``least`` to ``most``.

    Raises:
        UsageError: it is not such a number.
    """
    try:
        number = index(value)  # type: ignore[arg-type]  # raises TypeError
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or not least <= number <= most:
        bounds = f"{least} or more" if number < least else f"{most} or less"
        raise UsageError(f"{flag(option)} is {value}, expected {bounds}, a whole number")
    return number


def check_positive(option: str, value: object, unit: str) -> float:
    """Return a finite number above 0.

    Raises:
        UsageError: it is not such a number.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:  # type: ignore[operator]  # it is a number
        raise UsageError(f"{flag(option)} is {value}, expected more than 0 {unit}")
    return float(value)  # type: ignore[arg-type]  # likewise


def check_unicode(option: str, value: object) -> None:
    """Check that texts and paths are Unicode; values of other types pass.

    Args:
        option: its name on the command line.
        value: one value, or several.

    Raises:
        UsageError: a text has bytes that are not UTF-8.
    """
    for each in value if isinstance(value, tuple | list) else (value,):
        if isinstance(each, str | Path) and not is_unicode(str(each)):
            raise UsageError(f"{option}: {escape(str(each))} is not UTF-8")


def check_size(value: str | int) -> int:
    """Return a size such as ``500MB``, ``64MiB`` or a number of bytes, in bytes.

    Raises:
        UsageError: it is not a valid size.
    """
    try:
        return parse_size(str(value))
    except ValueError as error:
        raise UsageError(f"not a valid size: {str(value)!r}: {error}") from error


def count_workers(workers: int | None) -> int:
    """Return the number of threads, by default the cores that the process may use.

    Raises:
        UsageError: the number is invalid.
    """
    if workers is None:
        return default_workers()
    return check_count("workers", workers, most=MOST_WORKERS)

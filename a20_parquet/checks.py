"""Checks of numbers that users give to functions which have no model of options."""

import math
from operator import index
from pathlib import Path

from a20_parquet.errors import UsageError, flag
from a20_parquet.formatting import escape, is_unicode, parse_size
from a20_parquet.resources import MOST_WORKERS, default_workers

_MOST = 1 << 40


def check_count(option: str, value: object, *, least: int = 1, most: int = _MOST) -> int:
    """Return a whole number within bounds.

    Args:
        option: its name in Python.
        value: what the user has given.
        least: that makes sense.
        most: that makes sense.

    Raises:
        UsageError: it is none.
    """
    try:
        number = index(value)  # type: ignore[arg-type]  # that is what is tried
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or not least <= number <= most:
        bounds = f"{least} or more" if number < least else f"{most} or less"
        raise UsageError(f"{flag(option)} is {value}, expected {bounds}, a whole number")
    return number


def check_positive(option: str, value: object, unit: str) -> float:
    """Return a finite number above 0.

    Raises:
        UsageError: it is none.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < math.inf:  # type: ignore[operator]  # it is a number
        raise UsageError(f"{flag(option)} is {value}, expected more than 0 {unit}")
    return float(value)  # type: ignore[arg-type]  # likewise


def check_unicode(option: str, value: object) -> None:
    """Refuse a text, or one among several, with bytes that are no UTF-8.

    Args:
        option: as the command line calls it.
        value: of any type; only texts and paths are looked at.

    Raises:
        UsageError: it is one.
    """
    for each in value if isinstance(value, tuple | list) else (value,):
        if isinstance(each, str | Path) and not is_unicode(str(each)):
            raise UsageError(f"{option}: {escape(str(each))} is no UTF-8")


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
    """Return how many threads to use: as many as the user wants, or as the process has cores.

    Raises:
        UsageError: that is no number of threads.
    """
    if workers is None:
        return default_workers()
    return check_count("workers", workers, most=MOST_WORKERS)

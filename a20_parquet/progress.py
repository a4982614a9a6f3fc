"""Progress of long commands."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TypeAlias

from a20_parquet.errors import UsageError, in_python

_LOGGER: Final = logging.getLogger(__name__)


class Progress(Protocol):
    """Receives the progress of one pass after another, from any thread."""

    def start(self, name: str, total_bytes: int) -> None:
        """Begin a pass over ``total_bytes``."""
        ...

    def advance(self, count_bytes: int) -> None:
        """Report that ``count_bytes`` more bytes of the current pass are done."""
        ...

    def say(self, message: str) -> None:
        """Show a message to the user."""
        ...


ProgressOption: TypeAlias = Progress | bool | None
"""Type of the argument ``progress``; see ``open_progress``."""


class NoProgress:
    """Null implementation of Progress; messages go to the log."""

    def start(self, name: str, total_bytes: int) -> None:
        """Ignore it."""

    def advance(self, count_bytes: int) -> None:
        """Ignore it."""

    def say(self, message: str) -> None:
        """Log it."""
        _LOGGER.info("%s", in_python(message))


@contextmanager
def open_progress(progress: ProgressOption) -> Iterator[Progress]:
    """Yield the progress that a function's argument ``progress`` asks for.

    Args:
        progress: ``True`` for bars, or lines without terminal and notebook; ``False`` or ``None``
            for nothing; or an object with the methods of ``Progress``.

    Raises:
        UsageError: it is none of these.
    """
    if progress is None or progress is False:
        yield NoProgress()
    elif progress is True:
        from a20_parquet.progress_bars import show_progress

        with show_progress(in_python) as shown:
            yield shown
    elif all(callable(getattr(progress, name, None)) for name in ("start", "advance", "say")):
        yield progress
    else:
        raise UsageError(
            f"--progress is {progress!r}, expected True, False or an object with start, advance "
            "and say"
        )

"""What the command line shows while it works, on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager

from a20_parquet.cli.notes import is_quiet
from a20_parquet.progress import NoProgress, Progress


@contextmanager
def console_progress() -> Iterator[Progress]:
    """Lend bars or lines, or with ``--quiet`` nothing."""
    if is_quiet():
        yield NoProgress()
        return
    from a20_parquet.progress_bars import show_progress

    with show_progress(str) as progress:
        yield progress

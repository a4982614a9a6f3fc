"""Detects that this process was forked from one that used polars, which then hangs for ever."""

import os
import re
import sys
from pathlib import Path
from typing import Final

from a20_parquet.errors import UsageError

_TASKS: Final = Path("/proc/self/task")
# Importing polars starts a thread of another name, which is harmless.
_WORKER: Final = re.compile(rb"polars-\d+\n")


class _Forks:
    """Notes, at each fork, whether polars had threads; one object per process."""

    def __init__(self) -> None:
        self._had_threads = False
        self.is_broken = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._look, after_in_child=self._note)

    def _look(self) -> None:
        """Look for threads of polars; on Linux only."""
        self._had_threads = "polars" in sys.modules and any(
            map(_is_of_polars, _TASKS.glob("*/comm"))
        )

    def _note(self) -> None:
        self.is_broken = self.is_broken or self._had_threads


_FORKS: Final = _Forks()


def check_threads() -> None:
    """Refuse to use polars if it would wait for threads that a fork has not copied.

    Raises:
        UsageError: this process was forked from one that had used polars.
    """
    if _FORKS.is_broken:
        raise UsageError(
            "this process was forked from one that had used polars, and would wait for ever for "
            "threads that a fork does not copy. Start processes with "
            'multiprocessing.get_context("spawn"), or "forkserver".'
        )


def _is_of_polars(name: Path) -> bool:
    try:
        return _WORKER.fullmatch(name.read_bytes()) is not None
    except OSError:
        # The thread has ended.
        return False

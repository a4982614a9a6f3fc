"""Whether this process was forked from one whose polars had threads, which then hangs for ever."""

import os
import re
import sys
from pathlib import Path
from typing import Final

from a20_parquet.errors import UsageError

_TASKS: Final = Path("/proc/self/task")
# Importing polars alone starts one of another name, which nobody waits for.
_WORKER: Final = re.compile(rb"polars-\d+\n")


class _Forks:
    """What is known of forks; there is one for the process."""

    def __init__(self) -> None:
        self._had_threads = False
        self.is_broken = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._look, after_in_child=self._note)

    def _look(self) -> None:
        """Look for threads of polars; elsewhere than on Linux nothing tells."""
        self._had_threads = "polars" in sys.modules and any(map(_is_of_polars, _tasks()))

    def _note(self) -> None:
        self.is_broken = self.is_broken or self._had_threads


_FORKS: Final = _Forks()


def check_threads() -> None:
    """Refuse to use polars where it would wait for threads that did not come along.

    Raises:
        UsageError: this process was forked from one that had used polars.
    """
    if _FORKS.is_broken:
        raise UsageError(
            "this process was forked from one that had used polars, whose threads are not in it: "
            "it would wait for them for ever. Start processes with "
            'multiprocessing.get_context("spawn"), or "forkserver".'
        )


def _tasks() -> list[Path]:
    try:
        return list(_TASKS.iterdir())
    except OSError:
        return []


def _is_of_polars(task: Path) -> bool:
    try:
        return _WORKER.fullmatch((task / "comm").read_bytes()) is not None
    except OSError:
        # It has ended.
        return False

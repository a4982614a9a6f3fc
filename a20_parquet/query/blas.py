"""Keeps NumPy's library for products of matrices to one thread while a query runs.

Each of our threads multiplies small matrices. Further threads of the library only wait for each
other and burn the cores: 100 queries over 0.9 GB took four times the CPU time with them.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np

_NAMES = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads")


class _Limit:
    """Counts the queries that want one thread; the last one gives the others back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._before = 1

    def enter(self) -> None:
        get_threads, set_threads = _openblas()
        with self._lock:
            if self._users == 0:
                self._before = get_threads()
                set_threads(1)
            self._users += 1

    def leave(self) -> None:
        _, set_threads = _openblas()
        with self._lock:
            self._users -= 1
            if self._users == 0:
                set_threads(self._before)


_LIMIT = _Limit()  # the library's number of threads is one for the whole process


@contextmanager
def one_thread() -> Iterator[None]:
    """Let products of matrices run on the calling thread, in all threads of the process.

    NumPy's wheels bring OpenBLAS; with another library its own settings hold.
    """
    _LIMIT.enter()
    try:
        yield
    finally:
        _LIMIT.leave()


@cache
def _openblas() -> tuple[Callable[[], int], Callable[[int], object]]:
    """Return functions that get and set OpenBLAS' number of threads; they may do nothing."""
    package = Path(np.__file__).parent
    for folder in (package.with_name("numpy.libs"), package / ".dylibs"):
        for path in folder.glob("*openblas*"):
            library = ctypes.CDLL(str(path))
            for name in _NAMES:
                if hasattr(library, name.format("set")):
                    return getattr(library, name.format("get")), getattr(
                        library, name.format("set")
                    )
    return (lambda: 1), (lambda threads: threads)

"""What is wrong with a dataset, as ``verify`` tells it."""

from collections.abc import Iterable
from dataclasses import dataclass

MOST_PROBLEMS = 1000
"""So many problems are kept; all are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    path: str
    """What it is wrong with: a file relative to the dataset, or a shard's label."""
    message: str
    """What was found and what was expected."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class Problems:
    """Problems in the order in which they were added."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: list[Problem] = []

    def add(self, problems: Iterable[Problem], further: int = 0) -> None:
        """Add problems, and ``further`` ones that nobody names."""
        for problem in problems:
            self.count += 1
            if len(self._kept) < MOST_PROBLEMS:
                self._kept.append(problem)
        self.count += further

    @property
    def kept(self) -> tuple[Problem, ...]:
        """The first ``MOST_PROBLEMS`` of them."""
        return tuple(self._kept)

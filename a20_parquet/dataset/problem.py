"""Problems of a dataset, as ``verify`` reports them."""

from collections.abc import Iterable
from dataclasses import dataclass

MOST_PROBLEMS = 1000
"""Most problems that are kept; all are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem."""

    path: str
    """A file relative to the dataset, or a shard's label."""
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
        """Add problems; count ``further`` ones without keeping them."""
        for problem in problems:
            self.count += 1
            if len(self._kept) < MOST_PROBLEMS:
                self._kept.append(problem)
        self.count += further

    @property
    def kept(self) -> tuple[Problem, ...]:
        """The first ``MOST_PROBLEMS`` of them."""
        return tuple(self._kept)

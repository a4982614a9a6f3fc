"""How a long command tells how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of one pass after the other; called from any thread."""

    def start(self, name: str, total_bytes: int) -> None:
        """Begin a pass over ``total_bytes``."""
        ...

    def advance(self, count_bytes: int) -> None:
        """Say that so many further bytes of the current pass are done."""
        ...

    def say(self, message: str) -> None:
        """Tell the user something in passing."""
        ...


class NoProgress:
    """Tells nobody."""

    def start(self, name: str, total_bytes: int) -> None:
        """Ignore it."""

    def advance(self, count_bytes: int) -> None:
        """Ignore it."""

    def say(self, message: str) -> None:
        """Ignore it."""

"""Progress bars on stderr."""

from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


class ConsoleProgress:
    """A bar for each pass with bytes, rate and time left; implements ``progress.Progress``."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:16}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._bars.stop()

    def start(self, name: str, total_bytes: int) -> None:
        """Begin a bar."""
        self._bars.start()
        self._task = self._bars.add_task(name, total=total_bytes)

    def advance(self, count_bytes: int) -> None:
        """Move the current bar."""
        if self._task is not None:
            self._bars.advance(self._task, count_bytes)

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

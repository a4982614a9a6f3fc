"""Shows progress: bars in a terminal or a notebook, elsewhere a line every half minute."""

import sys
import time
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any, Final, Self

from a20_parquet.formatting import escape, format_bytes, format_seconds, write_line

LINE_EVERY_S: Final = 30.0
"""Seconds between lines without a terminal."""

_REDRAW_EVERY_S: Final = 0.25
# With a bar of the width that is left, all fits 80 columns.
_NAME_WIDTH: Final = 16


def show_progress(
    render: Callable[[str], str],
) -> "BarProgress | LineProgress | NotebookProgress":
    """Choose how to show progress: in this process's notebook, or on stderr.

    Args:
        render: converts a message before it is shown.
    """
    if _is_notebook():
        return NotebookProgress(render)
    # A process without a terminal may have no stderr at all.
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    return BarProgress(render) if is_terminal else LineProgress(render)


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class _Bars:
    """A bar for each pass; those of passes that have ended are full."""

    def __init__(self, render: Callable[[str], str], **options: Any) -> None:
        from rich import progress as rich

        self._render = render
        self._bars = rich.Progress(
            rich.TextColumn(f"{{task.description:{_NAME_WIDTH}}}"),
            rich.BarColumn(bar_width=None),
            rich.DownloadColumn(),
            rich.TransferSpeedColumn(),
            rich.TextColumn("left"),
            rich.TimeRemainingColumn(),
            expand=True,
            **options,
        )
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def start(self, name: str, total_bytes: int) -> None:
        """See ``Progress``; a pass without bytes has no bar."""
        self._fill()
        if total_bytes > 0:
            self._task = self._bars.add_task(name, total=total_bytes)

    def advance(self, count_bytes: int) -> None:
        """See ``Progress``; another thread may end the pass at the same time."""
        task = self._task
        if task is not None:
            self._bars.advance(task, count_bytes)

    def _fill(self) -> None:
        """Show the bar as full: its total may be an estimate."""
        if self._task is not None:
            done = self._bars.tasks[self._task].total
            self._bars.update(self._task, completed=done)
            self._task = None


class BarProgress(_Bars):
    """A bar in the terminal for each pass, with bytes, rate and time left."""

    def __init__(self, render: Callable[[str], str]) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        super().__init__(render, console=self._console)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._fill()
        self._bars.stop()

    def start(self, name: str, total_bytes: int) -> None:
        """See ``Progress``."""
        self._bars.start()
        super().start(name, total_bytes)

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        text = escape(self._render(message))
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class NotebookProgress(_Bars):
    """A bar in the cell of a notebook for each pass; needs no widgets."""

    def __init__(self, render: Callable[[str], str]) -> None:
        super().__init__(render, auto_refresh=False)
        self._handle: Any = None
        self._drawn_at = -_REDRAW_EVERY_S
        self._lock = Lock()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._fill()
        self._draw()

    def start(self, name: str, total_bytes: int) -> None:
        """See ``Progress``."""
        super().start(name, total_bytes)
        self._draw()

    def advance(self, count_bytes: int) -> None:
        """See ``Progress``."""
        super().advance(count_bytes)
        now = time.monotonic()
        if now >= self._drawn_at + _REDRAW_EVERY_S and self._lock.acquire(blocking=False):
            try:
                self._drawn_at = now
                self._draw()
            finally:
                self._lock.release()

    def say(self, message: str) -> None:
        """Print a line below the bars."""
        print(escape(self._render(message)))  # noqa: T201 - the cell's output

    def _draw(self) -> None:
        from IPython import display

        if not self._bars.tasks:
            return
        if self._handle is None:
            self._handle = display.display(self._bars, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(self._bars)


class LineProgress:
    """A line on stderr every half a minute, and one for each pass that has ended."""

    def __init__(
        self,
        render: Callable[[str], str],
        *,
        every_s: float = LINE_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; the first line comes after ``every_s`` seconds.

        Args:
            render: converts a message before it is shown.
            every_s: seconds between lines.
            clock: returns the time in seconds.
        """
        self._render = render
        self._every_s = every_s
        self._clock = clock
        self._lock = Lock()
        self._ended = Event()
        self._thread: Thread | None = None
        self._name: str | None = None
        self._total = self._done = 0
        self._started_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if kind is None:
            self._end_pass()

    def start(self, name: str, total_bytes: int) -> None:
        """See ``Progress``."""
        self._end_pass()
        with self._lock:
            self._name = name if total_bytes > 0 else None
            self._total, self._done, self._started_s = total_bytes, 0, self._clock()
        if self._thread is None:
            self._thread = Thread(target=self._print_regularly, daemon=True)
            self._thread.start()

    def advance(self, count_bytes: int) -> None:
        """See ``Progress``."""
        with self._lock:
            self._done += count_bytes

    def say(self, message: str) -> None:
        """Print a line."""
        write_line(self._render(message))

    def print_state(self) -> None:
        """Print the progress of the current pass."""
        with self._lock:
            name, total, done = self._name, self._total, min(self._done, self._total)
            seconds = self._clock() - self._started_s
        if name is None:
            return
        text = f"{name}: {format_bytes(done)} of {format_bytes(total)} ({done / total:.0%})"
        if done and seconds > 0:
            left = format_seconds(seconds * (total - done) / done)
            text += f", {format_bytes(done / seconds)}/s, {left} left"
        write_line(text)

    def _print_regularly(self) -> None:
        while not self._ended.wait(self._every_s):
            self.print_state()

    def _end_pass(self) -> None:
        with self._lock:
            name, done, self._name = self._name, self._total, None
            seconds = self._clock() - self._started_s
        if name is not None:
            rate = f", {format_bytes(done / seconds)}/s" if seconds > 0 else ""
            write_line(f"{name}: {format_bytes(done)} in {format_seconds(seconds)}{rate}")

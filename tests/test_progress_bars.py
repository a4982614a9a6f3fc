"""Bars in a terminal, lines elsewhere."""

import io
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from a20_parquet import progress_bars
from a20_parquet.progress import NoProgress, open_progress
from a20_parquet.progress_bars import LineProgress, NotebookProgress, show_progress
from tests.helpers.clock import Clock


def test_lines_tell_done_rate_and_left(capsys: pytest.CaptureFixture[str]) -> None:
    """A line while a pass runs, one when it has ended, and what is said."""
    clock = Clock()
    with LineProgress(str, every_s=1e6, clock=clock) as progress:
        progress.start("reading shards", 4_000_000)
        progress.print_state()
        clock.now_s += 30
        progress.advance(1_000_000)
        progress.print_state()
        progress.say("half a [word]")
        progress.advance(3_500_000)
        progress.print_state()
        clock.now_s += 30
        progress.start("nothing to do", 0)
        progress.print_state()
        progress.start("writing Parquet", 1_000)
        clock.now_s += 2
    assert capsys.readouterr().err.splitlines() == [
        "reading shards: 0 bytes of 4.0 MB (0%)",
        "reading shards: 1.0 MB of 4.0 MB (25%), 33.3 kB/s, 2 min left",
        "half a [word]",
        "reading shards: 4.0 MB of 4.0 MB (100%), 133.3 kB/s, 0.0 s left",
        "reading shards: 4.0 MB in 1 min, 66.7 kB/s",
        "writing Parquet: 1.0 kB in 2.0 s, 500 bytes/s",
    ]


def test_lines_come_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while nothing advances; a pass that failed has no last line."""
    told = Event()

    class Heard(io.StringIO):
        def write(self, text: str) -> int:
            if "reading: 0 bytes of 10 bytes" in text:
                told.set()
            return super().write(text)

    heard = Heard()
    monkeypatch.setattr("sys.stderr", heard)

    def fail() -> None:
        with LineProgress(str, every_s=0.01) as progress:
            progress.start("reading", 10)
            assert told.wait(60)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert " in " not in heard.getvalue()


def test_threads_lose_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes of many threads are all counted."""
    with LineProgress(str, every_s=1e6, clock=Clock()) as progress:
        progress.start("reading", 10**6)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(progress.advance, [1] * 20_000))
        progress.print_state()
    assert "20.0 kB of 1.0 MB (2%)" in capsys.readouterr().err


def test_bars_of_what_was_cut_short() -> None:
    """The bar is full though less was counted than announced, or more."""
    shown = progress_bars.BarProgress(str)
    with shown:
        for done in (3, 10, 12):
            shown.start("reading", 10)
            shown.advance(done)
        shown.start("nothing", 0)
        shown.advance(5)
    tasks = shown._bars.tasks  # noqa: SLF001 - what is drawn
    assert [(task.completed, task.total) for task in tasks] == [(10, 10)] * 3


def test_a_failed_pass_stays_where_it_was() -> None:
    """Its bar shows how far it came."""
    shown = progress_bars.BarProgress(str)

    def fail() -> None:
        with shown:
            shown.start("reading", 10)
            shown.advance(3)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [task.completed for task in shown._bars.tasks] == [3]  # noqa: SLF001 - likewise


def test_python_says_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """What is said names Python's arguments, shown or logged."""
    with open_progress(True) as progress:
        progress.say("give --window-seconds")
    assert capsys.readouterr().err == "give window_seconds\n"


def test_a_function_logs_what_it_says(caplog: pytest.LogCaptureFixture) -> None:
    """It is not shown, but it can be."""
    with caplog.at_level("INFO", "a20_parquet"), open_progress(None) as progress:
        assert isinstance(progress, NoProgress)
        progress.say("give --window-seconds")
    assert caplog.messages == ["give window_seconds"]


def test_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines where stderr is no terminal, a notebook's own where there is one."""
    assert isinstance(show_progress(str), LineProgress)
    monkeypatch.setattr(progress_bars, "_is_notebook", lambda: True)
    assert isinstance(show_progress(str), NotebookProgress)

"""What is shown while a command works, in a terminal, elsewhere, and in a notebook."""

import io
import json
import logging
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner

import a20_parquet
from a20_parquet import progress_bars
from a20_parquet.cli import main as cli
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.progress import NoProgress, open_progress
from a20_parquet.progress_bars import LineProgress, NotebookProgress, show_progress
from a20_parquet.storage.retries import call
from tests.helpers.clock import Clock
from tests.helpers.shards import make_record, random_tensor, write_shard

REMARK = "passed over: notes.txt"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of one window, and a file that is none."""
    folder = tmp_path_factory.mktemp("progress") / "in"
    for n in range(2):
        record = make_record(random_tensor((1, 1, 8), n))
        write_shard(folder / f"a-{n:05d}-of-00002", [record])
    (folder / "notes.txt").write_text("no shard")
    return folder


@pytest.fixture(scope="module")
def dataset(shards: Path) -> Path:
    """A dataset made of them; not to be changed."""
    a20_parquet.convert(shards, shards.parent / "dataset", decoder="wire")
    return shards.parent / "dataset"


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


def on_a_terminal(*arguments: object) -> tuple[int, str]:
    """Run a command whose stderr is a terminal of 80 columns; exit code and what it shows."""
    pty = pytest.importorskip("pty", reason="Windows has no pseudo-terminals")
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "a20_parquet", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=slave,
        env=environment,
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                block = os.read(master, 1 << 16)
            except OSError:
                break
            if not block:
                break
            shown += block
    os.close(master)
    return process.returncode, shown.decode()


def test_bars_end_full(shards: Path, tmp_path: Path) -> None:
    """Each line of the last picture is whole, and fits 80 columns."""
    code, shown = on_a_terminal("convert", shards, tmp_path / "out", "--decoder", "wire")
    assert code == 0
    last = shown.replace("\r", "\n").split("\x1b[1A")[-1]
    plain = [line for line in strip_codes(last).splitlines() if "/s" in line or "━" in line]
    assert plain
    for line in plain:
        assert len(line) <= 80
        done, total = line.split("/", 1)[0].split()[-1], line.split("/", 1)[1].split()[0]
        assert done == total, line
    assert REMARK in shown


def strip_codes(text: str) -> str:
    """Text without what moves the cursor or colours it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


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


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_nobody_reads_it(shards: Path, tmp_path: Path, redirection: str) -> None:
    """A conversion ends well though its stderr takes nothing."""
    command = (
        f"{sys.executable} -m a20_parquet convert {shards} {tmp_path / 'out'} --decoder wire "
        f"-v {redirection}"
    )
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert "2 shards, 2 records, 2 windows" in done.stdout
    assert (tmp_path / "out" / "manifest.json").exists()


COMMANDS = [
    ("convert", "SHARDS", "NEW", "--decoder", "wire"),
    ("npy-json", "SHARDS", "NEW", "--decoder", "wire"),
    ("inspect", "SHARDS/a-00000-of-00002"),
    ("plan", "SHARDS"),
    ("info", "DATASET"),
    ("verify", "DATASET", "--source", "SHARDS", "--decoder", "wire"),
    ("report", "DATASET", "-o", "NEW.html"),
    ("duckdb", "DATASET", "NEW.duckdb", "--as", "table"),
    ("similar", "DATASET", "--to", "NAME@0"),
]


@pytest.fixture
def command(
    shards: Path, dataset: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> list[str]:
    """A command's arguments."""
    name = make_record_name(dataset)
    places = {"SHARDS": shards, "DATASET": dataset, "NAME": name, "NEW": tmp_path / "new"}
    arguments = []
    for argument in request.param:
        for word, place in places.items():
            argument = argument.replace(word, str(place))  # noqa: PLW2901 - step by step
        arguments.append(argument)
    return arguments


def make_record_name(dataset: Path) -> str:
    """The filename of its first window."""
    name: str = a20_parquet.scan(dataset).select("filename").head(1).collect().item()
    return name


@pytest.mark.parametrize("command", COMMANDS, indirect=True, ids=lambda command: command[0])
def test_quiet(command: list[str]) -> None:
    """Nothing is on stderr, and all of the result on stdout; with JSON too."""
    done = CliRunner().invoke(cli.cli, [*command, "--quiet", "--json"])
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    json.loads(done.stdout)


@pytest.mark.parametrize("command", COMMANDS, indirect=True, ids=lambda command: command[0])
def test_verbose(command: list[str]) -> None:
    """Results stay on stdout, and nothing of the log's set-up is left behind."""
    logger = logging.getLogger("a20_parquet")
    before = logger.level, list(logger.handlers)
    done = CliRunner().invoke(cli.cli, [*command, "-v", "--json"])
    assert done.exit_code == 0, done.output
    json.loads(done.stdout)
    assert (logger.level, logger.handlers) == before


def test_quiet_and_verbose_tell_of_a_conversion(shards: Path, tmp_path: Path) -> None:
    """Remarks without either, decisions with one, nothing with the other; errors always."""
    runner = CliRunner()
    convert = ["convert", str(shards), "--decoder", "wire"]
    done = runner.invoke(cli.cli, [*convert, str(tmp_path / "0")])
    assert REMARK in done.stderr
    assert "second pass" not in done.stderr
    done = runner.invoke(cli.cli, [*convert, str(tmp_path / "1"), "-q"])
    assert done.stderr == ""
    assert "2 shards, 2 records, 2 windows" in done.stdout
    done = runner.invoke(cli.cli, [*convert, str(tmp_path / "2"), "-v", "--memory", "50MB"])
    for decided in (
        "shards found: 2 of ",
        "50.0 MB for ",
        "all stay in memory",
        "first pass: ",
        "second pass: ",
        "manifest written: ",
        REMARK,
    ):
        assert decided in done.stderr
    done = runner.invoke(cli.cli, ["convert", "-q", "-v", "a", "b"])
    assert done.exit_code == 2
    assert "exclude each other" in done.stderr


def test_verbose_twice(shards: Path, tmp_path: Path) -> None:
    """It shows the whole log with times and modules; once shows decisions without either."""
    convert = ["convert", str(shards), str(tmp_path / "dataset"), "--decoder", "wire"]
    done = CliRunner().invoke(cli.cli, [*convert, "-vv"])
    assert done.exit_code == 0, done.output
    dated = r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} a20_parquet\.[a-z_.]+: "
    for message in (
        "Python 3",
        "polars 2",
        r"memory of the machine: \d+; limit of the control groups: ",
        ".*dataset holds: empty",
        ".*all stay in memory",
        "range of partitions: 1 file written",
    ):
        assert re.search(dated + message, done.stderr), message
    done = CliRunner().invoke(cli.cli, [*convert, "--overwrite", "-v"])
    assert "range of partitions:" not in done.stderr
    assert not re.search(dated, done.stderr)


def test_verbose_twice_shows_where_an_error_came_from(tmp_path: Path) -> None:
    """The traceback stands in the log; without it an error stays one line."""
    path = tmp_path / "dataset"
    (path / "data").mkdir(parents=True)
    (path / "manifest.json").write_text("{}")
    for option, expected in (("-v", False), ("-vv", True)):
        done = CliRunner().invoke(cli.cli, ["info", str(path), option])
        assert isinstance(done.exception, DatasetError)
        assert ("Traceback" in done.stderr) is expected


def test_errors_in_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They stay where they are."""
    monkeypatch.setattr("sys.argv", ["a20-parquet", "info", str(tmp_path / "none"), "--quiet"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("typed", ["--overwrit", "--overwrite2", "--forced", "--verbos"])
def test_what_deletes_is_not_suggested(typed: str) -> None:
    """Neither for what looks like it, nor for what was ever mistyped so."""
    for name in ("convert", "duckdb"):
        done = CliRunner().invoke(cli.cli, [name, "a", "b", typed])
        assert done.exit_code == 2
        assert "'--overwrite'" not in done.stderr
        assert "'--force'" not in done.stderr
    assert "--verbose" in done.stderr or typed != "--verbos"


def test_remarks_go_through_one_place() -> None:
    """No other module of the command line writes to stderr, so that quiet is quiet."""
    console = Path(cli.__file__).parent / "console"
    for path in console.glob("*.py"):
        assert "err=True" not in path.read_text(), path


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.passes: list[str] = []
        self.done = 0

    def start(self, name: str, total_bytes: int) -> None:
        """Keep the name."""
        del total_bytes
        self.passes.append(name)

    def advance(self, count_bytes: int) -> None:
        """Count."""
        self.done += count_bytes

    def say(self, message: str) -> None:
        """Ignore it."""


def calls(shards: Path, dataset: Path, folder: Path) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Each function that takes ``progress``, with its arguments."""
    name = make_record_name(dataset)
    yield a20_parquet.convert, (shards, folder / "out")
    yield a20_parquet.npy_json, (shards, folder / "notebook")
    yield a20_parquet.verify, (dataset,)
    yield a20_parquet.report, (dataset, folder / "report.html")
    yield a20_parquet.duckdb, (dataset, folder / "a.duckdb")
    yield a20_parquet.similar, (dataset, f"{name}@0")


def test_progress_in_python(
    shards: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """True shows it, None and False show nothing, an object is told, anything else is refused."""
    shown = {True: 6, False: 0, None: 0}
    for progress in (True, False, None):
        folder = tmp_path / str(progress)
        folder.mkdir()
        for function, arguments in calls(shards, dataset, folder):
            more = {"as_": "table"} if function is a20_parquet.duckdb else {}
            function(*arguments, progress=progress, **more)
            err = capsys.readouterr().err
            assert bool(err) == bool(shown[progress]), (function, err)
    (tmp_path / "told").mkdir()
    for function, arguments in calls(shards, dataset, tmp_path / "told"):
        heard = Heard()
        more = {"as_": "table"} if function is a20_parquet.duckdb else {}
        function(*arguments, progress=heard, **more)
        assert heard.passes
        assert heard.done > 0
    with pytest.raises(UsageError, match=r"^progress is 'yes', expected True, False or an object"):
        a20_parquet.verify(dataset, progress="yes")  # type: ignore[arg-type]


def test_python_says_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """What is said names Python's arguments, shown or logged."""
    with open_progress(True) as progress:
        progress.say("give --window-seconds")
    assert capsys.readouterr().err == "give window_seconds\n"


def test_a_function_logs_what_it_says(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody shows it, but whoever wants can."""
    with caplog.at_level("INFO", "a20_parquet"), open_progress(None) as progress:
        assert isinstance(progress, NoProgress)
        progress.say("give --window-seconds")
    assert caplog.messages == ["give window_seconds"]


@pytest.mark.slow
def test_log_of_a_conversion(
    shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Modules have loggers of their own below the package's, which is silent by itself."""
    with caplog.at_level("DEBUG", "a20_parquet"):
        a20_parquet.convert(shards, tmp_path / "out", decoder="wire")
    names = {record.name for record in caplog.records}
    assert {
        f"a20_parquet.conversion.{name}" for name in ("job", "sort_pass", "merge_pass")
    } <= names
    code = "import sys, a20_parquet\na20_parquet.convert(sys.argv[1], sys.argv[2], decoder='wire')"
    done = subprocess.run(
        [sys.executable, "-c", code, str(shards), str(tmp_path / "other")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_remarks_of_a_conversion_are_logged(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the command line prints as remarks is logged, each once and with Python's names."""
    source = tmp_path / "in"
    records = [make_record(random_tensor((1, 1, 8))), make_record(random_tensor((1, 1, 8)), "x")]
    for n in range(2):
        write_shard(source / f"a-{n:05d}-of-00003", records)
    (source / "notes.txt").write_text("no shard")
    heard = Heard()
    for progress in (None, heard):
        caplog.clear()
        with caplog.at_level("INFO", "a20_parquet"):
            conversion = a20_parquet.convert(
                source, tmp_path / f"out{progress is None}", progress=progress, site="285"
            )
        found = [r for r in caplog.records if r.levelname == "WARNING"]
        messages = [record.getMessage() for record in found]
        assert {record.name for record in found} == {"a20_parquet.conversion.result"}
        assert len(set(caplog.messages)) == len(caplog.messages)
        for begins in (
            f"{source}/a-*-of-00003: 2 of 3 shards",
            "passed over: notes.txt",
            "hop assumed: 5 s (window_seconds)",
            f"copies: {conversion.copies[0][0]}",
            "duplicates: 1 window equal to others of the same recording and time: kept",
            f"what could not be converted is in {conversion.dataset}/quarantine",
            "bad_filename: mended by converting",
        ):
            assert sum(message.startswith(begins) for message in messages) == 1, begins
    with caplog.at_level("INFO", "a20_parquet"):
        caplog.clear()
        a20_parquet.convert(source, tmp_path / "outTrue", site="285")
        assert sum(message.startswith("passed over") for message in caplog.messages) == 1
        caplog.clear()
        arguments = ["convert", str(source), str(tmp_path / "console"), "--site", "285", "-v"]
        monkeypatch.setattr("sys.argv", ["a20-parquet", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
    assert capsys.readouterr().err.count("passed over: notes.txt") == 1
    assert "a20_parquet.conversion.result" not in {record.name for record in caplog.records}


def test_decoder_fallback_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Records of another form are left to protobuf, which is said when it is first needed."""
    records = [make_record(random_tensor((2, 1, 8)), timestamp_s=at) for at in (0, math.nan)]
    shard = write_shard(tmp_path / "a-00000-of-00001", records)
    with caplog.at_level("INFO", "a20_parquet"):
        a20_parquet.convert(shard, tmp_path / "out", decoder="wire")
    # By what looks at the first records, and by what converts all.
    assert sum("protobuf decodes these" in message for message in caplog.messages) == 2


def test_repeated_requests_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With what went wrong, and how long it waits."""
    failures = [ConnectionError("gone"), TimeoutError("late")]

    def ask() -> str:
        if failures:
            raise failures.pop(0)
        return "answer"

    with caplog.at_level("INFO", "a20_parquet"):
        assert call(ask) == "answer"
    first, second = caplog.messages
    assert first.startswith("request to a store, try 1 failed (ConnectionError: gone); again in ")
    assert second.startswith("request to a store, try 2 failed (TimeoutError: late); again in ")


def test_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines where stderr is no terminal, a notebook's own where there is one."""
    assert isinstance(show_progress(str), LineProgress)
    monkeypatch.setattr(progress_bars, "_is_notebook", lambda: True)
    assert isinstance(show_progress(str), NotebookProgress)


@pytest.mark.slow
def test_in_a_notebook(shards: Path, tmp_path: Path) -> None:
    """A cell shows full bars, without warnings, and what is said."""
    import nbformat
    from nbclient import NotebookClient

    code = (
        "import a20_parquet\n"
        f"a20_parquet.convert({str(shards)!r}, {str(tmp_path / 'out')!r}, decoder='wire',"
        " progress=True).totals.windows"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=120).execute()
    outputs = notebook.cells[0].outputs
    assert [each.name for each in outputs if each.output_type == "stream"] in ([], ["stdout"])
    (bars,) = [each for each in outputs if each.output_type == "display_data"]
    assert "reading shards" in bars.data["text/plain"]
    assert "writing Parquet" in bars.data["text/html"]
    assert [
        each.data["text/plain"] for each in outputs if each.output_type == "execute_result"
    ] == ["2"]

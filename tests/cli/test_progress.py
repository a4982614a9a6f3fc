"""What is shown while a command works, in a terminal, elsewhere, and in a notebook."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.errors import UsageError
from tests.helpers.progress import Heard


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
    assert "passed over: notes.txt" in shown


def strip_codes(text: str) -> str:
    """Text without what moves the cursor or colours it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


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


def calls(
    shards: Path, dataset: Path, filename: str, folder: Path
) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Each function that takes ``progress``, with its arguments."""
    yield a20_parquet.convert, (shards, folder / "out")
    yield a20_parquet.npy_json, (shards, folder / "notebook")
    yield a20_parquet.verify, (dataset,)
    yield a20_parquet.report, (dataset, folder / "report.html")
    yield a20_parquet.duckdb, (dataset, folder / "a.duckdb")
    yield a20_parquet.similar, (dataset, f"{filename}@0")


def test_progress_in_python(
    shards: Path,
    dataset: Path,
    filename: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """True shows it, None and False show nothing, an object is called, anything else is refused."""
    shown = {True: 6, False: 0, None: 0}
    for progress in (True, False, None):
        folder = tmp_path / str(progress)
        folder.mkdir()
        for function, arguments in calls(shards, dataset, filename, folder):
            more = {"as_": "table"} if function is a20_parquet.duckdb else {}
            function(*arguments, progress=progress, **more)
            err = capsys.readouterr().err
            assert bool(err) == bool(shown[progress]), (function, err)
    (tmp_path / "told").mkdir()
    for function, arguments in calls(shards, dataset, filename, tmp_path / "told"):
        heard = Heard()
        more = {"as_": "table"} if function is a20_parquet.duckdb else {}
        function(*arguments, progress=heard, **more)
        assert heard.passes
        assert heard.done > 0
    with pytest.raises(UsageError, match=r"^progress is 'yes', expected True, False or an object"):
        a20_parquet.verify(dataset, progress="yes")  # type: ignore[arg-type]


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

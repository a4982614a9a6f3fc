"""What --quiet and --verbose show, of each command."""

import json
import logging
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from a20_parquet.cli import main as cli
from a20_parquet.errors import DatasetError

REMARK = "passed over: notes.txt"


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
    shards: Path,
    dataset: Path,
    filename: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> list[str]:
    """A command's arguments."""
    places = {"SHARDS": shards, "DATASET": dataset, "NAME": filename, "NEW": tmp_path / "new"}
    arguments = []
    for argument in request.param:
        for word, place in places.items():
            argument = argument.replace(word, str(place))  # noqa: PLW2901 - step by step
        arguments.append(argument)
    return arguments


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
        "all but their embeddings stay in memory",
        "embeddings stay in the shards: ",
        " of memory free",
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
        ".*all but their embeddings stay in memory",
        "range of partitions: 1 file written",
    ):
        assert re.search(dated + message, done.stderr), message
    done = CliRunner().invoke(cli.cli, [*convert, "--overwrite", "-v"])
    assert "range of partitions:" not in done.stderr
    assert not re.search(dated, done.stderr)


def test_verbose_twice_shows_where_an_error_came_from(tmp_path: Path) -> None:
    """The traceback is in the log; without it an error stays one line."""
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


def test_remarks_go_through_one_place() -> None:
    """No other module of the command line writes to stderr, so that quiet is quiet."""
    paths = list(Path(cli.__file__).parent.glob("*.py"))
    assert len(paths) > 5
    for path in paths:
        assert not re.search(r"err=True|sys\.stderr\.", path.read_text()), path

"""The command line: exit codes, what goes to which stream, and help for everything."""

import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from a20_parquet.cli import main as cli
from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.parquet import Compression
from a20_parquet.windows.partition import PartitionBy
from tests.helpers.command_line import run
from tests.helpers.shards import make_record, random_tensor, write_shard


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """One shard with one record."""
    return write_shard(
        tmp_path / "in" / "a-00000-of-00001", [make_record(random_tensor((3, 1, 8)))]
    )


def test_convert_prints_a_summary(
    shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The summary is on stdout, progress on stderr."""
    code, out, err = run(monkeypatch, capsys, "convert", shard, tmp_path / "out")
    assert code == 0
    assert "1 shard, 1 record, 3 windows" in out
    assert "1 site, 1 date, 1 file" in out
    assert "reading shards" in err


def test_convert_prints_json(
    shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--json`` prints one object that names what was passed over."""
    (shard.parent / "notes.txt").write_text("no shard")
    code, _, err = run(monkeypatch, capsys, "convert", shard.parent, tmp_path / "text")
    assert "passed over: notes.txt: no TFRecord shard" in err
    code, out, _ = run(monkeypatch, capsys, "convert", shard.parent, tmp_path / "out", "--json")
    assert code == 0
    summary = json.loads(out)
    assert summary["totals"]["windows"] == 3
    assert [Path(item["url"]).name for item in summary["passed_over"]] == ["notes.txt"]


def test_errors_are_one_line_and_a_code(
    shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage exits 2, failure 1, each with one line on stderr."""
    code, out, err = run(monkeypatch, capsys, "convert", tmp_path / "nothing", tmp_path / "out")
    assert (code, out) == (1, "")
    assert err.strip().count("\n") == 0
    assert "does not exist" in err
    code, out, err = run(monkeypatch, capsys, "convert", shard, tmp_path / "o", "--memory", "x")
    assert (code, out) == (2, "")
    assert "--memory" in err
    assert run(monkeypatch, capsys, "convert")[0] == 2
    assert run(monkeypatch, capsys, "no-such-command")[0] == 2


def test_inspect_prints_text_and_json(
    shard: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``inspect`` shows counts, features and the first record."""
    code, out, _ = run(monkeypatch, capsys, "inspect", shard)
    assert code == 0
    for expected in ("windows    3", "checksums  good", "[3, 1, 8]", "Arkaba"):
        assert expected in out
    code, out, _ = run(monkeypatch, capsys, "inspect", shard, "--json")
    assert json.loads(out)[0]["windows"] == 3


def test_every_command_and_option_has_help() -> None:
    """No command or option is without a help text, and the first page names each command."""
    start = (Path(__file__).parents[2] / "docs" / "start.md").read_text()
    for name, command in cli.cli.commands.items():
        assert command.help, name
        assert f"`a20-parquet {name}" in start
        assert CliRunner().invoke(cli.cli, [name, "--help"]).exit_code == 0
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.name}"


def test_help_of_convert_is_in_sections() -> None:
    """Each option has its place below a title; those of all commands are last."""
    shown = CliRunner().invoke(cli.cli, ["convert", "--help"]).output
    titles = re.findall(r"^(\w+):$", shown, re.MULTILINE)
    expected = ["Input", "Output", "Selection", "Names", "Resources", "Errors", "Options"]
    assert titles == expected
    last = shown[shown.index("\nOptions:") :]
    assert re.findall(r"^  .*?--([\w-]+)", last, re.MULTILINE) == [
        *("json", "quiet", "verbose", "help")
    ]
    options = {param.opts[-1] for param in cli.cli.commands["convert"].params[2:]}
    assert all(f"{option} " in shown for option in options)


def test_help_of_convert_shows_each_example_on_a_line() -> None:
    """The examples can be copied from the terminal, and no mark of click is left in them."""
    shown = CliRunner().invoke(cli.cli, ["convert", "--help"]).output
    examples = shown[shown.index("  Examples:\n") : shown.index("\nInput:")].splitlines()[1:]
    assert len(examples) == 3
    assert all(line.startswith("    a20-parquet convert ") for line in examples)
    assert "\\b" not in shown
    assert "\b" not in shown


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody writes to")
def test_plan_takes_decoder_and_scratch(
    shard: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The forecast is for that decoder, and that folder is where it measures."""
    code, out, _ = run(monkeypatch, capsys, "plan", shard, "--decoder", "wire", "--json")
    assert (code, json.loads(out)["forecast"]["decoder"]) == (0, "wire")
    unwritable = Path("/proc/a20-parquet")
    code, _, err = run(monkeypatch, capsys, "plan", shard, "--scratch", unwritable)
    assert code == 1
    assert "name another --scratch folder" in err


def test_options_are_those_of_the_function() -> None:
    """The command offers the function's options, with its choices and defaults."""
    options = {p.name: p for p in cli.cli.commands["convert"].params if isinstance(p, click.Option)}
    assert set(options) - {"as_json", "quiet", "verbose"} == set(ConvertOptions.model_fields)
    assert isinstance(options["partition_by"].type, click.Choice)
    assert list(options["partition_by"].type.choices) == [by.value for by in PartitionBy]
    assert isinstance(options["compression"].type, click.Choice)
    assert list(options["compression"].type.choices) == [each.value for each in Compression]
    shown = {name: o.default for name, o in options.items() if o.show_default}
    expected = ConvertOptions()
    assert ConvertOptions.parse(shown) == expected  # type: ignore[arg-type]

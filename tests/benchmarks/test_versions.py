"""Versions of the program are measured beside each other."""

import sys
from pathlib import Path

import click
import pytest

from benchmarks import run
from benchmarks.processes import PROJECT, measure
from benchmarks.runs import scratch_bytes
from benchmarks.versions import THIS, Version, VersionPath, to_measure
from tests.benchmarks.made import Made, make_run

pytestmark = pytest.mark.slow


def test_only_the_program_runs_in_each_version() -> None:
    older = Version("older", ("python",), Path("older"))
    found = list(to_measure(["cp", "a20_site_wire"], (THIS, older), ["--memory", "1GB"]))
    assert [each.name for each in found] == ["cp", "a20_site_wire", "a20_site_wire@older"]
    assert [each.folder for each in found] == [PROJECT, PROJECT, Path("older")]
    assert found[1].command[1:] == found[2].command[1:]
    assert found[2].command[-3:] == ("--memory", "1GB", "--json")


def test_further_options_are_of_conversions_only() -> None:
    (npy_json,) = to_measure(["npy_json_wire"], options=["--memory", "1GB"])
    assert "--memory" not in npy_json.command


def test_a_version_is_a_source_folder_or_a_python(tmp_path: Path) -> None:
    package = tmp_path / "source" / "a20_parquet"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("""print('{"is": "the other"}')""")
    convert = VersionPath().convert
    source = convert(str(package.parent), None, None)
    assert source == Version(str(package.parent), (sys.executable,), package.parent)
    found = measure([*source.python, "-m", "a20_parquet"], source.folder)
    assert (found.error, found.result) == (None, {"is": "the other"})
    with pytest.raises(click.BadParameter, match="is no Python"):
        convert(str(tmp_path), None, None)
    (package / "__init__.py").write_text("import nothing_of_this_name")
    with pytest.raises(click.BadParameter, match=r"does not start: .*nothing_of_this_name"):
        convert(str(package.parent), None, None)


def test_two_versions_in_one_sitting(made: Made, tmp_path: Path) -> None:
    other = Version("other", THIS.python, PROJECT)
    small = ["--memory", "12MB", "--row-group-rows", "256"]
    contenders = list(to_measure(["cp", "a20_site_wire"], (THIS, other), small))
    runs = list(run.interleaved(made.folder, tmp_path, contenders, 1))
    assert [each.measured.error for each in runs] == [None] * 3
    assert runs[1].output_bytes == runs[2].output_bytes
    assert not any(tmp_path.iterdir())
    table = run.summary(runs)
    assert table.columns[-1].header == "this faster by"
    assert [bool(cell) for cell in table.columns[-1].cells] == [False, False, True]


def test_scratch_is_what_was_written_beyond_the_output() -> None:
    assert scratch_bytes(make_run("a", output_bytes=50, written_bytes=80)) == 30
    assert scratch_bytes(make_run("a", output_bytes=50, written_bytes=20)) == 0
    assert scratch_bytes(make_run("a")) is None


def test_who_may_not_drop_caches_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.run._DROP", tmp_path / "missing" / "drop_caches")
    with pytest.raises(click.ClickException, match="needs root"):
        run.forget_files()

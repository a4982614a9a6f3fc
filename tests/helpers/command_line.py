"""Runs the command line in this process."""

import pytest

from a20_parquet.cli import main as cli


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Run the command; exit code, stdout and stderr."""
    monkeypatch.setattr("sys.argv", ["a20-parquet", *map(str, arguments)])
    code = 0
    try:
        cli.main()
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err

"""Wrong commands are refused before anything heavy is imported or anything is read."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("tensorflow", "pyarrow", "polars", "duckdb", "numpy", "pydantic", "rich")


def run(*arguments: str) -> tuple[int, str, set[str]]:
    """Run a command in a process of its own; exit code, stderr, and what heavy it has imported."""
    code = (
        "import sys\n"
        "from a20_parquet.cli.main import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr, set(done.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("convert", "in", "out", "--memory", "5"), "'--memory': '5': too little for any"),
        (("convert", "in", "out", "--memory", "5XB"), "expected a size such as 500MB"),
        (("plan", "in", "--memory", "1MB"), "expected 5,796,224 bytes or more"),
        (("convert", "in", "out", "--workers", "0"), "'--workers': 0 is not in the range x>=1"),
        (("verify", "in", "--workers", "-1"), "-1 is not in the range"),
        (("npy-json", "in", "out", "--workers", "0"), "0 is not in the range"),
        (
            ("convert", "in", "out", "--from", "2021-01-02", "--until", "2021-01-01"),
            "2021-01-01 is before --from 2021-01-02",
        ),
        (
            ("plan", "in", "--until", "2021-01-01", "--from", "2021-01-02"),
            "2021-01-01 is before --from 2021-01-02",
        ),
        (("convert", "in", "out", "--from", "2021-02-29"), "expected a date YYYY-MM-DD"),
        (("convert", "in", "out", "--filename-pattern", "(?P<x"), "not a regular expression"),
        (("convert", "in", "out", "--max-errors", "-1"), "x>=0"),
        (("convert", "in", "out", "--window-seconds", "0"), "x>0"),
        (("plan", "in", "--sample", "0"), "x>=1"),
        (("demo", "x", "--size", "much"), "'much': expected a size"),
    ],
)
def test_options_come_first(arguments: tuple[str, ...], told: str) -> None:
    """Neither the shards nor the dataset need be there for it."""
    code, err, heavy = run(*arguments)
    assert told in err
    assert code == 2
    assert heavy == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "NONE"),
        ("verify", "NONE", "--source", "in"),
        ("report", "NONE"),
        ("duckdb", "NONE", "x.duckdb"),
        ("similar", "NONE", "--to", "a@5"),
    ],
)
def test_a_missing_dataset(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """It is missed before anything else is done."""
    missing = str(tmp_path / "none")
    code, err, heavy = run(*(missing if each == "NONE" else each for each in arguments))
    assert code == 1
    assert err == (
        f"a20-parquet: {missing}: does not exist. Name the folder that a20-parquet convert wrote.\n"
    )
    assert heavy == set()


@pytest.mark.slow
def test_python_checks_options_before_it_looks(tmp_path: Path) -> None:
    """With arguments of its own names."""
    code = (
        "import sys, a20_parquet\n"
        "for options in ({'memory': 5}, {'workers': 0}, {'sample_rate': 0},\n"
        "                {'from_date': '2021-01-02', 'until_date': '2021-01-01'}):\n"
        "    try:\n"
        "        a20_parquet.convert('/nothing/in', '/nothing/out', **options)\n"
        "    except a20_parquet.A20ParquetError as error:\n"
        "        print(error)\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "memory 5 is too little for any conversion: give at least 5796224 bytes.",
        "workers: expected 1 or more, got 0",
        "sample_rate: expected 1 or more, got 0",
        "the dates go from 2021-01-02 until 2021-01-01, expected the earlier one first.",
    ]

"""Errors name options as whoever sees them has typed them."""

import pickle
import re
from pathlib import Path

import click
import pytest

from a20_parquet.cli import main as cli
from a20_parquet.errors import (
    A20ParquetError,
    ClusterError,
    DatasetError,
    RecordError,
    SourceError,
    UsageError,
    flag,
    in_python,
)


@pytest.mark.parametrize(
    ("typed", "in_code"),
    [
        ("--memory 5 is too little", "memory 5 is too little"),
        ("or set a smaller --row-group-rows.", "or set a smaller row_group_rows."),
        ("the dates of --from and --until", "the dates of from_date and until_date"),
        ("or give --overwrite to start afresh", "or give overwrite=True to start afresh"),
        ("--drop-duplicates is True, was not given", "drop_duplicates is True, was not given"),
        ("--overwrite: expected true or false", "overwrite: expected true or false"),
        ("Give --as table, or", "Give as_='table', or"),
        ("(--window-seconds)", "(window_seconds)"),
        ("a--memory, ---memory, --memory-, --Memory", "a--memory, ---memory, --memory-, --Memory"),
        ("site_0285/2020---memory_1.flac", "site_0285/2020---memory_1.flac"),
    ],
)
def test_options_in_python(typed: str, in_code: str) -> None:
    """An option is the argument of the function; what only looks like one is left alone."""
    assert in_python(typed) == in_code


@pytest.mark.parametrize(
    "kind", [A20ParquetError, ClusterError, DatasetError, SourceError, UsageError]
)
def test_errors_are_for_whoever_sees_them(kind: type[A20ParquetError]) -> None:
    """Python shows arguments, the command line its options, also after a way between processes."""
    for error in (kind("give more --memory"), pickle.loads(pickle.dumps(kind("more --memory")))):  # noqa: S301
        assert str(error).endswith("more memory")
        assert error.console_text.endswith("more --memory")


def test_errors_of_records() -> None:
    """Likewise, whose message is put together."""
    error = RecordError(shard="a", record=1, offset=2, reason="it is bad", fix="Give --dims.")
    for each in (error, pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert str(each) == "a: record 1 at byte 2: it is bad. Give dims."
        assert each.console_text == "a: record 1 at byte 2: it is bad. Give --dims."


@pytest.mark.parametrize("name", ["from_date", "until_date", "as_", "window_seconds"])
def test_there_and_back(name: str) -> None:
    """What is called so in Python is called so again."""
    assert in_python(f"{flag(name)} is") == f"{name} is"


OPTIONS = [
    (command.name, option)
    for command in cli.cli.commands.values()
    for option in command.params
    if isinstance(option, click.Option)
]


@pytest.mark.parametrize(
    ("command", "option"), OPTIONS, ids=[f"{name} {option.name}" for name, option in OPTIONS]
)
def test_every_option_has_its_argument(command: str, option: click.Option) -> None:
    """What the command line offers is called in Python as messages call it there."""
    typed = max(option.opts, key=len)
    expected = {
        "as_json": "json",
        "as_csv": "csv",
        "sites": "site" if typed == "--site" else "sites",
        # No message of ``score`` names it.
        "folder": "file",
    }
    assert in_python(f"{typed}: x") == f"{expected.get(str(option.name), option.name)}: x", command


def test_messages_name_only_options_that_there_are() -> None:
    """In no module stands an option that no command has."""
    known = {name for _, option in OPTIONS for name in option.opts} | {"--progress"}
    for path in Path(cli.__file__).parent.rglob("*.py"):
        named = set(re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", path.read_text()))
        assert named <= known | {"--help"}, path

"""The shell completes commands, options and choices."""

import os
import shutil
import subprocess
import sys

import pytest

from a20_parquet.cli.main import cli

SHELLS = ("bash", "zsh", "fish")


def complete(shell: str, instruction: str, **environment: str) -> str:
    """What the command prints for a shell."""
    # The name of the variable follows from the command's.
    code = "import sys; sys.argv[0] = 'a20-parquet'; from a20_parquet.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"_A20_PARQUET_COMPLETE": f"{shell}_{instruction}"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    assert not done.stderr
    return done.stdout


def complete_bash(words: str) -> set[str]:
    """What bash offers for the last of some words."""
    count = len(words.split(" ")) - 1
    lines = complete("bash", "complete", COMP_WORDS=words, COMP_CWORD=str(count)).splitlines()
    return {line.partition(",")[2] for line in lines}


def test_commands_options_and_choices() -> None:
    """Each in its place."""
    assert complete_bash("a20-parquet ") == set(cli.commands)
    assert complete_bash("a20-parquet convert --em") == {"--embeddings"}
    assert complete_bash("a20-parquet convert --decoder ") == {"tensorflow", "wire"}


@pytest.mark.parametrize("shell", SHELLS)
def test_start_file_is_code_of_the_shell(shell: str) -> None:
    """What the documented line evaluates names the command; the shell, if installed, takes it."""
    source = complete(shell, "source")
    assert "a20-parquet" in source
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n"], input=source, text=True, check=True)

"""Interrupts conversions with Ctrl-C at random moments, locks others out, and goes on.

``python -m tests.robustness.interrupt --runs 20``
"""

import os
import signal
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from a20_parquet.cli import main as cli
from a20_parquet.conversion import merge_pass
from a20_parquet.decoding.tensorflow import load_tensorflow
from tests.robustness.children import Child, count_markers, digest_tree, start
from tests.robustness.messy import DIMS, write_messy_shards

_USAGE, _QUARANTINE, _INTERRUPTED = 2, 3, 130
_SECONDS = 20
_GO_ON = "The same command goes on where it stopped"


def convert(shards: Path, dataset: Path, workers: int, memory: str) -> None:
    """Run the command."""
    merge_pass._UNIT_BYTES = 1 << 18  # noqa: SLF001 -- so that few megabytes make many units
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["a20-parquet", "convert", str(shards), str(dataset), f"--dims={DIMS}"]
    sys.argv += [f"--workers={workers}", f"--memory={memory}"]
    sys.argv += ["--row-group-rows=200", "--max-file-size=400000"]
    cli.main()


def _await(child: Child, marks: Path, count: int) -> bool:
    """Wait until that many marks lie there, or the child ends; whether they do."""
    while count_markers(marks) < count:
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        time.sleep(0.0005)
    return True


class Interrupter:
    """Interrupts conversions of the same shards."""

    def __init__(self, folder: Path, seed: int, records: int) -> None:
        """Write shards, and convert them undisturbed."""
        self.interrupted: Counter[str] = Counter()
        self._draw = np.random.default_rng(seed)
        self._shards, self._output = folder / "shards", folder / "output"
        start(partial(write_messy_shards, self._shards, 5, records), self._output).expect(0)
        self._convert(folder / "expected", 1, "1GiB").expect(_QUARANTINE)
        self._expected = digest_tree(folder / "expected")

    def _convert(self, dataset: Path, workers: int, memory: str, *, output: str = "") -> Child:
        work = partial(convert, self._shards, dataset, workers, memory)
        return start(work, Path(f"{self._output}{output}"))

    def interrupt(self, dataset: Path, place: str) -> None:
        """Interrupt a conversion in a pass, then go on.

        Raises:
            AssertionError: something is not as it must be.
        """
        workers = int(self._draw.integers(1, 3))
        child = self._convert(dataset, workers, "7MB")
        marks = dataset / "conversion" / {"first pass": "sorted", "second pass": "units"}[place]
        is_there = _await(child, marks, int(self._draw.integers(1, 4)))
        if is_there:
            os.kill(child.pid, signal.SIGINT)
        code = child.wait(limit_s=_SECONDS)
        said = child.output.read_text()
        if code == _INTERRUPTED:
            self.interrupted[place] += 1
            assert "interrupted" in said, said
            assert _GO_ON in said, said
            assert not (dataset / "manifest.json").exists()
            code = self._convert(dataset, workers, "12MB").wait()
        assert code == _QUARANTINE, said
        assert digest_tree(dataset) == self._expected

    def lock_out(self, dataset: Path) -> None:
        """A second conversion is refused while the first lives, and goes on when it is killed.

        Raises:
            AssertionError: something is not as it must be.
        """
        first = self._convert(dataset, 1, "7MB")
        assert _await(first, dataset / "conversion" / "sorted", 1)
        os.kill(first.pid, signal.SIGSTOP)
        said = self._convert(dataset, 1, "7MB", output="-2").expect(_USAGE)
        assert "another process is converting into it" in said, said
        first.kill()
        assert first.wait() == -signal.SIGKILL
        said = self._convert(dataset, 2, "7MB").expect(_QUARANTINE)
        assert "going on with an unfinished conversion" in said, said
        assert digest_tree(dataset) == self._expected


@click.command()
@click.option("--runs", default=20, help="How many conversions to interrupt.")
@click.option("--seed", default=0, help="Of the random moments.")
@click.option("--records", default=120, help="Of each shard.")
@click.option("--folder", type=Path, help="Where to work; by default a temporary folder.")
def main(runs: int, seed: int, records: int, folder: Path | None) -> None:
    """Interrupt conversions, and print where they were."""
    load_tensorflow()
    with TemporaryDirectory(dir=folder) as temporary:
        interrupter = Interrupter(Path(temporary), seed, records)
        for number in range(runs):
            place = ("first pass", "second pass")[number % 2]
            interrupter.interrupt(Path(temporary) / str(number), place)
        interrupter.lock_out(Path(temporary) / "locked")
    click.echo(f"interrupted: {dict(interrupter.interrupted)}")
    click.echo("every dataset is byte-identical to the undisturbed one")


if __name__ == "__main__":
    main()

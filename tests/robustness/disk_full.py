"""Fills the disk in both passes and in the commit; then there is room again.

``python -m tests.robustness.disk_full`` needs to be root, to mount a small file system.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import click

from a20_parquet.cli import main as cli
from a20_parquet.conversion import finish
from a20_parquet.conversion.transaction.commit import commit
from a20_parquet.decoding.tensorflow import load_tensorflow
from tests.robustness.children import digest_tree, start
from tests.robustness.messy import DIMS, write_messy_shards

CANT_MOUNT = 77
_FAILED, _QUARANTINE = 1, 3
_ENOUGH = "200M"
_NAMED = re.compile(r"(data|conversion)/.*\.(parquet|embeddings|arrow|tfrecord|json|jsonl)\b")
"""A file of the dataset."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[str], None]]:
    """Mount an empty file system, and lend what gives it another size.

    Raises:
        OSError: it cannot be mounted.
    """
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={_ENOUGH}", "none", str(folder))
    try:
        yield lambda size: _mount("-o", f"remount,size={size}", str(folder))
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)  # noqa: S607


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode:
        raise OSError(done.stderr)


class _Boundless:
    free = 1 << 60


def _convert(shards: Path, dataset: Path, options: list[str], filler: Path | None) -> None:
    """Run the command; with a filler, the disk is full as soon as the commit begins."""
    mock.patch.object(shutil, "disk_usage", return_value=_Boundless).start()
    if filler is not None:
        mock.patch.object(finish, "commit", partial(_fill_and_commit, filler, commit)).start()
    sys.argv = ["a20-parquet", "convert", str(shards), str(dataset), "--workers=2", *options]
    sys.argv += ["--row-group-rows=200", "--max-file-size=400000", f"--dims={DIMS}"]
    cli.main()


def _fill_and_commit(filler: Path, then: Callable[..., None], *arguments: Any) -> None:
    with filler.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                break
    then(*arguments)


def check(folder: Path, name: str, *, size: str, options: list[str], fills: bool = False) -> str:
    """Convert to a disk that gets full, then to one with room; what the first try said.

    Raises:
        AssertionError: something is not as it must be.
    """
    shards, expected = folder / "shards", folder / "expected"
    output = folder / "output"
    with small_disk(folder / name) as resize:
        resize(size)
        dataset = folder / name / "dataset"
        filler = folder / name / "filler"
        full = partial(_convert, shards, dataset, options, filler if fills else None)
        said = start(full, output).expect(_FAILED)
        assert "No space left on device" in said, said
        assert "The same command goes on where it stopped" in said, said
        assert _NAMED.search(said.strip().splitlines()[-1]), said
        assert not (dataset / "manifest.json").exists()
        assert "Traceback" not in said, said
        filler.unlink(missing_ok=True)
        resize(_ENOUGH)
        go_on = partial(_convert, shards, dataset, options, None)
        resumed = start(go_on, output).expect(_QUARANTINE)
        assert "going on with an unfinished conversion" in resumed, resumed
        assert digest_tree(dataset) == digest_tree(expected)
    return said.strip().splitlines()[-1]


@click.command()
@click.option("--records", default=120, help="Of each shard.")
@click.option(
    "--embeddings",
    "ways",
    type=click.Choice(["located", "copied"]),
    multiple=True,
    default=["located", "copied"],
    help="Where they are while windows are sorted; may be given again.",
)
@click.option("--folder", type=Path, help="Where to work; by default a temporary folder.")
def main(records: int, ways: tuple[str, ...], folder: Path | None) -> None:
    """Fill disks, and print what was said."""
    if os.geteuid() != 0:
        click.echo("only root can mount a file system")
        sys.exit(CANT_MOUNT)
    load_tensorflow()
    with TemporaryDirectory(dir=folder) as temporary:
        place = Path(temporary)
        try:
            with small_disk(place / "try"):
                pass
        except OSError as error:
            click.echo(f"no file system can be mounted: {error}")
            sys.exit(CANT_MOUNT)
        shards, output = place / "shards", place / "output"
        # In a fork: TensorFlow must not run in the process that is forked.
        start(partial(write_messy_shards, shards, 5, records), output).expect(0)
        run = partial(_convert, shards, place / "expected", [], None)
        start(run, output).expect(_QUARANTINE)
        data = sum(path.stat().st_size for path in (place / "expected").rglob("*.parquet"))
        half = f"{data // 2048}k"
        elsewhere = f"--scratch={place / 'scratch'}"
        # Of embeddings that stay in the shards, runs are a few kilobytes.
        small = {"located": "96k", "copied": half}
        for way, (name, size, options, fills) in product(
            ways,
            (
                ("first pass", None, ["--memory=7MB"], False),
                ("second pass", half, ["--memory=7MB", elsewhere], False),
                ("second pass, in memory", half, ["--memory=1GiB"], False),
                ("commit", _ENOUGH, ["--memory=7MB"], True),
            ),
        ):
            said = check(
                place,
                f"{way}, {name}",
                size=size or small[way],
                options=[*options, f"--embeddings={way}"],
                fills=fills,
            )
            click.echo(f"{way}, {name}: {said}")
    click.echo("every dataset is byte-identical to one that had room")


if __name__ == "__main__":
    main()

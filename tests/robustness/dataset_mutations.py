"""Ways in which the files of a dataset get damaged, or are made to hurt."""

import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import crc32c
import numpy as np
import polars as pl

from tests.helpers.manifests import write_manifest
from tests.robustness.dataset_fields import PRECIOUS, change_field, choose, files_of, name_of, pick
from tests.robustness.mutations import Draw, mutate


def spoil(dataset: Path, draw: Draw) -> str:
    """Spoil one thing in a dataset; what was done."""
    kinds = (
        [change_field] * 7 + [_list] * 4 + [_bytes] * 5 + [_fitting_bytes] * 4 + [_whole_file] * 4
    )
    while True:
        done: str = choose(kinds, draw)(dataset, draw)
        if done:
            return done


def _bytes(dataset: Path, draw: Draw) -> str:
    """Damage the bytes of any file."""
    path = pick(dataset, draw)
    content = path.read_bytes()
    changed = mutate(content, draw)
    path.write_bytes(changed)
    return f"bytes of {name_of(dataset, path)}" if changed != content else ""


def _fitting_bytes(dataset: Path, draw: Draw) -> str:
    """Damage a Parquet file, often its footer, and let the lists vouch for it."""
    path = pick(dataset, draw, ".parquet")
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    if draw.random() < 0.6:
        changed = content[:footer] + mutate(content[footer:], draw)
    else:
        changed = mutate(content, draw)
    if changed == content:
        return ""
    path.write_bytes(changed)
    fit(dataset, path)
    return f"forged bytes of {name_of(dataset, path)}"


def fit(dataset: Path, path: Path) -> None:
    """Make the lists say of a file what it is now."""
    name = name_of(dataset, path)
    if name.startswith("data/") and (dataset / "files.parquet").exists():
        content = path.read_bytes()
        mine = pl.col("path") == name
        files = pl.read_parquet(dataset / "files.parquet").with_columns(
            pl.when(mine).then(len(content)).otherwise("bytes").alias("bytes"),
            pl.when(mine)
            .then(pl.lit(f"{crc32c.crc32c(content):08x}"))
            .otherwise("checksum")
            .alias("checksum"),
        )
        write_list(dataset, files)
    elif name == "files.parquet":
        _vouch(dataset)


def write_list(dataset: Path, files: pl.DataFrame) -> None:
    """Write another list of files, which the manifest vouches for."""
    files.write_parquet(dataset / "files.parquet")
    _vouch(dataset)


def _vouch(dataset: Path) -> None:
    path = dataset / "manifest.json"
    if not path.exists():
        return
    manifest = json.loads(path.read_bytes())
    content = (dataset / "files.parquet").read_bytes()
    manifest["files_checksum"] = f"{crc32c.crc32c(content):08x}"
    write_manifest(dataset, manifest)


def _list(dataset: Path, draw: Draw) -> str:
    """Change a column, or rows, of ``files.parquet`` or ``sites.parquet``."""
    there = [
        path
        for path in files_of(dataset, ".parquet")
        if path.name in ("files.parquet", "sites.parquet")
    ]
    if not there:
        return ""
    path = choose(there, draw)
    before = pl.read_parquet(path)
    column = str(choose(before.columns, draw))
    done, change = choose(_LIST_CHANGES, draw)
    try:
        changed = change(before, column, draw)
    except pl.exceptions.PolarsError:
        return ""
    if changed.equals(before) and changed.schema == before.schema:
        return ""
    buffer = io.BytesIO()
    changed.write_parquet(buffer)
    path.write_bytes(buffer.getvalue())
    fit(dataset, path)
    return f"forged {done} {column} in {name_of(dataset, path)}"


def _set(value: Any) -> Callable[[pl.DataFrame, str, Draw], pl.DataFrame]:
    """Give one row another value, and the column a type that holds it."""

    def change(files: pl.DataFrame, column: str, draw: Draw) -> pl.DataFrame:
        values = files[column].to_list()
        values[int(draw.integers(len(values)))] = value
        return files.with_columns(pl.Series(column, values, strict=False))

    return change


def _all(value: Any) -> Callable[[pl.DataFrame, str, Draw], pl.DataFrame]:
    return lambda files, column, _: files.with_columns(pl.lit(value).alias(column))


def _cast(kind: Any) -> Callable[[pl.DataFrame, str, Draw], pl.DataFrame]:
    return lambda files, column, _: files.with_columns(pl.col(column).cast(kind, strict=False))


def _other(files: pl.DataFrame, column: str, draw: Draw) -> pl.DataFrame:
    """Give a row the value of another one."""
    order = np.arange(len(files))
    order[int(draw.integers(len(files)))] = int(draw.integers(len(files)))
    return files.with_columns(files[column].gather(order))


_LIST_CHANGES: Sequence[tuple[str, Callable[[pl.DataFrame, str, Draw], pl.DataFrame]]] = (
    ("dropped", lambda files, column, _: files.drop(column)),
    ("renamed", lambda files, column, _: files.rename({column: f"{column}_"})),
    ("added beside", lambda files, column, _: files.with_columns(pl.col(column).alias("more"))),
    ("rows gone with", lambda files, _, draw: files.sample(int(draw.integers(len(files))), seed=1)),
    ("rows twice with", lambda files, *_: pl.concat([files, files])),
    ("rows reversed with", lambda files, *_: files.reverse()),
    ("another row's", _other),
    ("another row's", _other),
    ("text of", _cast(pl.String)),
    ("floats of", _cast(pl.Float64)),
    ("bytes of", _cast(pl.Binary)),
    ("category of", _cast(pl.Categorical)),
    ("nulls of", _all(None)),
    ("lists of", lambda files, column, _: files.with_columns(pl.concat_list(column))),
    ("struct of", lambda files, column, _: files.with_columns(pl.struct(column).alias(column))),
    ("0 in", _set(0)),
    ("-1 in", _set(-1)),
    ("1 in", _set(1)),
    ("2**40 in", _set(2**40)),
    ("2**62 in", _set(2**62)),
    ("null in", _set(None)),
    ("a way out in", _set(f"data/../{PRECIOUS}/part-0000.parquet")),
    ("a root in", _set("/etc/passwd")),
    ("control in", _set("\x1b[31m\x00\n")),
    ("a long text in", _set("x" * 300_000)),
)


def _whole_file(dataset: Path, draw: Draw) -> str:
    """Delete, empty, swap or replace a file or a folder."""
    path = pick(dataset, draw)
    if draw.random() < 0.2:
        path = path.parent
        if path == dataset:
            return ""
    done, change = choose(_FILE_CHANGES, draw)
    change(dataset, path, draw)
    return f"{done} {name_of(dataset, path)}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _swap(dataset: Path, path: Path, draw: Draw) -> None:
    """Let it change places with a file."""
    others = [each for each in files_of(dataset) if each != path and path not in each.parents]
    if others:
        other: Path = choose(others, draw)
        aside = dataset / "aside"
        path.rename(aside)
        other.rename(path)
        aside.rename(other)


def _replace(make: Callable[[Path], object]) -> Callable[[Path, Path, Draw], None]:
    def change(_: Path, path: Path, __: Draw) -> None:
        _remove(path)
        make(path)

    return change


def _link(dataset: Path, path: Path, _: Draw) -> None:
    """Move it away, and leave a link to where it lies now."""
    away = dataset.parent / "precious" / "moved"
    path.rename(away)
    path.symlink_to(away)


_FILE_CHANGES: Sequence[tuple[str, Callable[[Path, Path, Draw], object]]] = (
    ("deleted", _replace(lambda _: None)),
    ("emptied", _replace(lambda path: path.write_bytes(b""))),
    ("a folder at", _replace(Path.mkdir)),
    ("a FIFO at", _replace(os.mkfifo)),
    ("zeros at", _replace(lambda path: path.write_bytes(bytes(5000)))),
    ("a dangling link at", _replace(lambda path: path.symlink_to("/nowhere/at/all"))),
    ("a link to itself at", _replace(lambda path: path.symlink_to(path))),
    ("a link out at", _replace(lambda path: path.symlink_to(f"{PRECIOUS}/thesis.txt"))),
    ("a link to its own place at", _link),
    ("another file at", _swap),
    ("an unreadable", lambda _, path, __: path.chmod(0)),
    ("a stray beside", lambda _, path, __: (path.parent / "more.parquet").write_bytes(b"PAR1")),
)

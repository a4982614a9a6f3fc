"""hyparquet, a reader in JavaScript, by Node.js."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.conformance.arrow_readers import Where, files_where
from tests.conformance.other_readers import list_array

NODE_MODULES = "A20_PARQUET_NODE_MODULES"
"""Names the folder ``node_modules`` that holds hyparquet and hyparquet-compressors."""


def hyparquet_version() -> str:
    """The version that is installed.

    Raises:
        ImportError: there is none, or no Node.js.
    """
    package = Path(os.environ.get(NODE_MODULES, "node_modules"), "hyparquet", "package.json")
    if shutil.which("node") is None:
        raise ImportError("there is no node")
    if not package.exists():
        raise ImportError(f"there is no {package}; {NODE_MODULES} names the folder node_modules")
    version: str = json.loads(package.read_text())["version"]
    return version


def read_hyparquet(data: Path, keys: Sequence[str], where: Where) -> Any:
    """hyparquet, file by file: it knows no folders, and JavaScript's dates no microseconds."""
    del keys
    return _read(files_where(data, where), "dates")


def read_hyparquet_micros(data: Path, keys: Sequence[str], where: Where) -> Any:
    """hyparquet, told to hand over times as numbers of microseconds."""
    del keys
    return _read(files_where(data, where), "micros")


def _read(paths: Sequence[Path], times: str) -> Any:
    script = str(Path(__file__).with_suffix(".mjs"))
    modules = str(Path(os.environ[NODE_MODULES]).resolve())
    done = subprocess.run(
        ["node", script, modules, times, *map(str, paths)],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise OSError(done.stderr.decode())
    head, _, content = done.stdout.partition(b"\n")
    floats = np.frombuffer(content, np.float32)
    arrays = {}
    for column in json.loads(head):
        name, values = column["name"], column["values"]
        if column["kind"] == "list of float":
            size = sum(length or 0 for length in values)
            arrays[name] = list_array(list(_cut(floats[:size], values)))
            floats = floats[size:]
        else:
            arrays[name] = _array(values, _TYPES[column["kind"]])
    return pa.table(arrays)


def _array(values: Sequence[Any], kind: Any) -> Any:
    parse = _PARSERS.get(kind, int)
    parsed = [None if value is None else parse(value) for value in values]
    return (
        pa.array(parsed, pa.int64()).cast(kind)
        if pa.types.is_timestamp(kind)
        else pa.array(parsed, kind)
    )


def _cut(floats: Any, lengths: Sequence[int | None]) -> Iterator[Any]:
    at = 0
    for length in lengths:
        yield None if length is None else floats[at : at + length]
        at += length or 0


_TYPES = {
    "string": pa.string(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "float": pa.float32(),
    "byte_array": pa.binary(),
    "list of int64": pa.list_(pa.int64()),
    "instant": pa.timestamp("us", tz="UTC"),
    "wall clock": pa.timestamp("us"),
}
"""Arrow types by what hyparquet's schema says of a column."""

_PARSERS: Mapping[Any, Callable[[Any], Any]] = {
    pa.string(): str,
    pa.binary(): bytes.fromhex,
    pa.float32(): float,
    pa.float64(): float,
    pa.list_(pa.int64()): lambda values: [int(value) for value in values],
}
"""How values come through JSON; integers and times as integers' digits."""

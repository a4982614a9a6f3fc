"""Changes fields of the JSON files of a dataset, to nearby and to hostile values."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.helpers.manifests import write_manifest
from tests.robustness.mutations import Draw

PRECIOUS = "../precious"
"""Somebody's folder, beside the dataset."""


def choose(items: Sequence[Any], draw: Draw) -> Any:
    return items[int(draw.integers(len(items)))]


def files_of(dataset: Path, *suffixes: str) -> list[Path]:
    found = sorted(path for path in dataset.rglob("*") if path.is_file() and path.name != "lock")
    return [path for path in found if not suffixes or path.suffix in suffixes]


def pick(dataset: Path, draw: Draw, *suffixes: str) -> Path:
    """A file; each kind of file as likely as another, however many there are."""
    kinds: dict[str, list[Path]] = {}
    for path in files_of(dataset, *suffixes):
        kinds.setdefault(f"{path.relative_to(dataset).parts[0]}{path.suffix}", []).append(path)
    chosen: Path = choose(kinds[choose(sorted(kinds), draw)], draw)
    return chosen


def name_of(dataset: Path, path: Path) -> str:
    return path.relative_to(dataset).as_posix()


def change_field(dataset: Path, draw: Draw) -> str:
    """Change a value in a JSON file."""
    path = pick(dataset, draw, ".json", ".jsonl")
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    line = int(draw.integers(len(lines)))
    content = json.loads(lines[line])
    place = choose([*_places(content)], draw)
    done = _change(content, place, draw)
    changed = json.dumps(content)
    if not done or json.loads(changed) == json.loads(lines[line]):
        return ""
    lines[line] = changed
    path.write_text("\n".join(lines))
    if path == dataset / "manifest.json" and isinstance(content, dict) and draw.random() < 0.8:
        # Without a checksum that fits, nothing else of it is looked at.
        with suppress(ValueError):  # a text that is no Unicode, an integer of too many digits
            write_manifest(dataset, content)
    told = ".".join("*" if isinstance(key, int) else str(key) for key in place)
    folder = name_of(dataset, path).rpartition("/")[0]
    file = f"{folder}/*{path.suffix}" if folder else path.name
    return f"{done} {told} in {file}"


def _places(content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys: Any = ()
    if isinstance(content, dict):
        keys = content
    elif isinstance(content, list):
        keys = range(len(content))
    for key in keys:
        yield (*at, key)
        yield from _places(content[key], (*at, key))


def _change(content: Any, place: tuple[Any, ...], draw: Draw) -> str:
    *above, key = place
    for step in above:
        content = content[step]
    value = content[key]
    kind = int(draw.integers(10))
    if kind == 0:
        del content[key]
        return "removed"
    if kind == 1 and isinstance(content, dict):
        content[f"{key}_"] = value
        return "added beside"
    if kind < 7 and (near := list(_near(value))):
        content[key] = choose(near, draw)
        return "nearby"
    content[key] = choose(_HOSTILE, draw)
    return "hostile"


def _near(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, value * 2, 0, -value, float(value), str(value))
    elif isinstance(value, float):
        yield from (value + 1, -value, value * 2, int(value))
    elif isinstance(value, str):
        yield from (value + "0", value[:-1], value[::-1], value.upper(), "site", "none", "zstd")
    elif isinstance(value, list):
        yield from ([], value[:-1], value + value[:1], value[::-1])
    elif value is None:
        yield from (0, 1, 1.5, "a", [], "2020-10-14")


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


_HOSTILE: Sequence[Any] = (
    None,
    True,
    "",
    "..",
    f"{PRECIOUS}/thesis.txt",
    "/etc/passwd",
    "a\x00b",
    "\x1b[31mred",
    "\ud800",
    "x" * 300_000,
    -1,
    2**31,
    10**12,
    2**63 - 1,
    2**63,
    10**400,
    1e308,
    5e-324,
    float("nan"),
    float("inf"),
    [],
    {},
    [[1]],
    {"a": {"b": []}},
    _nested(300),
    [0] * 100_000,
)

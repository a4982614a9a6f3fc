"""Names of the contenders, and patterns that choose some."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

import click

KEYS = {"site": ("site",), "site_month": ("site", "month"), "site_date": ("site", "date")}
"""Hive keys by the part of a name that stands for them."""
DECODERS = ("tensorflow", "wire")
COMPRESSIONS = ("none", "lz4", "zstd")

OTHERS = (
    "cp",
    "notebook",
    *(f"{way}_{keys}" for keys in KEYS for way in ("write_dataset", "polars")),
    "polars_site_zstd",
)
"""Other ways to do the program's work."""


def convert_name(keys: str, decoder: str, compression: str = "none") -> str:
    """What a conversion of the program's is called, such as ``a20_site_wire_zstd``."""
    ending = "" if compression == "none" else f"_{compression}"
    return f"a20_{keys}_{decoder}{ending}"


def npy_json_name(decoder: str) -> str:
    """What the program's ``npy-json`` is called."""
    return f"npy_json_{decoder}"


PROGRAM: dict[str, tuple[str, ...]] = {
    convert_name(keys, decoder, compression): (
        "convert",
        "--overwrite",
        *("--partition-by", ",".join(KEYS[keys])),
        *("--decoder", decoder),
        *("--compression", compression),
    )
    for keys, compression, decoder in product(KEYS, COMPRESSIONS, DECODERS)
} | {npy_json_name(decoder): ("npy-json", "--decoder", decoder) for decoder in DECODERS}
"""Every way to run the program, and its arguments but for shards, output and ``--json``."""

NAMES = (*OTHERS, *PROGRAM)

USUAL = (
    *OTHERS,
    *(convert_name(keys, decoder) for keys in KEYS for decoder in DECODERS),
    *(convert_name("site", decoder, each) for each in COMPRESSIONS[1:] for decoder in DECODERS),
    *(npy_json_name(decoder) for decoder in DECODERS),
)
"""What is measured where nothing else is asked for: all would take hours."""


def pick(names: Sequence[str], patterns: Iterable[str]) -> list[str]:
    """Choose names by shell patterns, in the order of ``names``.

    Raises:
        ValueError: A pattern matches none of them.
    """
    chosen = set()
    for pattern in patterns:
        matching = [name for name in names if fnmatchcase(name, pattern)]
        if not matching:
            raise ValueError(f"{pattern!r} matches none of {', '.join(names)}")
        chosen.update(matching)
    return [name for name in names if name in chosen]


class Choice(click.ParamType[list[str]]):
    """Some of several names: names or patterns by comma, such as ``cp,a20_*_zstd``."""

    name = "names"

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:
        """Turns what was typed into names."""
        if isinstance(value, list):
            return value
        try:
            return pick(self._names, value.split(","))
        except ValueError as error:
            self.fail(str(error), param, ctx)

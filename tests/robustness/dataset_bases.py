"""Small datasets of all kinds, whole and unfinished, to be spoilt."""

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import a20_parquet
from a20_parquet.conversion import finish, job, merge_pass
from tests.helpers.conversions import TINY
from tests.helpers.shards import frame, make_features, random_tensor, serialize, write_content

DIMS: Final = 8
NAMES: Final = (
    "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac",
    "site_0285/20201014T235900+1030_Arkaba-Dry-A_49501.flac",
    "20210301T235900-0330_Site-3_7.wav",
    "20190630T013925Z_Toorale-National-Park-Dry-A_353483.flac",
)
TO: Final = f"{NAMES[0]}@60"
"""A window that each dataset has."""
_SITES = "name,site_id,time_zone\nToorale-National-Park-Dry-A,77,Australia/Sydney\n"


class _Stop(BaseException):
    """Ends a conversion as a kill would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A dataset, and what is right about it."""

    name: str
    first: tuple[str, ...]
    """Names of the shards that it was made of, or was to be made of."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of its conversions."""
    stop: str | None = None
    """Where its last conversion was stopped: ``merge`` or ``clean_up``."""
    appended: tuple[str, ...] = ()
    """Shards of another conversion."""


BASES: Final = (
    Base(
        name="rich",
        first=("a", "b"),
        appended=("c",),
        options={"sites": "sites.csv", "feature": ("logits", "label")},
    ),
    Base(
        name="zstd",
        first=("a", "b"),
        options={"compression": "zstd", "partition_by": "site", "row_group_rows": 5},
    ),
    Base(name="month", first=("a",), options={"partition_by": "site,month", "row_group_rows": 5}),
    Base(name="undated", first=("a", "b"), options={"unknown_site": "nowhere"}),
    Base(name="unfinished", first=("a", "b"), stop="merge", options={"sites": "sites.csv"}),
    Base(name="unfinished append", first=("a",), appended=("b", "c"), stop="merge"),
    Base(name="committed", first=("a",), appended=("b",), stop="clean_up"),
)


def write_shards(folder: Path) -> None:
    """Write the shards: all good, with records and damage for quarantine, and all good again."""
    for number, name in enumerate("abcd"):
        frames = [frame(_record(100 * number + record)) for record in range(6)]
        if name == "b":
            frames.insert(2, frame(b"\xff no message"))
            frames.insert(4, frame(_record(190, "neg/1.wav")))
            broken = bytearray(frames[5])
            broken[len(broken) // 2] ^= 4
            frames[5] = bytes(broken)
        write_content(folder / name, b"".join(frames))
    (folder / "sites.csv").write_text(_SITES)


def _record(number: int, name: str | None = None) -> bytes:
    from a20_parquet.decoding.tensorflow import load_tensorflow

    tf = load_tensorflow()
    features = make_features(
        random_tensor((1 + number % 3, 1, DIMS), number),
        name or NAMES[number % len(NAMES)],
        60.0 * (number + 1 if number else 1),
    )
    logits = tf.io.serialize_tensor(random_tensor((1 + number % 3, 1, 3), number + 1)).numpy()
    features["logits"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[logits]))
    features["label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[number]))
    return serialize(features)


def convert(base: Base, shards: Path, dataset: Path, names: tuple[str, ...], **more: Any) -> None:
    """Convert some of the shards with a dataset's options."""
    options: dict[str, Any] = {"dims": DIMS, "decoder": "wire", "workers": 1, **base.options}
    if "sites" in options:
        options["sites"] = shards / options["sites"]
    sources = [shards / name for name in names]
    a20_parquet.convert(sources, dataset, **{**options, **more})


def make_bases(folder: Path) -> None:
    """Write shards, every dataset, and what is right about it."""
    write_shards(folder / "shards")
    setattr(job, "plan_memory", lambda **_: TINY)  # noqa: B010 - no part of what it exports
    for base in BASES:
        made = folder / "bases" / base.name
        whole = folder / "whole"
        for names in filter(None, (base.first, base.appended)):
            convert(base, folder / "shards", whole, names)
        right = rows(whole)
        shutil.rmtree(whole)
        if base.appended:
            convert(base, folder / "shards", made, base.first)
        with suppress(_Stop), _stopping(base.stop):
            convert(base, folder / "shards", made, base.appended or base.first)
        # What a reader finds before somebody goes on.
        now = rows(made) if (made / "manifest.json").exists() else None
        (folder / "bases" / f"{base.name}.json").write_text(
            json.dumps({"now": now, "finished": right})
        )


class _stopping:  # noqa: N801 - a context manager, named as one
    """Stops conversions at a place."""

    def __init__(self, where: str | None) -> None:
        self._place: tuple[Any, str] | None = {
            "merge": (merge_pass, "commit_unit"),
            "clean_up": (finish, "clean_up"),
        }.get(where or "")
        self._before: Callable[..., object] | None = None

    def __enter__(self) -> None:
        def stop(*_: object) -> None:
            raise _Stop

        if self._place is not None:
            self._before = getattr(*self._place)
            setattr(*self._place, stop)

    def __exit__(self, *_: object) -> None:
        if self._place is not None:
            setattr(*self._place, self._before)


def rows(dataset: Path) -> str:
    """Digest of all windows in their order."""
    return sha256(repr(a20_parquet.scan(dataset).collect().rows()).encode()).hexdigest()

"""Converts damaged shards and accounts for every byte and every window of them.

``python -m tests.robustness.damage --mutations 2000``
"""

import faulthandler
import json
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import polars as pl

import a20_parquet
from tests.helpers.conversions import digests
from tests.helpers.shards import COMPRESS, frame, make_record, random_tensor
from tests.robustness.mutations import mutate

DIMS = 16
RECORDS = 12
_BATCH = 200
_LONGEST_S = 300
_STDERR = 2  # the descriptor: under pytest sys.stderr has none
_WINDOW_BITS = {"GZIP": 31, "ZLIB": 15}

Key = tuple[str, float, int]
"""Filename, offset in seconds, channel."""
Windows = dict[Key, npt.NDArray[np.uint32]]
"""Their embeddings as raw bits."""


@dataclass(slots=True)
class Tally:
    """What became of the records."""

    mutations: int = 0
    originals: int = 0
    converted: int = 0
    quarantined: int = 0
    damaged: int = 0
    """Originals of which no whole frame is left."""
    intact_in_damage: int = 0
    """Whole frames of records in ranges that are reported as damaged."""
    ranges: Counter[str] = field(default_factory=Counter)
    """Damaged ranges by reason."""
    bytes: int = 0
    """Of damaged shards, all accounted for."""


@dataclass(frozen=True, slots=True)
class Original:
    """A valid shard before it was damaged."""

    payloads: dict[bytes, Windows]
    """All records, and their windows; none for one that cannot be converted."""
    mutated: bytes
    """The damaged shard, as it is stored."""


def make_original(number: int, draw: np.random.Generator) -> Original:
    """Make a valid shard with names of its own, and damage it."""
    payloads: dict[bytes, Windows] = {}
    for record in range(RECORDS):
        unique = number * 100 + record
        shape = (int(draw.integers(1, 4)), int(draw.integers(1, 3)), DIMS)
        is_half = record % 5 == 4
        tensor = random_tensor(shape, unique, np.float16 if is_half else np.float32)
        name = f"site_0285/20201014T010000+1030_Arkaba-Dry-A_{unique}.flac"
        if record == 7:
            name = f"neg/{unique}.wav"
        payload = make_record(tensor, name, 60.0 * record)
        payloads[payload] = {} if record == 7 else dict(_windows(name, 60.0 * record, tensor))
    compression = ("", "", "GZIP", "ZLIB")[draw.integers(4)]
    content = b"".join(map(frame, payloads))
    # Some damage happened before the shard was compressed.
    is_before = compression != "" and draw.random() < 0.3
    mutated = (
        COMPRESS[compression](mutate(content, draw))
        if is_before
        else mutate(COMPRESS[compression](content), draw)
    )
    return Original(payloads, mutated)


def _windows(
    name: str, timestamp_s: float, tensor: npt.NDArray[Any]
) -> Iterator[tuple[Key, npt.NDArray[np.uint32]]]:
    for window in range(tensor.shape[0]):
        for channel in range(tensor.shape[1]):
            bits = tensor[window, channel].astype(np.float32).view(np.uint32)
            yield (name, timestamp_s + 5.0 * window, channel), bits


def check_batch(folder: Path, first: int, count: int, seed: int, tally: Tally) -> None:
    """Convert a batch of damaged shards and account for all of it.

    Raises:
        AssertionError: something is not as it must be.
    """
    draw = np.random.default_rng([seed, first])
    originals = {}
    shards = folder / "shards"
    shards.mkdir()
    for number in range(first, first + count):
        label = f"embeddings-{number:05d}-of-99999"
        originals[label] = make_original(number, draw)
        (shards / label).write_bytes(originals[label].mutated)
    out = folder / "out"
    memory, workers = (("1GiB", 1), ("7MB", 2))[first // _BATCH % 2]
    for decoder, embeddings in product(("tensorflow", "wire"), ("copied", "located")):
        folder_of = folder / f"{decoder}-{embeddings}"
        a20_parquet.convert(
            shards,
            folder_of,
            dims=DIMS,
            partition_by="site",
            row_group_rows=100,
            memory=memory,
            workers=workers,
            decoder=decoder,
            embeddings=embeddings,
        )
        if not out.exists():
            folder_of.rename(out)
            continue
        assert digests(folder_of) == digests(out), f"{decoder}, {embeddings}"
        shutil.rmtree(folder_of)
    manifest = json.loads((out / "manifest.json").read_text())
    counted = {shard["label"]: shard for shard in manifest["shards"]}
    expected: Counter[Key] = Counter()
    bits: Windows = {}
    for label, original in originals.items():
        good = _account(out / "quarantine", label, original, counted.get(label), tally)
        for payload in good:
            expected.update(original.payloads[payload].keys())
            bits |= original.payloads[payload]
    _check_rows(out, expected, bits)
    checked = a20_parquet.verify(out, shards)
    assert checked.is_good, checked.problems
    tally.mutations += count
    shutil.rmtree(shards)
    shutil.rmtree(out)


def _account(
    quarantine: Path, label: str, original: Original, counted: Any, tally: Tally
) -> list[bytes]:
    """Put a damaged shard together again; the payloads that must have been converted."""
    tally.originals += len(original.payloads)
    tally.bytes += len(original.mutated)
    listed = quarantine / f"{label}.jsonl"
    entries = (
        [json.loads(line) for line in listed.read_text().splitlines()] if listed.exists() else []
    )
    records = _content(quarantine / f"{label}.tfrecord")
    damaged = _content(quarantine / f"{label}.damaged")
    assert counted is not None, f"{label} is not in the manifest"
    content, stored_end = inflate(original.mutated)
    at, frames, quarantined = 0, 0, 0
    good: list[bytes] = []
    for entry in entries:
        is_damage = entry["reason"] != "bad_filename"
        if entry["reason"] == "bad_stream":
            continue
        while at < entry["offset"]:
            good.append(_payload(content, at, label))
            at += 16 + len(good[-1])
        assert at == entry["offset"], f"{label}: {entry} overlaps what ends at {at}"
        assert entry["record"] == frames + len(good), f"{label}: {entry} has another number"
        size = entry["length"]
        held = damaged if is_damage else records
        assert held[:size] == content[at : at + size], f"{label}: {entry} is not kept as it was"
        if is_damage:
            damaged = damaged[size:]
            tally.ranges[entry["reason"]] += 1
            tally.intact_in_damage += sum(
                frame(payload) in content[at : at + size] for payload in original.payloads
            )
        else:
            records = records[size:]
            assert not original.payloads[content[at + 12 : at + size - 4]]
            quarantined += 1
        frames += 1
        at += size
    while at < len(content):
        good.append(_payload(content, at, label))
        at += 16 + len(good[-1])
    assert at == len(content)
    for entry in entries:
        if entry["reason"] == "bad_stream":
            assert damaged == original.mutated[entry["offset"] :], f"{label}: {entry}"
            assert entry["offset"] <= stored_end
            damaged = b""
            tally.ranges["bad_stream"] += 1
    assert (records, damaged) == (b"", b""), f"{label}: more in quarantine than is listed"
    assert counted["records"] == len(good) + quarantined
    assert counted["quarantined"] == quarantined
    for payload in good:
        assert original.payloads[payload], f"{label}: a record with a bad name was converted"
    tally.quarantined += min(quarantined, 1)
    whole = set(good)
    tally.converted += len(whole)
    tally.damaged += len(original.payloads) - len(whole) - min(quarantined, 1)
    return good


def _payload(content: bytes, at: int, label: str) -> bytes:
    """The payload of a whole frame, which must be there."""
    size = int.from_bytes(content[at : at + 8], "little")
    payload = content[at + 12 : at + 12 + size]
    assert content[at : at + 16 + size] == frame(payload), f"{label}: no frame at {at}"
    return payload


def inflate(stored: bytes) -> tuple[bytes, int]:
    """Inflate what can be, byte for byte; also where the stored bytes are used up.

    A shard whose start is a whole frame, or no stream of either kind, is not compressed.
    """
    size = int.from_bytes(stored[:8], "little")
    if stored[:12] == frame(bytes(0))[:12] or (
        size < len(stored) and stored[:12] == frame(bytes(size))[:12]
    ):
        return stored, len(stored)
    for bits in _WINDOW_BITS.values():
        try:
            zlib.decompressobj(bits).decompress(stored[:12])
        except zlib.error:
            continue
        return _inflate(stored, bits) if len(stored) > 1 else (stored, len(stored))
    return stored, len(stored)


def _inflate(stored: bytes, bits: int) -> tuple[bytes, int]:
    content = bytearray()
    stream = zlib.decompressobj(bits)
    at = 0
    try:
        while at < len(stored):
            if stream.eof:
                if stored[at] == 0:
                    at += 1
                    continue
                stream = zlib.decompressobj(bits)
            content += stream.decompress(stored[at : at + 1])
            at += 1
    except zlib.error:
        pass
    return bytes(content), at


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _check_rows(out: Path, expected: Counter[Key], bits: Windows) -> None:
    """The dataset has the windows that are expected, each as often, and no others."""
    found: Counter[Key] = Counter()
    for path in sorted((out / "data").rglob("*.parquet")):
        rows = pl.read_parquet(path, hive_partitioning=False)
        keys = rows.select("filename", "recording_offset_in_file", "channel").rows()
        found.update(keys)
        for key, embedding in zip(keys, rows["embedding"].to_numpy(), strict=True):
            assert np.array_equal(embedding.view(np.uint32), bits[key]), f"{key} is wrong"
    assert found == expected, f"{found - expected} too many, {expected - found} missing"


def run(mutations: int, seed: int, folder: Path | None = None) -> Tally:
    """Damage as many shards and account for all of them.

    Raises:
        AssertionError: something is not as it must be.
    """
    tally = Tally()
    for first in range(0, mutations, _BATCH):
        faulthandler.dump_traceback_later(_LONGEST_S, exit=True, file=_STDERR)
        with TemporaryDirectory(dir=folder) as temporary:
            check_batch(Path(temporary), first, min(_BATCH, mutations - first), seed, tally)
    faulthandler.cancel_dump_traceback_later()
    return tally


@click.command()
@click.option("--mutations", default=2000, help="How many shards to damage.")
@click.option("--seed", default=0, help="Of all that is random.")
@click.option("--folder", type=Path, help="Where to work; by default a temporary folder.")
def main(mutations: int, seed: int, folder: Path | None) -> None:
    """Damage shards, convert them, and print what became of their records."""
    began = time.monotonic()
    tally = run(mutations, seed, folder)
    click.echo(
        f"{tally.mutations} damaged shards, {tally.bytes:,} bytes, all accounted for.\n"
        f"Of {tally.originals} records {tally.converted} are in the dataset bit for bit, "
        f"{tally.quarantined} in quarantine, {tally.damaged} in damaged ranges.\n"
        f"Damaged ranges: {dict(tally.ranges)}; whole records in these: {tally.intact_in_damage}\n"
        f"{time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    main()

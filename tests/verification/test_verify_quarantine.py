"""A quarantine and figures of a manifest that contradict the shards, or each other, are found."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crc32c
import pytest

from a20_parquet.verification.verify import verify
from tests.helpers.manifests import edit_manifest
from tests.helpers.shards import frame
from tests.helpers.spoiling import messages, only_by_shards

BAD = "bad-00000-of-00001"


def quarantined(manifest: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says of one shard's quarantine."""
    found: dict[str, Any] = next(each for each in manifest["quarantine"] if each["label"] == BAD)
    return found


def summary(manifest: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says of the same shard."""
    found: dict[str, Any] = next(each for each in manifest["shards"] if each["label"] == BAD)
    return found


def change_quarantine(dataset: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file in quarantine, and what the manifest says of it."""
    path = dataset / "quarantine" / name
    content = change(path.read_bytes())
    path.write_bytes(content)

    def accept(manifest: dict[str, Any]) -> None:
        for shard in manifest["quarantine"]:
            for file in shard["files"]:
                if file["name"] == name:
                    file |= {"bytes": len(content), "checksum": f"{crc32c.crc32c(content):08x}"}

    edit_manifest(dataset, accept)


def drop_entry(dataset: Path) -> None:
    """Forget one quarantined record, its bytes, its line and its count."""
    size = len(frame(b"no example"))
    change_quarantine(dataset, f"{BAD}.tfrecord", lambda content: content[size:])
    change_quarantine(
        dataset, f"{BAD}.jsonl", lambda text: b"".join(text.splitlines(keepends=True)[1:])
    )

    def recount(manifest: dict[str, Any]) -> None:
        del quarantined(manifest)["reasons"]["not_an_example"]
        manifest["totals"]["quarantined"] -= 1
        summary(manifest)["quarantined"] -= 1

    edit_manifest(dataset, recount)


def drop_shard(dataset: Path) -> None:
    """Forget all that lies in quarantine of a shard."""
    for path in (dataset / "quarantine").glob(f"{BAD}.*"):
        path.unlink()

    def recount(manifest: dict[str, Any]) -> None:
        manifest["totals"]["quarantined"] -= sum(quarantined(manifest)["reasons"].values())
        manifest["quarantine"].remove(quarantined(manifest))
        summary(manifest)["quarantined"] = 0

    edit_manifest(dataset, recount)


def change_byte(name: str) -> Callable[[Path], None]:
    """Change one bit of a file in quarantine."""

    def change(content: bytes) -> bytes:
        spoilt = bytearray(content)
        spoilt[len(spoilt) // 2] ^= 1
        return bytes(spoilt)

    return lambda dataset: change_quarantine(dataset, name, change)


def change_reason(dataset: Path) -> None:
    """Count a record under another reason."""

    def recount(manifest: dict[str, Any]) -> None:
        reasons = quarantined(manifest)["reasons"]
        reasons["bad_tensor"] += reasons.pop("bad_filename")

    edit_manifest(dataset, recount)


SPOILT: dict[str, tuple[Callable[[Path], None], str]] = {
    "a record less": (drop_entry, BAD),
    "a shard less": (drop_shard, BAD),
    "another record": (change_byte(f"{BAD}.tfrecord"), BAD),
    "another reason": (change_byte(f"{BAD}.jsonl"), BAD),
    **{
        f"another range of {label}": (change_byte(f"{label}.damaged"), label)
        for label in ("damaged-00000-of-00001", "stream-00000-of-00001")
    },
}


@pytest.mark.parametrize(("spoil", "label"), SPOILT.values(), ids=SPOILT)
def test_quarantine(dataset: Path, shards: Path, spoil: Callable[[Path], None], label: str) -> None:
    """What of a shard belongs in quarantine and is not there, or is changed there."""
    spoil(dataset)
    (line,) = only_by_shards(dataset, shards)
    assert line.startswith(f"{label}: ")
    assert "belongs in quarantine" in line


def test_reasons_that_the_list_does_not_tell(dataset: Path, shards: Path) -> None:
    """What the manifest counts is held against the list, and against the shard."""
    change_reason(dataset)
    (line,) = messages(verify(dataset))
    found, expected = line.removeprefix(f"quarantine/{BAD}.jsonl: lists ").split("expected ")
    assert "1 bad_filename, 1 bad_tensor" in found
    assert "2 bad_tensor" in expected
    assert any(each.startswith(f"{BAD}: ") for each in messages(verify(dataset, shards)))


FIGURES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "windows": (lambda m: summary(m).update(windows=0), "its shards have "),
    "quarantined": (
        lambda m: summary(m).update(quarantined=0),
        f"says that 0 records and 0 damaged ranges of {BAD}",
    ),
    "damaged": (
        lambda m: summary(m).update(damaged=1),
        f"and 1 damaged ranges of {BAD} are in quarantine",
    ),
    "left out of a shard": (
        lambda m: summary(m).update(left_out=7),
        "left out 0 windows, but its shards 7",
    ),
    "left out by a conversion": (
        lambda m: m["conversions"][0].update(left_out=9),
        "its conversions left out 9 windows",
    ),
    "label": (
        lambda m: m["shards"][0].update(label=m["shards"][1]["label"]),
        "names the shard ",
    ),
}


@pytest.mark.parametrize(("change", "message"), FIGURES.values(), ids=FIGURES)
def test_figures_that_contradict_others(
    dataset: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    """Each figure of the manifest that another one tells is held against it, without the shards."""
    edit_manifest(dataset, change)
    lines = messages(verify(dataset))
    assert any(line.startswith("manifest.json: ") and message in line for line in lines), lines


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"x")])
@pytest.mark.parametrize("suffix", ["tfrecord", "jsonl"])
def test_quarantine_files(dataset: Path, spoil: Callable[[Path], object], suffix: str) -> None:
    """A file in quarantine that is gone or not as the manifest says, told without the shards."""
    spoil(dataset / "quarantine" / f"{BAD}.{suffix}")
    (line,) = messages(verify(dataset))
    assert line.startswith(f"quarantine/{BAD}.{suffix}: ")


def test_a_quarantine_that_leads_nowhere(dataset: Path) -> None:
    """A folder that is a link to itself is told of, and ends nothing."""
    shutil.rmtree(dataset / "quarantine")
    (dataset / "quarantine").symlink_to("quarantine")
    lines = messages(verify(dataset, workers=1))
    assert any(line.startswith("quarantine: cannot be listed: ") for line in lines), lines

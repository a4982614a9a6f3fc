"""Changed manifests, with a checksum that fits, as if a conversion had written them so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crc32c

FIRST: dict[str, Any] = {
    "options": {
        "partition_by",
        "compression",
        "max_file_size",
        "row_group_rows",
        "window_seconds",
        "dims",
        "channels",
        "features",
    },
    "conversions": {"reading", "duplicates"},
    "reading": {
        "filename_pattern",
        "unknown_site",
        "sites",
        "site",
        "from_date",
        "until_date",
        "drop_duplicates",
    },
    "shards": {
        "label",
        "url",
        "bytes",
        "checksum",
        "records",
        "windows",
        "left_out",
        "quarantined",
        "damaged",
        "shape_disagreements",
        "conversion",
        "retried",
    },
}
"""The fields that the first manifests had."""


def edit_manifest(dataset: Path, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Change what a dataset's manifest says, and return it."""
    manifest: dict[str, Any] = json.loads((dataset / "manifest.json").read_bytes())
    change(manifest)
    write_manifest(dataset, manifest)
    return manifest


def write_manifest(dataset: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest with the checksum of its other fields, in the form that conversions use."""
    manifest.pop("checksum", None)
    whole = compact(manifest)
    lines = [f"{compact(name)}:{_lines(value)}" for name, value in sorted(manifest.items())]
    manifest["checksum"] = f"{crc32c.crc32c(whole.encode()):08x}"
    lines.insert(0, f'"checksum":"{manifest["checksum"]}"')
    (dataset / "manifest.json").write_text("{" + ",\n".join(lines) + "}\n")


def compact(value: Any) -> str:
    """The form of JSON that the checksum is of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _lines(value: Any) -> str:
    """A line for each item of a list."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(map(compact, value)) + "\n]"
    return compact(value)


def as_first(manifest: dict[str, Any]) -> None:
    """Leave out what was added since."""

    def only(known: dict[str, Any], name: str) -> dict[str, Any]:
        return {key: value for key, value in known.items() if key in FIRST[name]}

    manifest["options"] = only(manifest["options"], "options")
    manifest["shards"] = [only(shard, "shards") for shard in manifest["shards"]]
    manifest["conversions"] = [
        only(each, "conversions") | {"reading": only(each["reading"], "reading")}
        for each in manifest["conversions"]
    ]

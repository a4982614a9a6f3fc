"""Changed manifests, with a checksum that fits, as if a conversion had written them so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crc32c


def edit_manifest(dataset: Path, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Change what a dataset's manifest says, and return it."""
    manifest: dict[str, Any] = json.loads((dataset / "manifest.json").read_bytes())
    change(manifest)
    write_manifest(dataset, manifest)
    return manifest


def write_manifest(dataset: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest with the checksum of its other fields."""
    manifest.pop("checksum", None)
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    manifest["checksum"] = f"{crc32c.crc32c(text.encode()):08x}"
    (dataset / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")

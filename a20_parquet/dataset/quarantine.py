"""What a dataset keeps in quarantine: counts of what could not be converted."""

import json
from collections import Counter
from typing import Any

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError


def count_reasons(catalog: Catalog) -> dict[str, int]:
    """Count what lies in ``quarantine/`` by reason, the most frequent first.

    Raises:
        DatasetError: a file there can't be read, or a line of it is no JSON object with a reason.
    """
    counts: Counter[str] = Counter()
    try:
        paths = sorted(catalog.filesystem.glob(catalog.path("quarantine/*.jsonl")))
        for path in paths:
            with catalog.filesystem.open(path, "rb") as lines:
                name = f"quarantine/{path.rpartition('/')[2]}"
                where = catalog.url(name)
                counts.update(
                    _reason(line, f"{where}, line {number}") for number, line in enumerate(lines, 1)
                )
    except OSError as error:
        raise DatasetError(f"{catalog.url('quarantine')}: can't be read: {error}") from error
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _reason(line: bytes, where: str) -> str:
    try:
        entry: Any = json.loads(line)
    except ValueError:
        entry = None
    reason = entry.get("reason") if isinstance(entry, dict) else None
    if not isinstance(reason, str):
        raise DatasetError(
            f"{where}: found {line[:60]!r}, expected a JSON object with a reason. Was the file "
            "edited or cut? Convert the shards again."
        )
    return reason

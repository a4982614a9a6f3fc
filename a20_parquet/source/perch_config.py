"""What Perch's ``config.json`` beside the shards says about how they were made."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from a20_parquet.errors import SourceError, UsageError

DEFAULT_HOP_S = 5.0


def read_hop_s(configs: Sequence[tuple[Any, str]]) -> float:
    """Read the seconds from one window's start to the next.

    Args:
        configs: fsspec filesystem and path of each ``config.json``.

    Returns:
        What the configurations agree on, or 5 where none says it.

    Raises:
        SourceError: a configuration can't be read.
        UsageError: two configurations disagree.
    """
    hops = {
        hop_s: path
        for filesystem, path in configs
        if (hop_s := _hop_s(filesystem, path)) is not None
    }
    if len(hops) > 1:
        said = ", ".join(f"{hop_s} s in {path}" for hop_s, path in sorted(hops.items()))
        raise UsageError(f"the shards' windows differ: {said}. Say which with --window-seconds.")
    return next(iter(hops), DEFAULT_HOP_S)


def _hop_s(filesystem: Any, path: str) -> float | None:
    try:
        config = json.loads(filesystem.cat_file(path))
    except OSError as error:
        raise SourceError(f"{path}: can't be read: {error}") from error
    except (ValueError, RecursionError):
        # Any program may call its file config.json.
        return None
    for key in ("embed_fn_config", "model_config", "hop_size_s"):
        config = config.get(key) if isinstance(config, dict) else None
    if isinstance(config, bool) or not isinstance(config, int | float):
        return None
    return float(config) if 0 < config < sys.float_info.max else None

"""Computes the heat map's scale, and the data from which the browser draws it."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from a20_parquet.reporting.coverage import Coverage

STEPS = 10
"""Number of colours: nine equal parts of the scale, and one for values at its top."""

FULL_DAY_MINUTES = 24 * 60
_TOPS_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, FULL_DAY_MINUTES)
# A recorder that never stops loses a few seconds between files.
_REACHED = 0.99
_TYPICAL_MOST = 0.98
_HOUR_MINUTES = 60
_RARE_GAPS = 0.2


def window_minutes(window_seconds: float, channels: int) -> float:
    """Return the minutes of audio per row; the channels are of the same audio."""
    return window_seconds / 60 / max(channels, 1)


def top_minutes(coverage: Coverage, minutes_a_window: float) -> int:
    """Return the minutes of audio a day at which the colours end.

    This is a full day if recorders ran for more than half of it. For a sample of recordings it is
    less, because all days would look empty otherwise.
    """
    days = coverage.windows[coverage.windows > 0]
    most = float(np.quantile(days, _TYPICAL_MOST)) * minutes_a_window if len(days) else 0.0
    return next((top for top in _TOPS_MINUTES if top >= most * _REACHED), FULL_DAY_MINUTES)


def format_minutes(minutes: float) -> str:
    """Format a duration, such as ``15 min``, ``1 h`` or ``7.5 h``."""
    if minutes < _HOUR_MINUTES:
        return f"{minutes:.3g} min"
    return f"{minutes / _HOUR_MINUTES:,.3g} h"


def step(value: float, top: float) -> int:
    """Return the number of a value's colour, 0 to ``STEPS - 1``; the value is greater than 0."""
    if value >= _REACHED * top:
        return STEPS - 1
    return min(int(value / top * (STEPS - 1)), STEPS - 2)


def is_sparse(coverage: Coverage) -> bool:
    """Whether gaps are no exception, so that their colour would hide what was recorded."""
    return coverage.gap_share > _RARE_GAPS


def heat_map_json(
    coverage: Coverage, minutes_a_window: float, recorders: Sequence[str | None] = ()
) -> str:
    """Encode the heat map's data as JSON that is safe inside an HTML ``script`` element.

    Returns:
        An object with ``sites`` (names); ``days``, runs of consecutive days with windows, each as
        its first day since 1970 and its length; ``amounts``, the distinct numbers of windows;
        ``cells``, shape ``(sites, days)``, indexes into ``amounts`` as base64 of little-endian
        integers of ``cell_bytes``; ``recorders``, their names where they are known; and the scale.
    """
    amounts, cells = np.unique(coverage.windows, return_inverse=True)
    width = next(size for size in (1, 2, 4) if len(amounts) <= 2 ** (8 * size))
    content: dict[str, Any] = {
        "sites": coverage.sites,
        "recorders": list(recorders),
        "sparse": is_sparse(coverage),
        "days": _runs(coverage.days),
        "amounts": amounts.tolist(),
        "cells": base64.b64encode(cells.astype(f"<u{width}").tobytes()).decode(),
        "cell_bytes": width,
        "window_minutes": minutes_a_window,
        "top_minutes": top_minutes(coverage, minutes_a_window),
        "reached": _REACHED,
        "steps": STEPS,
    }
    return safe_json(content)


def safe_json(content: Any) -> str:
    """Encode as JSON that can stand inside an HTML ``script`` element."""
    text = json.dumps(content, separators=(",", ":"))
    # Without these characters no script element ends and no comment begins.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _runs(days: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    breaks = np.flatnonzero(np.diff(days) != 1) + 1
    return [(int(run[0]), len(run)) for run in np.split(days, breaks) if len(run)]

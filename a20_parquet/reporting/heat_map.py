"""The heat map's scale and the data from which the browser draws it."""

import base64
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from a20_parquet.reporting.coverage import Coverage

STEPS = 10
"""Colours of a scale: nine equal parts of it, and one for what reaches its top."""

FULL_DAY_MINUTES = 24 * 60
_TOPS_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, FULL_DAY_MINUTES)
# A recorder that never stops still loses seconds from file to file.
_REACHED = 0.99
_TYPICAL_MOST = 0.98
_HOUR_MINUTES = 60


def window_minutes(window_seconds: float, channels: int) -> float:
    """Minutes of audio that one row stands for; channels share theirs."""
    return window_seconds / 60 / max(channels, 1)


def top_minutes(coverage: Coverage, minutes_a_window: float) -> int:
    """Choose the audio of a day at which the colours end, in minutes.

    It is a full day where recorders ran for more than half of it, and less for a sample of the
    recordings, whose days would all look empty otherwise.
    """
    days = coverage.windows[coverage.windows > 0]
    most = float(np.quantile(days, _TYPICAL_MOST)) * minutes_a_window if len(days) else 0.0
    return next((top for top in _TOPS_MINUTES if top >= most * _REACHED), FULL_DAY_MINUTES)


def format_minutes(minutes: float) -> str:
    """Write a length of time, such as ``15 min``, ``1 h`` or ``7.5 h``."""
    if minutes < _HOUR_MINUTES:
        return f"{minutes:.3g} min"
    return f"{minutes / _HOUR_MINUTES:,.3g} h"


def step(value: float, top: float) -> int:
    """Number the colour of a value greater than 0, from 0 to ``STEPS - 1``."""
    if value >= _REACHED * top:
        return STEPS - 1
    return min(int(value / top * (STEPS - 1)), STEPS - 2)


def heat_map_json(coverage: Coverage, minutes_a_window: float) -> str:
    """Write what the heat map shows, safe inside an HTML ``script`` element.

    Returns:
        An object with ``sites`` (names); ``days``, runs of consecutive days that have windows,
        each a first day since 1970 and a length; ``amounts``, the different numbers of windows
        that occur; ``cells``, for each site and each of the days the number of its amount, as
        base64 of little-endian integers of ``cell_bytes``, sites outermost; and the scale.
    """
    amounts, cells = np.unique(coverage.windows, return_inverse=True)
    width = next(size for size in (1, 2, 4) if len(amounts) <= 2 ** (8 * size))
    content: dict[str, Any] = {
        "sites": coverage.sites,
        "days": _runs(coverage.days),
        "amounts": amounts.tolist(),
        "cells": base64.b64encode(cells.astype(f"<u{width}").tobytes()).decode(),
        "cell_bytes": width,
        "window_minutes": minutes_a_window,
        "top_minutes": top_minutes(coverage, minutes_a_window),
        "reached": _REACHED,
        "steps": STEPS,
    }
    text = json.dumps(content, separators=(",", ":"))
    # Only these end a script element or begin a comment in it; JSON reads the escapes the same.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _runs(days: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    breaks = np.flatnonzero(np.diff(days) != 1) + 1
    return [(int(run[0]), len(run)) for run in np.split(days, breaks) if len(run)]

"""A linear classifier of random weights, as arrays and as the content of a file."""

from typing import Any

import numpy as np

from tests.helpers.recordings import DIMS

_RNG = np.random.default_rng(5)
CLASSES = [f"class {number}" for number in range(12)]
WEIGHTS = _RNG.standard_normal((12, DIMS))
BIAS = _RNG.standard_normal(12)
THRESHOLDS = _RNG.uniform(-1, 3, 12)


def content(**changed: Any) -> dict[str, Any]:
    """What a file has."""
    return {
        "classes": CLASSES,
        "weights": WEIGHTS.tolist(),
        "bias": BIAS.tolist(),
        "thresholds": THRESHOLDS.tolist(),
    } | changed

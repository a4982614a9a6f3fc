"""Bytes of all kinds, the short version."""

import pytest

from tests.robustness.fuzz import run
from tests.robustness.properties import targets

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["framing", "decoding", "filenames"])
def test_any_bytes(name: str) -> None:
    """What must hold for any bytes holds for some hundred examples."""
    assert run(name, targets()[name], seconds=600, examples=300) >= 300

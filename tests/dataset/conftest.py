"""Fixtures of the tests of what lies on disk."""

from pathlib import Path

import pytest

from a20_parquet.dataset.layout import DatasetLayout
from tests.dataset.units import PLAN


@pytest.fixture
def claimed(tmp_path: Path) -> DatasetLayout:
    """A dataset that a conversion has begun."""
    layout = DatasetLayout.at(tmp_path / "dataset")
    layout.claim(PLAN, overwrite=False)
    return layout

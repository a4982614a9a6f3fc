"""Fixtures of the tests of what lies on disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from a20_parquet.conversion.transaction.begin import begin
from a20_parquet.conversion.transaction.lock import locked
from tests.helpers.layout import LocalLayout
from tests.helpers.units import make_plan


@pytest.fixture
def claimed(tmp_path: Path) -> Iterator[LocalLayout]:
    """A dataset that a conversion has begun, and that it keeps others from."""
    layout = LocalLayout.at(tmp_path / "dataset")
    with locked(layout):
        begin(layout, make_plan(), overwrite=False)
        yield layout

"""Shards of the benchmarks' kind, small."""

import pytest

from a20_parquet.demo.shards import DemoPlan, write_demo_shards
from tests.benchmarks.made import Made


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Three shards of about 1.3 MB each; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    plan = DemoPlan(size_bytes=4_000_000, shards=3, recorders=3, days=4)
    return Made(folder, write_demo_shards(folder, plan))

"""Batches of records."""

import numpy as np
import pytest

from a20_parquet.errors import RecordError
from a20_parquet.windows.build import (
    WindowRules,
)
from a20_parquet.windows.filter import RecordFilter
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.records import DecodedRecords, RecordMetadata
from tests.helpers.metadata import make_metadata

NAMES = [f"site_0285/20201014T{hour:02d}0000+1030_Arkaba-Dry-A_1.flac" for hour in range(4)]


def test_heads_must_match() -> None:
    """Heads whose lists differ in length cannot be made."""
    with pytest.raises(ValueError, match="different lengths"):
        RecordMetadata(
            shard="s",
            position=0,
            numbers=np.arange(2),
            offsets=[0, 1],
            filenames=[b"a"],
            timestamps_s=np.zeros(1),
            shapes=[(1, 1, 1)],
        )


def test_part_of_metadata() -> None:
    """A part of a batch keeps the numbers of its records."""
    heads = make_metadata([(name, float(i), (i, 1, 8)) for i, name in enumerate(NAMES)], 3, 100)
    part = heads.take([1, 2])
    assert len(part) == 2
    assert (part.position, part.numbers.tolist()) == (3, [101, 102])
    assert part.offsets == [101_000, 102_000]
    assert part.filenames == heads.filenames[1:3]
    assert part.timestamps_s.tolist() == [1.0, 2.0]
    assert part.shapes == [(1, 1, 8), (2, 1, 8)]


def test_wrong_dims_are_the_records_error() -> None:
    """A tensor of another size is the record's error, with its number."""
    heads = make_metadata([(NAMES[0], 0.0, (1, 1, 8)), (NAMES[0], 0.0, (1, 1, 9))], first=5)
    decoded = DecodedRecords(heads, [np.zeros(shape, np.float32) for shape in heads.shapes])
    with pytest.raises(RecordError, match=r"record 6 at byte 6000.* 9 dimensions, expected 8"):
        RecordFilter(WindowRules(window_s=5, by=PartitionBy.SITE, dims=8)).check(decoded)

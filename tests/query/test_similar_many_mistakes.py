"""What ``similar`` says of many queries that it cannot search for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import a20_parquet
from a20_parquet.errors import UsageError
from tests.helpers.recordings import DIMS
from tests.helpers.shards import random_tensor

VECTORS = random_tensor((20, DIMS), 99)


@pytest.mark.parametrize(
    ("to", "options", "message"),
    [
        (VECTORS, {"metric": "l2"}, "metric is l2, expected cosine, dot, euclidean"),
        (VECTORS, {"exclude": "site"}, "exclude is site, expected none, self, recording"),
        (VECTORS, {"exclude": "self"}, "exclude self needs the names of windows, and vectors have"),
        (VECTORS, {"hours": "4"}, "hours 4: expected hours of the local day, such as 4-7"),
        (VECTORS, {"hours": "4-25"}, "hours 4-25: expected times from 0:00 to 24:00"),
        (VECTORS, {"hours": "4:60-5"}, "expected times from 0:00 to 24:00"),
        (VECTORS, {"hours": "24-5"}, "expected times from 0:00 to 24:00"),
        (VECTORS, {"hours": "5-5"}, "expected two different times"),
        (VECTORS, {"where": "site"}, "where: 'site' is a value of type String"),
        (np.zeros((0, DIMS)), {}, r"the array has shape \(0, 16\)"),
        (np.zeros((2, 2, DIMS)), {}, r"shape \(2, 2, 16\)"),
        (
            np.stack([VECTORS[0], VECTORS[0] * 0]),
            {},
            "the array: vector 1 cannot be compared: it i",
        ),
        (VECTORS * np.nan, {"metric": "dot"}, "vector 0 cannot be compared: it holds NaN, infinit"),
        (["x@1", "y"], {}, "'y' does not name a window"),
        (["x@1", "y@2"], {}, "has no window x@1 in channel 0"),
        ([], {}, "expected .16,. or .queries, 16. and numbers"),
        ("none.csv", {}, "none.csv: cannot be read as a CSV file in UTF-8"),
    ],
    ids=str,
)
def test_mistakes(dataset: Path, to: Any, options: dict[str, Any], message: str) -> None:
    """Each is a usage error that says what was found and what to do."""
    with pytest.raises(UsageError, match=message):
        a20_parquet.similar(dataset, to, **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no line, expected one FILENAME@OFFSET a line"),
        (b"to\n", "has no line"),
        (b"filename,recording_offset_in_file\n", "has no line"),
        (b"a@1,b\n", "has lines without 1 value, expected"),
        (b"filename,recording_offset_in_file\na\n", "has lines without 2 values"),
        (b"filename,recording_offset_in_file,channel\na,1,x\n", "its channel 'x' is not a number"),
        (b"filename,recording_offset_in_file\na,x\n", "'a@x' does not name a window"),
        (b"\xff\xfe", "cannot be read as a CSV file in UTF-8"),
    ],
)
def test_files_that_name_no_windows(
    dataset: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    """The file is named, and what is expected."""
    path = tmp_path / "names.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        a20_parquet.similar(dataset, path)

"""What ``similar`` says where it finds nothing, or cannot tell what is searched for."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import a20_parquet
from a20_parquet.errors import DatasetError, UsageError
from tests.helpers.progress import Said
from tests.helpers.recordings import DIMS, NAMES, write_recordings
from tests.helpers.shards import make_record, random_tensor, write_shard

VECTOR = random_tensor((DIMS,), 99)
RECORDING = NAMES[1]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By site and date."""
    root = tmp_path_factory.mktemp("recordings")
    a20_parquet.convert(write_recordings(root / "in"), root / "out")
    return root / "out"


@pytest.mark.parametrize(
    ("to", "options", "message"),
    [
        (VECTOR, {"top": 0}, "top is 0, expected 1 or more"),
        (VECTOR, {"sites": "7"}, "has no site site_0007. It has 4: Site-3, "),
        (VECTOR, {"sites": ["285", "x"]}, "has no site x"),
        (VECTOR, {"from_date": "yesterday"}, "'yesterday' is not a date, expected YYYY-MM-DD"),
        (VECTOR, {"until_date": "2020-13-01"}, "'2020-13-01' is not a date"),
        (VECTOR[1:], {}, r"the vector has shape \(15,\) and type float32, expected \(16,\)"),
        (np.ones((2, DIMS + 1)), {}, r"the array has shape \(2, 17\)"),
        ([[1], [1, 2]], {}, "the vector cannot be read as an array"),
        (["a"] * DIMS, {}, "type <U1"),
        (np.zeros(DIMS), {}, "the vector cannot be compared: it is zero"),
        (VECTOR * np.nan, {}, "the vector cannot be compared"),
        ("x", {}, "'x' does not name a window. Write FILENAME@OFFSET"),
        ("x@y", {}, "'x@y' does not name a window"),
        ("x@nan", {}, "'x@nan' does not name a window"),
        (f"{RECORDING}@inf", {}, "does not name a window"),
        ("x@5", {}, "has no window x@5 in channel 0. It has no such recording"),
        ("@5", {}, "It has no such recording"),
        (f"{RECORDING}@1e300", {}, r"windows start at 0\.1, .* up to .* s, in channel 0"),
        (f"{RECORDING}@-5", {}, r"has no window .*@-5 in channel 0\. .* start at 0\.1, "),
        (f"{RECORDING}@0.1", {"channel": 9}, "in channel 9. That recording's windows"),
        ("none.npy", {}, r"none\.npy: cannot be read as a \.npy file"),
    ],
    ids=str,
)
def test_mistakes(dataset: Path, to: Any, options: dict[str, Any], message: str) -> None:
    """Each is a usage error that says what was found and what to do."""
    with pytest.raises(UsageError, match=message):
        a20_parquet.similar(dataset, to, **options)


def test_files_that_are_no_vector(dataset: Path, tmp_path: Path) -> None:
    """Text, an archive, pickles, and what only begins like an archive."""
    path = tmp_path / "v.npy"
    for content in (b"", b"text", b"PK\x03\x04text"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"cannot be read as a \.npy file"):
            a20_parquet.similar(dataset, path)
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(UsageError, match=r"cannot be read as a \.npy file"):
        a20_parquet.similar(dataset, path)
    with path.open("wb") as file:
        np.savez(file, a=VECTOR)
    with pytest.raises(UsageError, match="has several arrays"):
        a20_parquet.similar(dataset, path)


def test_a_missing_dataset(tmp_path: Path) -> None:
    """As ``scan`` says it."""
    with pytest.raises(DatasetError, match="does not exist"):
        a20_parquet.similar(tmp_path / "none", VECTOR)


@pytest.mark.parametrize(
    "name",
    [RECORDING.rpartition("/")[2], f"elsewhere/{RECORDING.rpartition('/')[2]}", f"a2o/{RECORDING}"],
)
def test_a_part_of_a_name(dataset: Path, name: str) -> None:
    """The whole name is told, whatever is missing of it or too much."""
    with pytest.raises(UsageError, match=r"no such recording\. Did you mean .*\? Write") as caught:
        a20_parquet.similar(dataset, f"{name}@0.1")
    assert f" {RECORDING}? " in str(caught.value)


def test_a_part_of_several_names(tmp_path: Path) -> None:
    """The first ones are told, of names without a date too."""
    records = [make_record(random_tensor((1, 1, DIMS), n), f"f{n}/a.wav") for n in range(7)]
    shard = write_shard(tmp_path / "a-00000-of-00001", records)
    a20_parquet.convert(shard, tmp_path / "out", unknown_site="x", decoder="wire")
    with pytest.raises(UsageError) as caught:
        a20_parquet.similar(tmp_path / "out", "a.wav@0")
    assert "Did you mean f0/a.wav or f1/a.wav or " in str(caught.value)
    assert "or f4/a.wav, …? Write" in str(caught.value)
    with pytest.raises(UsageError, match=r"no such recording\.$"):
        a20_parquet.similar(tmp_path / "out", "b.wav@0")
    progress = Said()
    found = a20_parquet.similar(
        tmp_path / "out", VECTOR, sites="x", from_date="2020-01-01", progress=progress
    )
    assert found.is_empty()
    (said,) = progress.lines
    assert re.search("windows of x in .* have no date. Omit --from and --until", said)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"from_date": "2031-01-01"}, "has no window from 2031-01-01. Its windows start from"),
        ({"until_date": "1999-01-01"}, "has no window until 1999-01-01. Its windows"),
        (
            {"sites": "site_0285", "from_date": "2031-01-01", "until_date": "2031-01-02"},
            "no window of site_0285 from 2031-01-01 until 2031-01-02. .* 2020-10-1.* UTC",
        ),
    ],
)
def test_filters_that_leave_nothing(dataset: Path, options: dict[str, Any], told: str) -> None:
    """The answer is empty, and it is said what there is."""
    progress = Said()
    assert a20_parquet.similar(dataset, VECTOR, progress=progress, **options).is_empty()
    (said,) = progress.lines
    assert re.search(told, said)

"""The writer of the notebook's files: what NumPy and json write, and whole or not there."""

import errno
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from a20_parquet.errors import DatasetError, RecordError, UsageError
from a20_parquet.notebook.files import NpyJsonFolder
from a20_parquet.windows.records import DecodedRecords
from tests.helpers.metadata import make_metadata
from tests.helpers.notebook import pairs
from tests.helpers.shards import FILENAME, random_tensor

PAIR = {"embeddings/s.npy", "metadata/s.json"}


def decoded(tensors: Sequence[npt.NDArray[Any]], filename: str = FILENAME) -> DecodedRecords:
    """A batch of records, a minute apart."""
    metadata = make_metadata(
        [(filename, 60.0 * i, (tensor.shape)) for i, tensor in enumerate(tensors)]
    )
    return DecodedRecords(metadata, list(tensors))


def saved(rows: Any) -> bytes:
    """What ``np.save`` writes."""
    file = io.BytesIO()
    np.save(file, rows)
    return file.getvalue()


def write(folder: Path, batches: Sequence[Sequence[npt.NDArray[Any]]]) -> None:
    """Write the files of one shard called ``s``."""
    with NpyJsonFolder.at(folder).writer("s") as writer:
        for batch in batches:
            writer.add(decoded(batch))


@pytest.mark.parametrize("dims", [1, 7, 1280])
@pytest.mark.parametrize("rows", [1, 9, 10, 1000])
def test_npy_is_what_numpy_saves(tmp_path: Path, rows: int, dims: int) -> None:
    """The header with the true count is as long as the one that was written before it was known."""
    tensor = random_tensor((rows, 1, dims))
    write(tmp_path, [[tensor[: rows // 2]], [tensor[rows // 2 :]]])
    assert (tmp_path / "embeddings" / "s.npy").read_bytes() == saved(list(tensor[:, 0]))


@pytest.mark.parametrize("batches", [[], [[]], [[np.zeros((0, 1, 8), np.float32)]]])
def test_a_shard_without_windows(tmp_path: Path, batches: Any) -> None:
    """NumPy's array of an empty list, and an empty list."""
    write(tmp_path, batches)
    assert (tmp_path / "embeddings" / "s.npy").read_bytes() == saved([])
    assert (tmp_path / "metadata" / "s.json").read_bytes() == b"[]"


def test_channel_0_of_any_tensor(tmp_path: Path) -> None:
    """Five channels, float16, records without windows or channels, and one nothing can name."""
    tensors = [
        random_tensor((3, 5, 8), 1),
        random_tensor((0, 1, 9), 2),
        random_tensor((2, 1, 8), 3, np.float16),
        random_tensor((2, 0, 8), 4),
        random_tensor((12, 2, 8), 5, np.float16),
    ]
    with NpyJsonFolder.at(tmp_path).writer("s") as writer:
        writer.add(decoded(tensors[:2]))
        writer.add(decoded([random_tensor((4, 1, 3))] * 5, "100sec.wav"))
        writer.add(decoded(tensors[2:]))
    rows = [row for i in (0, 2, 4) for row in tensors[i][:, 0].astype(np.float32)]
    assert (tmp_path / "embeddings" / "s.npy").read_bytes() == saved(rows)
    objects = json.loads((tmp_path / "metadata" / "s.json").read_text())
    offsets = [item["recording_offset_in_file"] for item in objects]
    assert offsets == [0, 5, 10, 0, 5, *range(120, 180, 5)]
    assert (writer.windows, writer.left_out) == (17, 5)
    assert writer.left_out_names == [b"100sec.wav"] * 3


def test_other_dimensions_are_an_error(tmp_path: Path) -> None:
    """Of a record with windows; what lay there before stays as it was."""
    write(tmp_path, [[random_tensor((1, 1, 8))]])
    before = pairs(tmp_path)
    with pytest.raises(RecordError, match=r"record 1 .* 9 dimensions, expected 8"):
        write(tmp_path, [[random_tensor((3, 1, 8)), random_tensor((1, 1, 9))]])
    assert pairs(tmp_path) == before
    assert before.keys() == PAIR


def test_after_a_failure_nothing_is_left(tmp_path: Path) -> None:
    """Whatever it was, and whoever failed."""
    folder = NpyJsonFolder.at(tmp_path)

    def fail(error: type[BaseException]) -> None:
        with folder.writer("s") as writer:
            writer.add(decoded([random_tensor((3, 1, 8))]))
            assert {path.name for path in tmp_path.rglob(".*")} == {".s.npy.tmp", ".s.json.tmp"}
            raise error

    for error in (ValueError, KeyboardInterrupt, OSError):
        with pytest.raises(error):
            fail(error)
        assert pairs(tmp_path) == {}


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_full_disk_is_an_error_with_place_and_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Nothing passes for whole: where the .npy cannot be replaced, the old .json is gone."""
    write(tmp_path, [[random_tensor((1, 1, 8))]])

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os if name == "fsync" else Path, name, refuse)
    with pytest.raises(DatasetError, match=r"cannot be written: .*No space.* another folder"):
        write(tmp_path, [[random_tensor((2, 1, 8))]])
    kept = {"fsync": PAIR, "replace": {"embeddings/s.npy"}}[name]
    assert pairs(tmp_path).keys() == kept


def test_leftovers_of_a_killed_process_are_replaced(tmp_path: Path) -> None:
    """They lie under hidden names."""
    write(tmp_path / "fresh", [[random_tensor((2, 1, 8))]])
    for folder, name in (("embeddings", ".s.npy.tmp"), ("metadata", ".s.json.tmp")):
        (tmp_path / "again" / folder).mkdir(parents=True)
        (tmp_path / "again" / folder / name).write_bytes(b"x" * 10_000)
    write(tmp_path / "again", [[random_tensor((2, 1, 8))]])
    assert pairs(tmp_path / "again") == pairs(tmp_path / "fresh")


def test_places_that_make_no_sense(tmp_path: Path) -> None:
    """URLs and files are refused, and so is whatever leads into the dataset."""
    (tmp_path / "file").write_text("")
    for folder in ("gs://bucket/folder", tmp_path / "file"):
        with pytest.raises(UsageError):
            NpyJsonFolder.at(folder)
    dataset = tmp_path / "dataset"
    (tmp_path / "link").symlink_to(dataset / "data")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "metadata").symlink_to(dataset)
    for folder in (dataset, dataset / "x", tmp_path / "link", tmp_path / "links"):
        with pytest.raises(UsageError, match="in the dataset"):
            NpyJsonFolder.at(folder).check_outside(dataset)
    with pytest.raises(UsageError, match="in the dataset"):
        NpyJsonFolder.at(tmp_path).check_outside(tmp_path / "embeddings")
    NpyJsonFolder.at(f"file://{tmp_path}/other").check_outside(dataset)
    NpyJsonFolder.at(tmp_path).check_outside(dataset)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Where a file lies in its way."""
    (tmp_path / "embeddings").write_text("")
    with (
        pytest.raises(DatasetError, match="cannot be written"),
        NpyJsonFolder.at(tmp_path).writer("s"),
    ):
        pass

"""Finding shards among the files of the sources."""

import os
import shutil
from pathlib import Path

import pytest

from a20_parquet.shards.discover import find_shards
from tests.helpers.listings import CONTENT, labels, lay, reasons
from tests.helpers.shards import COMPRESS


def test_folder(tmp_path: Path) -> None:
    """A folder is searched whole, and shards are numbered in the order of their labels."""
    lay(tmp_path, "x-00001-of-00002", "x-00000-of-00002", "deep/er/y.tfrecord")
    listing = find_shards([tmp_path])
    assert labels(listing) == ["x-00000-of-00002", "x-00001-of-00002", "y.tfrecord"]
    assert [shard.position for shard in listing.shards] == [0, 1, 2]
    assert listing.shards[2].url == str(tmp_path / "deep/er/y.tfrecord")
    assert listing.bytes == 3 * len(CONTENT)
    assert listing.missing == ()
    assert listing.passed_over == ()


@pytest.mark.parametrize(
    "name",
    [
        "embeddings-00000-of-00010",
        "a.b-00000-of-00002",
        "embeddings-1730850444-00000-of-00001",
        "e-000000-of-100000",
        "train.tfrecord-00000-of-00010",
        "e-00000-of-00010.gz",
        "e.tfrecord",
        "e.tfrecords",
        "e.tfrecord.gz",
        "E.TFRECORD",
        "E.TFRecord.GZ",
        "-00000-of-00010",
    ],
)
@pytest.mark.parametrize("content", [b"", b"short", b"damaged from the first byte on", CONTENT])
def test_named_shard(tmp_path: Path, name: str, content: bytes) -> None:
    """A shard's name is enough: one with a damaged start must not be passed over."""
    lay(tmp_path, name, content=content)
    assert labels(find_shards([tmp_path])) == [name]
    assert labels(find_shards([tmp_path / name])) == [name]


@pytest.mark.parametrize("name", ["records", "data.bin", "e-0-of-9", "e-00000-of-00010.copy"])
@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_nameless_shard(tmp_path: Path, name: str, compression: str) -> None:
    """A valid first frame, compressed or not, makes a shard of any file."""
    lay(tmp_path, name, content=COMPRESS[compression](CONTENT))
    assert labels(find_shards([tmp_path])) == [name]
    assert labels(find_shards([tmp_path / name])) == [name]


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "sites.csv",
        "_SUCCESS",
        "part-0000.parquet",
        "embeddings-00000-of-00010.md5",
        "embeddings-00000-of-00010.npy",
        "e.tfrecord.idx",
        "e.tfrecord.json",
    ],
)
@pytest.mark.parametrize(
    "content", [b"", b"x", b"some text that is long enough", COMPRESS["GZIP"](b"text" * 9)]
)
def test_other_files_are_passed_over(tmp_path: Path, name: str, content: bytes) -> None:
    """A file that is no shard by name or content is passed over with the reason."""
    lay(tmp_path, "x.tfrecord")
    lay(tmp_path, name, content=content)
    listing = find_shards([tmp_path])
    assert labels(listing) == ["x.tfrecord"]
    assert reasons(listing, tmp_path) == {name: "no TFRecord shard by name or first frame"}


def test_sidecars_are_no_shards_of_a_set(tmp_path: Path) -> None:
    """Checksums beside shards neither count as shards nor hide that one is missing."""
    lay(tmp_path, "x-00000-of-00002")
    lay(tmp_path, "x-00000-of-00002.md5", "x-00001-of-00002.md5", content=b"0123456789abcdef")
    assert find_shards([tmp_path]).missing == (
        f"{tmp_path}/x-*-of-00002: 1 of 2 shards are here, missing 00001",
    )


def test_what_lies_beside_shards(tmp_path: Path) -> None:
    """Perch's configuration, the notebook's files and hidden ones are each passed over."""
    lay(
        tmp_path,
        "x-00000-of-00001",
        "config.json",
        "embeddings/x-00000-of-00001.npy",
        "metadata/x-00000-of-00001.json",
        ".x-00000-of-00001.crc",
        ".ipynb_checkpoints/x-00000-of-00001",
        "sub/.hidden/deep/x-00000-of-00001",
    )
    listing = find_shards([tmp_path])
    assert labels(listing) == ["x-00000-of-00001"]
    assert reasons(listing, tmp_path) == {
        "config.json": "Perch's own configuration",
        "embeddings/x-00000-of-00001.npy": "written by the notebook",
        "metadata/x-00000-of-00001.json": "written by the notebook",
        ".x-00000-of-00001.crc": "hidden",
        ".ipynb_checkpoints/x-00000-of-00001": "hidden",
        "sub/.hidden/deep/x-00000-of-00001": "hidden",
    }


def test_shards_in_the_notebooks_folder_names(tmp_path: Path) -> None:
    """Only the notebook's .npy and .json are its own: shards may be in such folders too."""
    lay(tmp_path, "embeddings/x-00000-of-00002", "metadata/x-00001-of-00002")
    assert labels(find_shards([tmp_path])) == ["x-00000-of-00002", "x-00001-of-00002"]


@pytest.mark.parametrize("folder", [".cache", ".cache/shards"])
def test_source_below_a_hidden_folder(tmp_path: Path, folder: str) -> None:
    """A folder is hidden only below the source, not on the way to it."""
    lay(tmp_path, ".cache/shards/x.tfrecord")
    assert labels(find_shards([tmp_path / folder])) == ["x.tfrecord"]


@pytest.mark.parametrize(
    ("numbers", "total", "sentence"),
    [
        ([0, 1, 2], 3, None),
        ([0, 2], 3, "2 of 3 shards are here, missing 00001"),
        ([9], 10, "1 of 10 shards are here, missing 00000, 00001, 00002, 00003, 00004, …"),
        ([0], 6, "1 of 6 shards are here, missing 00001, 00002, 00003, 00004, 00005"),
        ([0, 7], 2, "1 of 2 shards are here, missing 00001"),
        ([5], 9_999_999_999, "missing 0000000000, 0000000001, 0000000002, 0000000003, 000000000"),
    ],
)
def test_missing_shards(
    tmp_path: Path, numbers: list[int], total: int, sentence: str | None
) -> None:
    """An incomplete numbered set is reported in one sentence."""
    lay(tmp_path, *(f"x-{number:05d}-of-{total:05d}" for number in numbers))
    missing = find_shards([tmp_path]).missing
    if sentence is None:
        assert missing == ()
    else:
        assert len(missing) == 1
        assert missing[0].startswith(f"{tmp_path}/x-*-of-{total:05d}: ")
        assert sentence in missing[0]


def test_sets_in_two_folders_are_two(tmp_path: Path) -> None:
    """Half a set here and half a set there are two halves."""
    lay(tmp_path, "a/x-00000-of-00002", "b/x-00001-of-00002")
    missing = find_shards([tmp_path]).missing
    assert [sentence.partition(":")[0] for sentence in missing] == [
        f"{tmp_path}/a/x-*-of-00002",
        f"{tmp_path}/b/x-*-of-00002",
    ]


@pytest.mark.parametrize("source", ["", "x-00000-of-00001", "x-*", "*", "**"])
def test_configuration_beside_shards(tmp_path: Path, source: str) -> None:
    """Perch's configuration is found however its shards are named."""
    lay(tmp_path, "x-00000-of-00001", "config.json")
    lay(tmp_path, "elsewhere/config.json", content=b"{}")
    configs = find_shards([f"{tmp_path}/{source}"]).configs
    assert [config.path for config in configs] == [str(tmp_path / "config.json")]


def test_order_does_not_depend_on_place(tmp_path: Path) -> None:
    """The same shards have the same labels and order in any folder."""
    names = ["x-00000-of-00001", "m/x-00000-of-00001", "b/y.tfrecord", "a/z/y.tfrecord", "z"]
    found = []
    for place in ("a", "m/m", "z/y/x"):
        lay(tmp_path / place, *names)
        listing = find_shards([tmp_path / place])
        found.append(
            (labels(listing), [os.path.relpath(s.url, tmp_path / place) for s in listing.shards])
        )
        shutil.rmtree(tmp_path / place)
    assert found[0] == found[1] == found[2]
    assert found[0][0] == sorted(found[0][0])


def test_real_folders(real_data: Path) -> None:
    """Real folders of shards: their order, the files beside them, what is missing."""
    perch = find_shards([real_data / "perch-real"])
    assert labels(perch) == [f"embeddings-{number:05d}-of-00003" for number in range(3)]
    found = [*perch.missing, *perch.passed_over, *perch.configs]
    assert found == []
    hoplite = find_shards([real_data / "hoplite"])
    assert labels(hoplite) == ["embeddings-1730850444-00000-of-00001"]
    assert [item.reason for item in hoplite.passed_over] == ["Perch's own configuration"]
    notebook = find_shards([real_data / "notebook"])
    assert labels(notebook) == [f"embeddings-{number:05d}-of-00004" for number in range(4)]
    assert {item.reason for item in notebook.passed_over} == {"written by the notebook"}
    assert len(notebook.passed_over) == 8

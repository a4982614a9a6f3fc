"""Finding shards among what lies in the sources."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from a20_parquet.errors import SourceError, UsageError
from a20_parquet.shards.discover import find_shards
from tests.helpers.listings import CONTENT, labels, lay, reasons
from tests.helpers.shards import COMPRESS


@pytest.fixture
def memory() -> Iterator[Any]:
    """An empty filesystem in memory."""
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.rm("/", recursive=True)


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
    """Only the notebook's .npy and .json are its own: shards may lie in such folders too."""
    lay(tmp_path, "embeddings/x-00000-of-00002", "metadata/x-00001-of-00002")
    assert labels(find_shards([tmp_path])) == ["x-00000-of-00002", "x-00001-of-00002"]


@pytest.mark.parametrize("folder", [".cache", ".cache/shards"])
def test_source_below_a_hidden_folder(tmp_path: Path, folder: str) -> None:
    """A folder is hidden only below the source, not on the way to it."""
    lay(tmp_path, ".cache/shards/x.tfrecord")
    assert labels(find_shards([tmp_path / folder])) == ["x.tfrecord"]


@pytest.mark.parametrize(
    "pattern",
    ["*", "x-*", "**", "**/*.tfrecord", "x-0000[01]-of-00002", "su?", "s*/y*", "x-?????-of-*"],
)
def test_glob(tmp_path: Path, pattern: str) -> None:
    """A glob names files and folders, the latter searched whole."""
    lay(tmp_path, "x-00000-of-00002", "x-00001-of-00002", "sub/y.tfrecord")
    numbered = ["x-00000-of-00002", "x-00001-of-00002"]
    expected = {
        "*": [*numbered, "y.tfrecord"],
        "**": [*numbered, "y.tfrecord"],
        "**/*.tfrecord": ["y.tfrecord"],
        "su?": ["y.tfrecord"],
        "s*/y*": ["y.tfrecord"],
    }
    assert labels(find_shards([f"{tmp_path}/{pattern}"])) == expected.get(pattern, numbered)


@pytest.mark.parametrize("pattern", ["*", "**", "*/*", "**/x*"])
def test_glob_passes_over_hidden_folders(tmp_path: Path, pattern: str) -> None:
    """What is hidden in a folder is hidden from a glob in it."""
    lay(tmp_path, "sub/x.tfrecord", ".hidden/x-00000-of-00001", "sub/.x-00000-of-00001")
    listing = find_shards([f"{tmp_path}/{pattern}"])
    assert labels(listing) == ["x.tfrecord"]
    assert set(reasons(listing, tmp_path).values()) <= {"hidden"}


def test_glob_passes_over_others(tmp_path: Path) -> None:
    """A glob may match what is no shard, which a file that is named itself may not be."""
    lay(tmp_path, "x.tfrecord")
    lay(tmp_path, "x.txt", content=b"some text that is long enough")
    listing = find_shards([f"{tmp_path}/x*"])
    assert labels(listing) == ["x.tfrecord"]
    assert list(reasons(listing, tmp_path)) == ["x.txt"]


@pytest.mark.parametrize("name", ["x[1].tfrecord", "x*.tfrecord", "x?-00000-of-00001", "a[b]/*c"])
def test_glob_characters_in_a_real_name(tmp_path: Path, name: str) -> None:
    """A file that exists is meant, not the pattern that its name might be."""
    lay(tmp_path, name, "x1.tfrecord")
    assert labels(find_shards([tmp_path / name])) == [Path(name).name]


def test_glob_characters_in_a_real_folder(tmp_path: Path) -> None:
    """Likewise for folders."""
    lay(tmp_path, "run[1]/x.tfrecord", "run1/y.tfrecord")
    assert labels(find_shards([tmp_path / "run[1]"])) == ["x.tfrecord"]


@pytest.mark.parametrize("form", ["{0}", "{0}/", "{0}//", "{0}/../{1}", "{0}/./", "file://{0}"])
def test_forms_of_a_path(tmp_path: Path, form: str) -> None:
    """However a folder is written, its shards have the same URL."""
    lay(tmp_path, "x.tfrecord")
    source = form.format(tmp_path, tmp_path.name)
    shards = find_shards([source, tmp_path, f"/{tmp_path}"]).shards
    assert [shard.url for shard in shards] == [str(tmp_path / "x.tfrecord")]


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative source gives absolute URLs."""
    lay(tmp_path, "in/x.tfrecord")
    monkeypatch.chdir(tmp_path)
    for source in ("in", "./in/x.tfrecord", Path("in/../in"), "i*"):
        shards = find_shards([source]).shards
        assert [shard.url for shard in shards] == [str(tmp_path / "in/x.tfrecord")]


def test_several_sources_hold_no_shard_twice(tmp_path: Path) -> None:
    """Sources may overlap in any order: each shard counts once."""
    lay(tmp_path, "x-00000-of-00002", "sub/x-00001-of-00002", "sub/config.json")
    sources: list[str | Path] = [
        tmp_path,
        tmp_path / "sub",
        tmp_path / "sub/x-00001-of-00002",
        f"{tmp_path}/*",
        f"{tmp_path}/**/x-*",
    ]
    whole = find_shards([tmp_path])
    assert find_shards(sources) == whole
    assert find_shards(sources[::-1]) == whole
    assert len(whole.shards) == 2


def test_named_file_must_be_a_shard(tmp_path: Path) -> None:
    """A file that was named itself and is no shard is an error, not passed over."""
    lay(tmp_path, "x.tfrecord")
    lay(tmp_path, "notes.txt", content=b"some text that is long enough")
    for sources in ([tmp_path / "notes.txt"], [tmp_path, tmp_path / "notes.txt"]):
        with pytest.raises(SourceError, match=r"notes\.txt: no TFRecord shard by name or first"):
            find_shards(sources)


def test_hidden_file_may_be_named(tmp_path: Path) -> None:
    """A hidden shard is taken where it was named itself, beside its folder too."""
    lay(tmp_path, ".x.tfrecord", "y.tfrecord")
    assert labels(find_shards([tmp_path / ".x.tfrecord"])) == [".x.tfrecord"]
    both = find_shards([tmp_path, tmp_path / ".x.tfrecord"])
    assert labels(both) == [".x.tfrecord", "y.tfrecord"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "nowhere: does not exist"),
        ("nowhere/*.tfrecord", "nothing matches"),
        ("empty", "no shard found in .*empty .0 files passed over"),
        ("text", "no shard found in .*text .1 files passed over"),
        ("te*", "no shard found in .*te. .1 files passed over"),
    ],
)
def test_nothing_found(tmp_path: Path, source: str, message: str) -> None:
    """A source without a shard is an error that says what was looked for."""
    (tmp_path / "empty").mkdir()
    lay(tmp_path, "text/notes.txt", content=b"some text that is long enough")
    with pytest.raises(SourceError, match=message):
        find_shards([f"{tmp_path}/{source}"])


def test_no_such_store() -> None:
    """A URL of a kind that nothing can open is wrong usage."""
    with pytest.raises(UsageError, match="no-such-protocol://x: cannot be opened"):
        find_shards(["no-such-protocol://x"])


def test_one_wrong_source_is_an_error(tmp_path: Path) -> None:
    """A source that does not exist is an error beside others that do."""
    lay(tmp_path, "x.tfrecord")
    with pytest.raises(SourceError, match="nowhere"):
        find_shards([tmp_path, tmp_path / "nowhere"])


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
    """A numbered set that is not whole is told in one sentence."""
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
    """The same shards have the same labels and order in whatever folder they lie."""
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


def test_memory_urls(memory: Any) -> None:
    """Any fsspec URL is a source: folder, file or glob."""
    memory.pipe("/in/sub/x.tfrecord", CONTENT)
    memory.pipe("/in/sub/config.json", b"{}")
    memory.pipe("/in/sub/records", CONTENT)
    memory.pipe("/in/notes.txt", b"some text that is long enough")
    listing = find_shards(["memory://in"])
    assert [shard.url for shard in listing.shards] == [
        "memory:///in/sub/records",
        "memory:///in/sub/x.tfrecord",
    ]
    assert [config.path for config in listing.configs] == ["/in/sub/config.json"]
    assert {item.url for item in listing.passed_over} == {
        "memory:///in/notes.txt",
        "memory:///in/sub/config.json",
    }
    for source in ("memory://in/sub/x.tfrecord", "memory://in/**/x*", "memory:///in/s*/*.tfrecord"):
        single = find_shards([source])
        assert labels(single) == ["x.tfrecord"]
        assert single.configs == listing.configs


def test_same_path_on_two_filesystems(memory: Any, tmp_path: Path) -> None:
    """Two filesystems may hold the same path: these are two shards."""
    lay(tmp_path, "x.tfrecord")
    memory.pipe(f"{tmp_path}/x.tfrecord", CONTENT)
    listing = find_shards([f"memory://{tmp_path}", tmp_path])
    assert len(set(labels(listing))) == 2
    assert {shard.url for shard in listing.shards} == {
        f"{tmp_path}/x.tfrecord",
        f"memory://{tmp_path}/x.tfrecord",
    }


def test_links(tmp_path: Path) -> None:
    """Links to files are files; links to folders and to nothing are passed over in a folder."""
    lay(tmp_path, "real/x.tfrecord", "in/z.tfrecord")
    source = tmp_path / "in"
    (source / "y.tfrecord").symlink_to(tmp_path / "real/x.tfrecord")
    (source / "loop").symlink_to(source)
    (source / "dangling-00000-of-00001").symlink_to(tmp_path / "nowhere")
    listing = find_shards([source])
    assert labels(listing) == ["y.tfrecord", "z.tfrecord"]
    assert [shard.size for shard in listing.shards] == [len(CONTENT)] * 2
    assert set(reasons(listing, source)) == {"loop", "dangling-00000-of-00001"}
    assert labels(find_shards([source / "loop"])) == ["y.tfrecord", "z.tfrecord"]


def test_folder_that_fails_to_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder below a source that cannot be listed is an error, for root too."""
    lay(tmp_path, "x.tfrecord", "closed/y.tfrecord")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SourceError, match=r"cannot be listed: .*Permission denied.*closed"):
        find_shards([tmp_path])


def test_damaged_bytes_are_no_shard(tmp_path: Path) -> None:
    """What was kept of a damaged shard is passed over, also where it begins with a whole frame."""
    lay(tmp_path, "x.tfrecord", "x.tfrecord.damaged", "y-00000-of-00001.damaged")
    listing = find_shards([tmp_path])
    assert labels(listing) == ["x.tfrecord"]
    kept = "damaged bytes kept from another shard"
    assert reasons(listing, tmp_path) == {
        "x.tfrecord.damaged": kept,
        "y-00000-of-00001.damaged": kept,
    }
    with pytest.raises(SourceError, match="no shard found"):
        find_shards([tmp_path / "x.tfrecord.damaged"])


def test_quarantine_as_a_source(tmp_path: Path) -> None:
    """Its lists are no files that are passed over, and shards without any record in it not missing.

    Elsewhere both are said.
    """
    names = ("a-00000-of-00003.tfrecord", "a-00000-of-00003.jsonl", "b.damaged", "b.jsonl")
    for folder in ("quarantine", "shards"):
        lay(tmp_path, *(f"{folder}/{name}" for name in (*names, "other.jsonl")))
        for path in (tmp_path / folder).glob("*.jsonl"):
            path.write_text("{}")
    listing = find_shards(tmp_path / "quarantine")
    assert labels(listing) == ["a-00000-of-00003.tfrecord"]
    assert reasons(listing, tmp_path / "quarantine").keys() == {"b.damaged", "other.jsonl"}
    assert listing.missing == ()
    listing = find_shards(tmp_path / "shards")
    assert reasons(listing, tmp_path / "shards").keys() == {*names[1:], "other.jsonl"}
    assert len(listing.missing) == 1


@pytest.mark.parametrize("source", ["", "*", "*.tfrecord*", "link"])
def test_dataset_inside_a_source_is_left_out(tmp_path: Path, source: str) -> None:
    """Shards in the dataset that is being written are none of the source's."""
    lay(tmp_path, "x.tfrecord", "out.tfrecords/quarantine/x.tfrecord", "out2/z.tfrecord")
    (tmp_path / "link").symlink_to(tmp_path)
    listing = find_shards([tmp_path / source], tmp_path / "link" / "out.tfrecords")
    assert "x.tfrecord" in labels(listing)
    assert all("quarantine" not in shard.url for shard in listing.shards)
    left_out = [i.url for i in listing.passed_over if i.reason == "part of the dataset"]
    assert [url.removesuffix("out.tfrecords/quarantine/x.tfrecord") != url for url in left_out] == [
        True
    ]


@pytest.mark.parametrize("source", [".", "quarantine", "quarantine/*", "quarantine/x.tfrecord"])
def test_source_inside_the_dataset_is_read(tmp_path: Path, source: str) -> None:
    """Who names the quarantine as a source means it."""
    lay(tmp_path, "out/quarantine/x.tfrecord")
    listing = find_shards([tmp_path / "out" / source], tmp_path / "out")
    assert labels(listing) == ["x.tfrecord"]


def test_version_tells_a_changed_file(tmp_path: Path) -> None:
    """A shard's version is the store's word for its content; empty where it has none."""
    lay(tmp_path, "x.tfrecord")
    version = find_shards([tmp_path]).shards[0].version
    assert version
    assert find_shards([tmp_path / "x.tfrecord"]).shards[0].version == version
    os.utime(tmp_path / "x.tfrecord", (1, 1))
    assert find_shards([tmp_path]).shards[0].version not in {version, ""}


def test_version_of_a_store_without_one(memory: Any) -> None:
    """A store that tells no time and no tag gives an empty version."""
    memory.pipe("/shards/x.tfrecord", CONTENT)
    assert find_shards(["memory://shards"]).shards[0].version == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder(tmp_path: Path) -> None:
    """A folder below a source that may not be read is an error: it may hold shards."""
    lay(tmp_path, "x.tfrecord", "closed/y.tfrecord")
    (tmp_path / "closed").chmod(0)
    try:
        with pytest.raises(SourceError, match="cannot be listed"):
            find_shards([tmp_path])
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_real_folders(real_data: Path) -> None:
    """Real folders of shards: their order, what lies beside them, what is missing."""
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

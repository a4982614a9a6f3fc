"""Sources: folders, files, globs, links and URLs, however they are written."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from a20_parquet.errors import SourceError, UsageError
from a20_parquet.shards.discover import find_shards
from tests.helpers.listings import CONTENT, labels, lay, reasons


@pytest.fixture
def memory() -> Iterator[Any]:
    """An empty filesystem in memory."""
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.rm("/", recursive=True)


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


def test_version_tells_a_changed_file(tmp_path: Path) -> None:
    """A shard's version is the store's word for its content; empty where it has none."""
    lay(tmp_path, "x.tfrecord")
    version = find_shards([tmp_path]).shards[0].version
    assert version
    assert find_shards([tmp_path / "x.tfrecord"]).shards[0].version == version
    os.utime(tmp_path / "x.tfrecord", (1, 1))
    assert find_shards([tmp_path]).shards[0].version not in {version, ""}


def test_version_of_a_store_without_one(memory: Any) -> None:
    """A store without time and tag gives an empty version."""
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

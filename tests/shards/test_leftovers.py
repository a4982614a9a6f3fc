"""What killed jobs and unfinished downloads leave beside shards is passed over, and said."""

from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner

import a20_parquet
from a20_parquet.cli.main import cli
from a20_parquet.errors import SourceError
from a20_parquet.shards.discover import find_shards
from tests.helpers.listings import labels, lay, reasons
from tests.helpers.shards import frame, make_record, random_tensor, write_content, write_shard

BEAM = "beam-temp-embeddings-9f2c4b0e5d1811ee"
UNFINISHED = "not finished by the program that downloaded or wrote it, as its name says"


@pytest.mark.parametrize("suffix", [".gstmp", "_.gstmp", "_0_.gstmp", ".part", ".partial", ".tmp"])
@pytest.mark.parametrize("name", ["x-00001-of-00002", "x.tfrecord", "blob"])
def test_unfinished_by_name(tmp_path: Path, name: str, suffix: str) -> None:
    """In a folder, by a glob and from the shell's own glob, which names each file itself."""
    lay(tmp_path, "x-00000-of-00002", f"{name}{suffix}", f"sub/{name}{suffix.upper()}")
    expected = {f"{name}{suffix}": UNFINISHED}
    listings = [find_shards([tmp_path]), find_shards([f"{tmp_path}/*"])]
    listings.append(find_shards(sorted(p for p in tmp_path.iterdir() if p.is_file())))
    for listing in listings:
        assert labels(listing) == ["x-00000-of-00002"]
        found = reasons(listing, tmp_path)
        assert found.pop(f"sub/{name}{suffix.upper()}", UNFINISHED) == UNFINISHED
        assert found == expected


@pytest.mark.parametrize("suffix", [".crdownload", ".download", ".filepart", ".incomplete", ".!ut"])
def test_other_programs(tmp_path: Path, suffix: str) -> None:
    """Browsers and others."""
    lay(tmp_path, "x.tfrecord", f"y.tfrecord{suffix}")
    assert labels(find_shards([tmp_path])) == ["x.tfrecord"]


def test_what_aria2_has_not_finished(tmp_path: Path) -> None:
    """The file has its full name and often its full size, but another file marks it."""
    lay(tmp_path, "x-00000-of-00002", "x-00001-of-00002")
    lay(tmp_path, "x-00001-of-00002.aria2", content=b"\0\1")
    for sources in ([tmp_path], sorted(tmp_path.iterdir())):
        listing = find_shards(sources)
        assert labels(listing) == ["x-00000-of-00002"]
        assert "not finished by aria2" in reasons(listing, tmp_path)["x-00001-of-00002"]
        assert listing.missing


def test_a_killed_beam_job(tmp_path: Path) -> None:
    """Its folder is named; the folder itself can be a source."""
    lay(tmp_path, "in/x-00000-of-00001", f"in/{BEAM}/a.embeddings", f"in/{BEAM}/deep/b.embeddings")
    for sources in ([tmp_path], [tmp_path / "in"], [f"{tmp_path}/in/*"], [f"{tmp_path}/in/**"]):
        listing = find_shards(sources)
        assert labels(listing) == ["x-00000-of-00001"]
        assert len(listing.passed_over) == 2
        assert all(each.reason.startswith(f"in {BEAM}, which") for each in listing.passed_over)
    by_shell = find_shards([tmp_path / "in/x-00000-of-00001", tmp_path / f"in/{BEAM}/a.embeddings"])
    assert labels(by_shell) == ["x-00000-of-00001"]
    assert labels(find_shards([tmp_path / "in" / BEAM])) == ["a.embeddings", "b.embeddings"]


def test_nothing_else(tmp_path: Path) -> None:
    """Named alone, it is an error that says why."""
    lay(tmp_path, "x-00000-of-00001.gstmp")
    for source in (tmp_path, tmp_path / "x-00000-of-00001.gstmp"):
        with pytest.raises(SourceError, match=r"no shard found .*x-00000-of-00001\.gstmp; not fin"):
            find_shards([source])


def test_names_that_only_look_so(tmp_path: Path) -> None:
    """Such words inside of names do not make a leftover."""
    names = ["beam-temp-x-00000-of-00001", "part.tfrecord", "tmp-00000-of-00001", "x.tmp.tfrecord"]
    lay(tmp_path, *names)
    assert labels(find_shards([tmp_path])) == sorted(names)


def test_in_a_store() -> None:
    """As on this machine."""
    store = fsspec.filesystem("memory")
    names = ("x-00000-of-00001", f"{BEAM}/a.embeddings", "y.tfrecord_.gstmp", "z.tfrecord")
    for name in (*names, "z.tfrecord.aria2"):
        store.pipe_file(f"/left/{name}", frame(b"one record"))
    try:
        listing = find_shards("memory://left")
        assert labels(listing) == ["x-00000-of-00001"]
        assert len(listing.passed_over) == 4
    finally:
        store.rm("/left", recursive=True)


def test_converting_what_a_killed_job_left(tmp_path: Path) -> None:
    """Two shards of four records; the copies and the cut one in the job's folder do no harm."""
    payloads = [make_record(random_tensor((12, 1, 16), n), timestamp_s=60.0 * n) for n in range(4)]
    for number in range(2):
        mine = payloads[2 * number :][:2]
        write_shard(tmp_path / "in" / f"embeddings-{number:05d}-of-00002", mine)
    write_shard(tmp_path / "in" / BEAM / "1.embeddings", payloads)
    write_content(tmp_path / "in" / BEAM / "2.embeddings", frame(payloads[0])[:900])
    given = ["convert", "--decoder", "wire", str(tmp_path / "in"), str(tmp_path / "out")]
    found = CliRunner().invoke(cli, given, catch_exceptions=False)
    assert found.exit_code == 0
    assert "2 shards, 4 records, 48 windows" in found.stdout
    assert f"passed over: 1.embeddings, 2.embeddings: in {BEAM}, which a Beam job" in found.stderr
    assert a20_parquet.verify(tmp_path / "out", tmp_path / "in", decoder="wire").is_good


def test_what_lies_beside_a_shard(tmp_path: Path) -> None:
    """One record, exit code 0, and each other file is said to be passed over."""
    shard = "embeddings-00000-of-00001"
    write_shard(tmp_path / "in" / shard, [make_record(random_tensor((12, 1, 16)))])
    cut = (tmp_path / "in" / shard).read_bytes()[:200]
    texts = (
        "README.txt",
        "_SUCCESS",
        "desktop.ini",
        "labels.csv",
        "hoplite.sqlite",
        "usearch.index",
    )
    contents = dict.fromkeys(texts, b"what others write, long enough for a frame")
    contents |= {f"{shard}.idx": b"0 990\n", f"._{shard}": b"\0" * 64, ".DS_Store": b"\0" * 64}
    contents |= {f"{shard}.gstmp": cut, ".part-0.crc": b"crc"}
    for name, content in contents.items():
        write_content(tmp_path / "in" / name, content)
    given = ["convert", "--decoder", "wire", str(tmp_path / "in"), str(tmp_path / "out"), "--json"]
    found = CliRunner().invoke(cli, given, catch_exceptions=False)
    assert found.exit_code == 0
    assert a20_parquet.info(tmp_path / "out").records == 1
    assert all(name in found.stdout for name in contents)

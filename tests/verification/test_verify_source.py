"""Verifying a dataset against the shards that it was made of."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import a20_parquet
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.errors import SourceError
from a20_parquet.verification.verify import verify
from tests.helpers.command_line import run
from tests.helpers.manifests import edit_manifest
from tests.helpers.shards import make_record, random_tensor, tensor_proto, write_shard
from tests.helpers.spoiling import change_value, flip, largest, messages, rewrite

NAME = "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards, one of them float16, with two channels and names that come twice."""
    folder = tmp_path_factory.mktemp("shards")
    for shard in range(2):
        dtype = (np.float32, np.float16)[shard]
        records = [
            make_record(random_tensor((3, 2, 8), n, dtype), NAME, 60.0 * (n % 7)) for n in range(9)
        ]
        write_shard(folder / f"e-{shard:05d}-of-00002", records)
    return folder


@pytest.fixture
def dataset(tmp_path: Path, shards: Path) -> Path:
    """Their dataset, which may be spoilt."""
    path = tmp_path / "dataset"
    a20_parquet.convert(shards, path)
    return path


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("decoder", DecoderName)
def test_what_was_converted_is_good(
    shards: Path, dataset: Path, workers: int, decoder: DecoderName
) -> None:
    """Every window of every shard is there, and all of them are counted."""
    found = verify(dataset, shards, workers=workers, decoder=decoder)
    assert messages(found) == []
    assert found.source is not None
    assert (found.source.shards, found.source.records, found.source.windows) == (2, 18, 108)
    assert found.source.bytes == sum(path.stat().st_size for path in shards.iterdir())


def test_shards_are_known_by_their_content(shards: Path, dataset: Path, tmp_path: Path) -> None:
    """Shards that were moved and renamed are still the same."""
    moved = [tmp_path / f"moved-{n}" / "x-00000-of-00001" for n in range(2)]
    for source, target in zip(sorted(shards.iterdir()), moved, strict=True):
        target.parent.mkdir()
        shutil.copy(source, target)
    assert verify(dataset, moved).is_good


@pytest.mark.parametrize("decoder", DecoderName)
def test_one_bit_of_one_float_is_told(shards: Path, dataset: Path, decoder: DecoderName) -> None:
    """A value that differs in its last bit is named with shard, record and file."""
    path = rewrite(dataset, change_value)
    (line,) = messages(verify(dataset, shards, decoder=decoder))
    assert line.startswith("e-0000")
    assert f"{NAME}@" in line
    assert line.endswith(f"differs from the one in {path.relative_to(dataset).as_posix()}")


def test_a_missing_window_is_told(shards: Path, dataset: Path) -> None:
    """A row that the dataset lost is named, though its lists agree with what is left."""
    rewrite(dataset, lambda table: pa.concat_tables([table.slice(0, 40), table.slice(41)]))
    _, line = messages(verify(dataset, shards))
    assert "record " in line
    assert "is not in the dataset" in line or "times in the shards" in line


def test_shards_that_are_not_the_datasets(shards: Path, dataset: Path, tmp_path: Path) -> None:
    """A shard that is missing or new is told; the windows of a new one too."""
    one = shards / "e-00000-of-00002"
    lines = messages(verify(dataset, one))
    assert lines == ["e-00001-of-00002: was converted, but is not among the sources"]
    other = write_shard(tmp_path / "f-00000-of-00001", [make_record(random_tensor((1, 1, 8), 99))])
    lines = messages(verify(dataset, [shards, other]))
    assert lines[0].startswith("f-00000-of-00001: the dataset was not made from this shard")
    assert lines[1].startswith("f-00000-of-00001: record 0: ")
    assert len(lines) == 2


def test_a_part_of_the_shards(tmp_path: Path) -> None:
    """One line tells how many are missing, and what is there is compared all the same."""
    paths = [
        write_shard(
            tmp_path / "in" / f"e-{n:05d}-of-00007",
            [make_record(random_tensor((3, 1, 8), n), NAME, 60.0 * n)],
        )
        for n in range(7)
    ]
    a20_parquet.convert(tmp_path / "in", tmp_path / "out")
    missing = (
        "sources: 5 of 7 shards were converted, but are not among the sources: e-00002-of-00007, "
        "e-00003-of-00007, e-00004-of-00007 and 2 more"
    )
    found = verify(tmp_path / "out", paths[:2])
    assert messages(found) == [missing]
    assert found.problem_count == 1
    rewrite(tmp_path / "out", change_value)
    first, second = messages(verify(tmp_path / "out", [paths[3]]))
    assert first.startswith("sources: 6 of 7 shards were converted")
    assert second.startswith("e-00003-of-00007: record 0: ")
    assert second.endswith("is not in the dataset")


def test_other_shards(dataset: Path, tmp_path: Path) -> None:
    """One line tells that the sources are others', and one that the dataset's are not there."""
    for n in range(4):
        record = make_record(random_tensor((1, 1, 8), 99 + n), NAME, 9e4 + 60 * n)
        write_shard(tmp_path / "other" / f"f-{n:05d}-of-00004", [record])
    foreign, missing = messages(verify(dataset, tmp_path / "other"))
    assert foreign == (
        "sources: 4 of 4 shards were not used for the dataset: none in "
        "manifest.json has their checksums: f-00000-of-00004, f-00001-of-00004, f-00002-of-00004 "
        "and 1 more"
    )
    assert missing.startswith("sources: 2 of 2 shards were converted, but are not among")


def test_a_damaged_shard_is_told(shards: Path, dataset: Path, tmp_path: Path) -> None:
    """One flipped bit in a shard is told with all that follows from it."""
    copies = Path(shutil.copytree(shards, tmp_path / "copies"))
    flip(copies / "e-00001-of-00002")
    changed, damage, *windows = messages(verify(dataset, copies))
    assert changed.startswith("e-00001-of-00002: has changed since it was converted: ")
    assert damage.startswith("e-00001-of-00002: 1 bad_payload belongs in quarantine, nothing ")
    assert len(windows) == 6
    assert all("times in the shards" in line or "not in the shards" in line for line in windows)


def test_a_cut_compressed_shard_is_told(tmp_path: Path) -> None:
    """A GZIP stream that has lost its end is told with the windows that it lacks now."""
    records = [make_record(random_tensor((3, 1, 8), n), NAME, 60.0 * n) for n in range(9)]
    shard = write_shard(tmp_path / "a-00000-of-00001", records, "GZIP")
    a20_parquet.convert(shard, tmp_path / "dataset")
    shard.write_bytes(shard.read_bytes()[:-200])
    changed, damage, *windows = messages(verify(tmp_path / "dataset", shard))
    assert "has changed since it was converted" in changed
    assert "1 bad_stream" in damage
    assert windows
    assert all("is not in the shards" in line for line in windows)


def test_a_manifest_with_other_counts(shards: Path, dataset: Path) -> None:
    """Counts of a shard that are not what it holds are told."""

    def change(manifest: dict[str, Any]) -> None:
        manifest["shards"][0]["records"] += 1
        manifest["totals"]["records"] += 1

    edit_manifest(dataset, change)
    (line,) = messages(verify(dataset, shards))
    assert line == (
        "e-00000-of-00002: it has 9 records with 54 windows, expected 10 with 54 as in "
        "manifest.json"
    )


def test_damaged_files_are_not_compared(shards: Path, dataset: Path) -> None:
    """Windows that cannot be read are not called missing; a note says so."""
    flip(largest(dataset))
    found = verify(dataset, shards)
    assert len(messages(found)) == 1
    assert "could not be read" in found.notes[0]


def test_no_shards(dataset: Path, tmp_path: Path) -> None:
    """Sources without a shard are an error."""
    with pytest.raises(SourceError):
        verify(dataset, tmp_path / "nothing")


def test_the_command(
    shards: Path,
    dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``--source`` may be given several times."""
    paths = [argument for path in sorted(shards.iterdir()) for argument in ("--source", path)]
    code, out, err = run(monkeypatch, capsys, "verify", dataset, *paths)
    assert code == 0
    assert "2 shards, 18 records, 108 windows" in out
    assert "reading shards" in err
    code, out, _ = run(monkeypatch, capsys, "verify", dataset, *paths[:2], "--json")
    assert code == 1
    assert json.loads(out)["source"]["shards"] == 1


def test_real_shard(real_data: Path, tmp_path: Path) -> None:
    """A real recording's windows are all there."""
    shard = real_data / "perch-real" / "embeddings-00000-of-00003"
    a20_parquet.convert(shard, tmp_path / "dataset")
    found = verify(tmp_path / "dataset", shard)
    assert messages(found) == []
    assert found.windows == 359


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of a part of the shard beside it, without other sites, days and channels.

    Of one record ``embedding_shape`` is not its tensor's, and one was taken out of quarantine.
    """
    folder = tmp_path_factory.mktemp("selected")
    proto = tensor_proto(1, [3, 2, 8], tensor_content=random_tensor((3, 2, 8), 5).tobytes())
    wrong = make_record(random_tensor((1, 2, 8)), NAME, 120.0, proto)
    records = [
        make_record(random_tensor((3, 2, 8), 1), NAME),
        make_record(random_tensor((3, 2, 8), 2), NAME, 60.0 * 60 * 48),
        make_record(random_tensor((3, 2, 8), 3), "site_0007/20201014T010000Z_A_1.flac"),
        make_record(random_tensor((3, 2, 8), 4), "x.wav"),
        wrong,
    ]
    write_shard(folder / "in" / "a-00000-of-00001", records)
    a20_parquet.convert(
        folder / "in", folder / "dataset", site=[285], until_date="2020-10-14", channels=[0]
    )
    a20_parquet.convert(
        folder / "dataset" / "quarantine",
        folder / "dataset",
        unknown_site="Lab",
        site=["Lab"],
        channels=[0],
    )
    return folder / "dataset"


@pytest.mark.parametrize("decoder", DecoderName)
def test_what_was_left_out_is_counted_again(selected: Path, decoder: DecoderName) -> None:
    """The shard has as many windows outside of the selection as the manifest says."""
    manifest = json.loads((selected / "manifest.json").read_bytes())
    (shard,) = manifest["shards"]
    # 15 windows a channel; one of the two channels is not wanted.
    assert (shard["windows"], shard["left_out"]) == (9, 21)
    assert shard["shape_disagreements"] == 1
    assert messages(verify(selected, selected.parent / "in", decoder=decoder)) == []


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("bytes", "bytes"),
        ("left_out", "windows outside the selection"),
        ("shape_disagreements", "records whose embedding_shape differs from their tensor's shape"),
    ],
)
def test_each_count_of_a_shard_is_held_against_the_shard(
    selected: Path, tmp_path: Path, field: str, told: str
) -> None:
    """Only the source tells that it is another."""
    dataset = Path(shutil.copytree(selected, tmp_path / "dataset"))

    def change(manifest: dict[str, Any]) -> None:
        manifest["shards"][0][field] += 1
        if field == "left_out":
            manifest["conversions"][0][field] += 1

    was = edit_manifest(dataset, change)["shards"][0][field]
    assert verify(dataset).is_good
    lines = messages(verify(dataset, selected.parent / "in", decoder="wire"))
    line = f"a-00000-of-00001: it has {was - 1:,} {told}, expected {was:,} as in manifest.json"
    assert line in lines
    # A shard of another size is read as a new one.
    assert field == "bytes" or len(lines) == 1

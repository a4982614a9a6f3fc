"""Embeddings that stay in the shards: the same dataset, or an error that names the shard."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import a20_parquet
from a20_parquet.conversion import job
from a20_parquet.errors import UsageError
from a20_parquet.runs.located_run import LocatedRun
from tests.helpers.bad_shards import write_damaged, write_good_and_bad
from tests.helpers.conversions import TINY, digests, write_shuffled
from tests.helpers.shards import make_record, random_tensor, tensor_proto, write_shard

NAME = "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards with tensors of several shapes, with damage and bad records, and compressed ones."""
    folder = write_shuffled(tmp_path_factory.mktemp("shards"))
    records = [
        make_record(random_tensor((5, 2, 16), 1000 + i), NAME, 10_000 + 60.0 * i) for i in range(40)
    ]
    write_shard(folder / "gzip-00000-of-00002", records[:20], "GZIP")
    write_shard(folder / "plain-00001-of-00002", records[20:])
    return folder


@pytest.fixture
def located(monkeypatch: pytest.MonkeyPatch) -> list[LocatedRun]:
    """The located runs that are made from now on."""
    made: list[LocatedRun] = []
    make = LocatedRun.__init__

    def note(self: LocatedRun, *values: Any) -> None:
        made.append(self)
        make(self, *values)

    monkeypatch.setattr(LocatedRun, "__init__", note)
    return made


OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "wire": {"decoder": "wire"},
    "site": {"decoder": "wire", "partition_by": "site"},
    "small row groups": {"decoder": "wire", "row_group_rows": 7},
    "small files": {"decoder": "wire", "row_group_rows": 7, "max_file_size": 1000},
    "one channel": {"decoder": "wire", "channels": [1]},
    "two channels": {"decoder": "wire", "channels": [0, 3]},
    "selection": {"decoder": "wire", "until_date": "2021-01-01"},
    "zstd": {"decoder": "wire", "compression": "zstd"},
    "one worker": {"decoder": "wire", "workers": 1},
    "no duplicates": {"decoder": "wire", "drop_duplicates": True},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_same_dataset(
    shards: Path, tmp_path: Path, name: str, located: list[LocatedRun]
) -> None:
    """Copied and located embeddings give equal files."""
    for embeddings in ("copied", "located"):
        a20_parquet.convert(shards, tmp_path / embeddings, embeddings=embeddings, **OPTIONS[name])
    assert digests(tmp_path / "located") == digests(tmp_path / "copied")
    assert located


@pytest.mark.parametrize("rows", [1, 37, 1000])
@pytest.mark.parametrize("decoder", ["wire", "tensorflow"])
def test_locations_on_scratch_disk(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, decoder: str
) -> None:
    """Where not even the metadata fit into memory, sorted runs of them are on scratch disk."""
    a20_parquet.convert(shards, tmp_path / "copied", embeddings="copied", decoder=decoder)
    tiny = replace(TINY, locates=True, located_rows=rows)
    monkeypatch.setattr(job, "plan_memory", lambda **_: tiny)
    result = a20_parquet.convert(shards, tmp_path / "located", decoder=decoder)
    assert result.runs_on_disk > 1
    assert digests(tmp_path / "located") == digests(tmp_path / "copied")


def test_auto_locates_local_plain_shards(
    shards: Path, tmp_path: Path, located: list[LocatedRun]
) -> None:
    """Shards of which one is compressed are copied."""
    a20_parquet.convert(shards, tmp_path / "mixed", decoder="wire")
    assert not located
    plain = [path for path in shards.iterdir() if "gzip" not in path.name]
    a20_parquet.convert(plain, tmp_path / "plain", decoder="wire")
    assert len(located) == 1


@pytest.mark.parametrize("write", [write_good_and_bad, write_damaged])
@pytest.mark.parametrize("decoder", ["wire", "tensorflow"])
def test_bad_records_and_damage(
    tmp_path: Path, write: Callable[[Path], Any], decoder: str, located: list[LocatedRun]
) -> None:
    """Quarantine is the same, and so is its retry."""
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    for embeddings in ("copied", "located"):
        out = tmp_path / embeddings
        options: Any = {"embeddings": embeddings, "decoder": decoder, "dims": 8}
        a20_parquet.convert(tmp_path / "in", out, **options)
        if write is write_good_and_bad:
            a20_parquet.convert(out / "quarantine", out, unknown_site="Lab", **options)
    same = digests(tmp_path / "copied", but="manifest.json")
    assert digests(tmp_path / "located", but="manifest.json") == same
    assert located


def test_records_that_are_stored_otherwise_are_copied(
    tmp_path: Path, located: list[LocatedRun]
) -> None:
    """Lists of numbers instead of bytes, among records that are located."""
    records = []
    for number in range(30):
        tensor = random_tensor((3, 1, 8), number)
        record = make_record(tensor, NAME, 15.0 * number)
        if number % 3 == 0:
            listed = tensor_proto(1, tensor.shape, float_val=tensor.reshape(-1).tolist())
            record = record.replace(_content(tensor), listed)
        records.append(record)
    write_shard(tmp_path / "in" / "a-00000-of-00001", records)
    for embeddings in ("copied", "located"):
        a20_parquet.convert(tmp_path / "in", tmp_path / embeddings, embeddings=embeddings)
    assert digests(tmp_path / "located") == digests(tmp_path / "copied")
    assert located


def _content(tensor: np.ndarray[Any, Any]) -> bytes:
    return tensor_proto(1, tensor.shape, tensor_content=tensor.tobytes())


def test_where_embeddings_cannot_be_located(shards: Path, tmp_path: Path) -> None:
    """Shards in a store and clusters copy them: who asks for something else is told."""
    import fsspec

    store = fsspec.filesystem("memory")
    try:
        store.put(str(shards / "plain-00001-of-00002"), "/located/a-00000-of-00001")
        with pytest.raises(UsageError, match="embeddings located cannot be used from shards in"):
            a20_parquet.convert("memory://located", tmp_path / "out", embeddings="located")
        a20_parquet.convert("memory://located", tmp_path / "out", decoder="wire")
    finally:
        store.rm("/located", recursive=True)
    with pytest.raises(UsageError, match="embeddings: expected 'auto', 'located' or 'copied'"):
        a20_parquet.convert(shards, tmp_path / "other", embeddings="left")


def test_few_open_files_suffice(tmp_path: Path) -> None:
    """Many shards, of which each page of the dataset needs some windows, under a low limit."""
    resource = pytest.importorskip("resource")
    for number in range(200):
        record = make_record(random_tensor((1, 1, 8), number), NAME, 5.0 * number)
        write_shard(tmp_path / "in" / f"a-{number:05d}-of-00200", [record])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        for embeddings in ("copied", "located"):
            options: Any = {"embeddings": embeddings, "decoder": "wire", "workers": 8}
            a20_parquet.convert(tmp_path / "in", tmp_path / embeddings, **options)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert digests(tmp_path / "located") == digests(tmp_path / "copied")


def test_long_records_are_copied(tmp_path: Path, located: list[LocatedRun]) -> None:
    """Each page of the dataset would read them as a whole, thousands of times in the end."""
    long, short = (random_tensor((windows, 1, 320), windows) for windows in (900, 12))
    write_shard(tmp_path / "long" / "a-00000-of-00001", [make_record(long, NAME, 0.0)])
    write_shard(
        tmp_path / "both" / "a-00000-of-00001",
        [make_record(tensor, NAME, start) for tensor, start in ((short, 0.0), (long, 7.5))],
    )
    for source in ("long", "both"):
        for embeddings in ("copied", "located"):
            out = tmp_path / f"{source}-{embeddings}"
            a20_parquet.convert(tmp_path / source, out, decoder="wire", embeddings=embeddings)
        assert digests(tmp_path / f"{source}-located") == digests(tmp_path / f"{source}-copied")
    assert [len(run) for run in located] == [12]
    done = a20_parquet.convert(tmp_path / "long", tmp_path / "auto", decoder="wire")
    assert len(located) == 1
    assert not done.runs_on_disk


def test_shards_with_a_copied_record_each_share_runs(tmp_path: Path) -> None:
    """A run of one window for each of many shards would make the merge slow."""
    for number in range(100):
        plain, other = (random_tensor((1, 1, 8), seed) for seed in (number, 1000 + number))
        listed = tensor_proto(1, other.shape, float_val=other.reshape(-1).tolist())
        records = [
            make_record(plain, NAME, 10.0 * number),
            make_record(other, NAME, 10.0 * number + 5).replace(_content(other), listed),
        ]
        write_shard(tmp_path / "in" / f"a-{number:05d}-of-00100", records)
    options: Any = {"decoder": "wire", "workers": 2}
    a20_parquet.convert(tmp_path / "in", tmp_path / "copied", embeddings="copied", **options)
    done = a20_parquet.convert(
        tmp_path / "in", tmp_path / "located", embeddings="located", **options
    )
    assert digests(tmp_path / "located") == digests(tmp_path / "copied")
    assert done.runs_on_disk <= 40

"""Datasets that an earlier version wrote: found by ``verify``, and mended in place."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import a20_parquet
from a20_parquet.cli.main import cli
from a20_parquet.conversion.transaction.lock import locked
from a20_parquet.dataset import mend
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.parquet import TIMESTAMP_MICROS, TIMESTAMP_MILLIS, layout, mark_instants
from a20_parquet.storage.store import StoreFileSystem
from a20_parquet.verification.verify import verify
from tests.helpers.conversions import digests, write_shuffled
from tests.helpers.layout import LocalLayout
from tests.helpers.repairing import count_steps, repair_and_die
from tests.helpers.shards import make_record, random_tensor, write_shard
from tests.helpers.thrift import read_footer

pytestmark = pytest.mark.slow

OPTIONS: dict[str, Any] = {"decoder": "wire", "workers": 2, "row_group_rows": 50}
UTC = pa.timestamp("us", tz="UTC")


@contextmanager
def earlier_version() -> Iterator[None]:
    """Have footers call UTC times milliseconds, as they once did."""
    physical, meaning, number = layout._FLAT[UTC]  # noqa: SLF001 - where the encoder knows it
    old = meaning._replace(converted=TIMESTAMP_MILLIS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(layout._FLAT, UTC, (physical, old, number))  # noqa: SLF001 - likewise
        yield


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several sites and dates, some records for quarantine."""
    folder = write_shuffled(tmp_path_factory.mktemp("in"))
    unreadable = make_record(random_tensor((2, 1, 16), 1), "no-name.flac", 0.0)
    write_shard(folder / "odd-00000-of-00001", [unreadable])
    return folder


@pytest.fixture(scope="module")
def new(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a conversion writes now."""
    path = tmp_path_factory.mktemp("new") / "dataset"
    a20_parquet.convert(shards, path, **OPTIONS)
    return path


@pytest.fixture(scope="module")
def old(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What it once wrote; not to be changed."""
    path = tmp_path_factory.mktemp("old") / "dataset"
    with earlier_version():
        a20_parquet.convert(shards, path, **OPTIONS)
    return path


@pytest.fixture
def dataset(old: Path, tmp_path: Path) -> Path:
    """A copy of it to mend."""
    return Path(shutil.copytree(old, tmp_path / "dataset"))


def data_files(dataset: Path) -> list[Path]:
    """All of them, sorted."""
    return sorted(dataset.glob("data/**/*.parquet"))


def problems(dataset: Path, *source: Path) -> list[str]:
    """What ``verify`` finds."""
    found = verify(dataset, source, decoder="wire")
    assert found.problem_count == len(found.problems)
    return list(map(str, found.problems))


def test_old_and_new_differ_in_single_bytes(old: Path, new: Path) -> None:
    """Two bytes a data file, 9 for 10: what a mend has to change."""
    assert len(data_files(old)) > 5
    for was, is_now in zip(data_files(old), data_files(new), strict=True):
        before, after = was.read_bytes(), is_now.read_bytes()
        pairs = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
        assert pairs == [(2 * TIMESTAMP_MILLIS, 2 * TIMESTAMP_MICROS)] * 2
        kinds = {e[4]: e.get(6) for e in read_footer(before)[2]}
        assert (kinds[b"file_timestamp"], kinds[b"window_start"]) == (9, 9)


def test_verify_says_it_in_one_line(dataset: Path, shards: Path) -> None:
    """What is wrong, of how many files, and what mends it; all else is compared as ever."""
    count = len(data_files(dataset))
    (line,) = problems(dataset, shards)
    assert line.startswith(f"data: {count} of {count} files call their UTC times milliseconds")
    assert f"a20-parquet repair {dataset}" in line
    assert verify(dataset, shards, decoder="wire").windows == a20_parquet.info(dataset).windows


@pytest.mark.parametrize("workers", [1, 3])
def test_mended_is_what_a_new_conversion_writes(
    dataset: Path, new: Path, shards: Path, workers: int
) -> None:
    """Every file of the dataset, byte for byte."""
    repair = a20_parquet.repair(dataset, workers=workers)
    assert (repair.files, repair.mended, repair.problems) == (
        len(data_files(new)),
        len(data_files(new)),
        (),
    )
    assert digests(dataset) == digests(new)
    assert sorted(p.name for p in dataset.iterdir()) == sorted(p.name for p in new.iterdir())
    assert problems(dataset, shards) == []
    again = a20_parquet.repair(dataset)
    assert (again.mended, digests(dataset)) == (0, digests(new))


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_other_tables(tmp_path: Path, shards: Path, compression: str) -> None:
    """Compressed, by site alone, with many row groups."""
    options = OPTIONS | {"compression": compression, "partition_by": "site", "row_group_rows": 3}
    with earlier_version():
        a20_parquet.convert(shards, tmp_path / "dataset", **options)
    a20_parquet.convert(shards, tmp_path / "new", **options)
    a20_parquet.repair(tmp_path / "dataset")
    assert digests(tmp_path / "dataset") == digests(tmp_path / "new")


def test_the_command(dataset: Path, new: Path) -> None:
    """It says what it did, and exits with 0."""
    found = CliRunner().invoke(cli, ["repair", str(dataset)], catch_exceptions=False)
    count = len(data_files(new))
    assert found.exit_code == 0
    assert re.match(rf"{count} files, {count} mended\n", found.stdout)
    assert digests(dataset) == digests(new)


def test_killed_at_any_step(old: Path, new: Path, tmp_path: Path) -> None:
    """Never good before it is done, always readable, and the same command goes on."""
    expected = pl.read_parquet(data_files(new)).drop("embedding")
    steps = count_steps(Path(shutil.copytree(old, tmp_path / "counted")))
    assert steps > len(data_files(old)) + 5
    for at in range(steps):
        dataset = Path(shutil.copytree(old, tmp_path / f"killed-{at}"))
        repair_and_die(dataset, at)
        is_done = a20_parquet.verify(dataset).is_good
        if not is_done:
            (line,) = problems(dataset)
            assert "a20-parquet repair" in line
        kept = {p: d for p, d in digests(dataset / "data").items() if p.endswith(".parquet")}
        assert not is_done or kept == digests(new / "data")
        found = a20_parquet.scan(dataset).select(expected.columns).collect()
        assert found.equals(expected)
        a20_parquet.repair(dataset)
        assert digests(dataset) == digests(new)
        assert sorted(p.name for p in dataset.iterdir()) == sorted(p.name for p in new.iterdir())


def test_killed_while_a_footer_is_half_written(dataset: Path, new: Path) -> None:
    """One column of a file says the one, the other the other."""
    path, target = data_files(dataset)[2], data_files(new)[2].read_bytes()
    content = bytearray(path.read_bytes())
    place = next(i for i in range(len(content)) if content[i] != target[i])
    content[place] = target[place]
    path.write_bytes(content)
    (line,) = problems(dataset)
    assert line.startswith(f"data: {len(data_files(new))} of")
    a20_parquet.repair(dataset)
    assert digests(dataset) == digests(new)


def test_a_conversion_finishes_a_repair(
    dataset: Path, new: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when the manifest is new and ``files.parquet`` has not moved: nothing is lost."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(import_module("a20_parquet.conversion.repair"), "clean_up", die)
        with pytest.raises(KeyboardInterrupt):
            a20_parquet.repair(dataset)
    assert (dataset / "conversion" / "files.parquet").exists()
    assert problems(dataset) == []
    assert a20_parquet.convert(shards, dataset, **OPTIONS).new_shards == 0
    assert digests(dataset) == digests(new)


def test_append_before_the_repair(tmp_path: Path, dataset: Path, shards: Path, new: Path) -> None:
    """New files are right at once; ``verify`` names the others until they are mended."""
    more = tmp_path / "more"
    name = "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac"
    write_shard(more / "new-00000-of-00001", [make_record(random_tensor((3, 1, 16), 5), name, 9e5)])
    count = len(data_files(dataset))
    for path in (dataset, Path(shutil.copytree(new, tmp_path / "new"))):
        a20_parquet.convert([shards, more], path, **OPTIONS)
    (line,) = problems(dataset)
    assert line.startswith(f"data: {count} of {count + 1} files")
    assert a20_parquet.repair(dataset).mended == count
    assert digests(dataset) == digests(tmp_path / "new")


def test_a_damaged_file_is_left_and_named(dataset: Path, new: Path) -> None:
    """The others are mended; what damage there is stays to be seen."""
    path = data_files(dataset)[1]
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    torn, long, missing = data_files(dataset)[2:5]
    torn.write_bytes(torn.read_bytes()[:-1])
    long.write_bytes(long.read_bytes() + b"!")
    missing.unlink()
    names = [each.relative_to(dataset).as_posix() for each in (path, torn, long, missing)]
    found = CliRunner().invoke(cli, ["repair", str(dataset)], catch_exceptions=False)
    assert found.exit_code == 1
    assert [line.partition(":")[0] for line in found.stdout.splitlines()[:4]] == names
    assert path.read_bytes() == content
    count = len(data_files(new)) - 4
    assert f"{count + 4} files, {count} mended" in found.stdout
    assert [line.partition(":")[0] for line in problems(dataset)] == names


def test_unfinished_conversions_come_first(
    tmp_path: Path, dataset: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of nothing and of an append; a folder of something else is not touched either."""

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    record = make_record(random_tensor((3, 1, 16), 5), "site_0285/20201014T010000Z_A_1.flac", 0.0)
    write_shard(tmp_path / "more" / "new-00000-of-00001", [record])
    with monkeypatch.context() as patch:
        patch.setattr(import_module("a20_parquet.conversion.convert"), "merge_runs", die)
        for path in (dataset, tmp_path / "fresh"):
            with pytest.raises(KeyboardInterrupt):
                a20_parquet.convert([shards, tmp_path / "more"], path, **OPTIONS)
    before = digests(dataset)
    with pytest.raises(UsageError, match="Finish it first"):
        a20_parquet.repair(dataset)
    assert digests(dataset) == before
    for path in (tmp_path / "fresh", shards, tmp_path / "nothing"):
        with pytest.raises(DatasetError):
            a20_parquet.repair(path)
    assert not (tmp_path / "nothing").exists()
    assert not (shards / "conversion").exists()


def test_two_at_once(dataset: Path) -> None:
    """It takes the dataset's lock."""
    before = digests(dataset)
    with locked(LocalLayout.at(dataset), print), pytest.raises(UsageError, match="another process"):
        a20_parquet.repair(dataset)
    assert digests(dataset) == before


def test_a_dataset_of_the_present_is_not_touched(new: Path) -> None:
    """Not even its times of modification."""
    before = {path: path.stat().st_mtime_ns for path in new.rglob("*") if path.is_file()}
    assert a20_parquet.repair(new).mended == 0
    after = {path: path.stat().st_mtime_ns for path in new.rglob("*") if path.is_file()}
    assert after == before


def test_files_that_cannot_be_written(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that names the file."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "part-0000.parquet")

    monkeypatch.setattr(mend, "open_no_link", refuse)
    with pytest.raises(DatasetError, match=r"part-0000.*the same command goes on"):
        a20_parquet.repair(dataset)


def test_links_are_not_followed(dataset: Path, tmp_path: Path) -> None:
    """A file that others may share, as git-annex keeps them, is not changed behind their back."""
    path = data_files(dataset)[0]
    elsewhere = path.rename(tmp_path / "elsewhere")
    path.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    with pytest.raises(DatasetError, match=path.name):
        a20_parquet.repair(dataset)
    assert elsewhere.read_bytes() == before


def test_no_workers(dataset: Path) -> None:
    """Refused before anything is touched."""
    before = digests(dataset)
    for workers in (0, -1, 10**20):
        with pytest.raises(UsageError, match="workers is"):
            a20_parquet.repair(dataset, workers=workers)
    assert digests(dataset) == before


def test_stopped_at_any_request_to_a_store(
    old: Path, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each object is old or new: what is left to do is said, readers go on, and so does it."""
    expected = pl.read_parquet(data_files(new)).drop("embedding")
    store = fsspec.filesystem("memory")
    change = StoreFileSystem.change
    for at in range(30):
        left = iter(range(at))

        def stop(self: Any, request: Any, path: str, left: Iterator[int] = left) -> Any:
            if not path.endswith("lock") and next(left, None) is None:
                raise KeyboardInterrupt
            return change(self, request, path)

        store.put(f"{old}/", "/stopped", recursive=True)
        is_stopped = False
        try:
            with monkeypatch.context() as patch:
                patch.setattr(StoreFileSystem, "change", stop)
                try:
                    a20_parquet.repair("memory://stopped", workers=1)
                except KeyboardInterrupt:
                    is_stopped = True
            found = a20_parquet.scan("memory://stopped").select(expected.columns).collect()
            assert found.equals(expected)
            problems = list(map(str, verify("memory://stopped").problems))
            assert len(problems) <= 1
            assert not problems or "a20-parquet repair memory://" in problems[0]
            a20_parquet.repair("memory://stopped")
            assert_is(store, "/stopped", new)
        finally:
            store.rm("/stopped", recursive=True)
        if not is_stopped:
            assert at > len(data_files(new)) + 3
            return  # it was done before
    pytest.fail("it was never finished")


def assert_is(store: Any, root: str, dataset: Path) -> None:
    """What lies in a store is a dataset, byte for byte, and nothing else."""
    found = {name.removeprefix(f"{root}/"): store.cat(name) for name in store.find(root)}
    files = [path for path in dataset.rglob("*") if path.is_file()]
    assert found == {path.relative_to(dataset).as_posix(): path.read_bytes() for path in files}


def test_in_a_store(old: Path, new: Path) -> None:
    """Objects are put anew, whole."""
    store = fsspec.filesystem("memory")
    store.put(f"{old}/", "/mended", recursive=True)
    try:
        (line,) = map(str, verify("memory://mended").problems)
        assert "a20-parquet repair memory://" in line
        assert a20_parquet.repair("memory://mended").mended == len(data_files(new))
        assert verify("memory://mended").is_good
        assert_is(store, "/mended", new)
    finally:
        store.rm("/mended", recursive=True)


@pytest.mark.parametrize("step", [1, 7, 64])
def test_no_footer_is_too_odd(new: Path, step: int) -> None:
    """Cut and changed footers are an error of this package, never another, and never a hang."""
    content = data_files(new)[0].read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - length : -8]
    for place in range(0, length, step):
        changed = bytearray(footer)
        changed[place] ^= 0xFF
        for odd in (footer[:place], bytes(changed)):
            try:
                assert len(mark_instants(odd, TIMESTAMP_MILLIS)) == len(odd)
            except DatasetError:
                continue
    assert pq.read_schema(pa.BufferReader(content)).names[0] == "embedding"

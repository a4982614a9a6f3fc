"""Shards that change between the passes, or while their embeddings are read again."""

import errno
import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.conversion import merge_pass
from a20_parquet.conversion.transaction.checkpoints import commit_unit
from a20_parquet.errors import SourceError
from tests.helpers.conversions import digests
from tests.helpers.shards import make_record, random_tensor, write_shard

pytestmark = pytest.mark.slow

NAME = "site_0285/202010{:02}T010000+1030_Arkaba-Dry-A_49500.flac"
VICTIM = "embeddings-00001-of-00002"


def write(folder: Path, seed: int = 0) -> Path:
    """Two shards with windows of the same days; another seed gives other embeddings."""
    for shard in range(2):
        records = [
            make_record(
                random_tensor((5, 1, 16), seed + 100 * shard + number),
                NAME.format(1 + number % 8),
                60.0 * (2 * number + shard),
            )
            for number in range(40)
        ]
        write_shard(folder / f"embeddings-{shard:05d}-of-00002", records)
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shards, and others of the same sizes beside their folder."""
    folder = tmp_path_factory.mktemp("shards")
    write(folder / "others", 1000)
    return write(folder / "in")


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the dataset."""
    out = tmp_path_factory.mktemp("whole") / "out"
    a20_parquet.convert(shards, out, decoder="wire", embeddings="copied")
    return digests(out)


def _another(path: Path) -> Path:
    """A shard of the same size with other embeddings, on the same disk."""
    other = path.with_name("another")
    others = path.parent.parent / "others" / path.name
    shutil.copy(others, other)
    assert other.stat().st_size == path.stat().st_size
    return other


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    # In the last record: before the payload's checksum.
    content[-20] ^= 1
    path.write_bytes(content)


def _instead(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


IN_PLACE: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path: os.truncate(path, 0),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "overwritten": lambda path: shutil.copyfile(_another(path), path),
}
OTHERS: dict[str, Callable[[Path], object]] = {
    "flipped": _flip,
    "removed": Path.unlink,
    "replaced": lambda path: _another(path).replace(path),
    "a folder": lambda path: _instead(path, Path.mkdir),
    "a pipe": lambda path: _instead(path, os.mkfifo),
    "a device": lambda path: _instead(path, lambda at: at.symlink_to("/dev/zero")),
    "a link to another": lambda path: _instead(path, lambda at: at.symlink_to(_other_of(at))),
    "a broken link": lambda path: _instead(path, lambda at: at.symlink_to("nothing")),
    "a link to itself": lambda path: _instead(path, lambda at: at.symlink_to(at.name)),
}


def _other_of(path: Path) -> Path:
    return path.parent.parent / "others" / path.name


def _copy_of(path: Path) -> Path:
    return Path(shutil.copy(path, path.with_name("copy")))


HARMLESS: dict[str, Callable[[Path], object]] = {
    "replaced by a copy": lambda path: _copy_of(path).replace(path),
    "moved and linked": lambda path: path.symlink_to(path.rename(path.parent.parent / "moved")),
}


def _change_first(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Change a shard between the passes."""
    plan = merge_pass.plan_files

    def change_and_plan(*values: Any) -> Any:
        change()
        return plan(*values)

    monkeypatch.setattr("a20_parquet.conversion.convert.plan_files", change_and_plan)


def _change_soon(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Change a shard after the first unit of the second pass, of which each file is one."""
    monkeypatch.setattr(merge_pass, "_UNIT_BYTES", 1)
    units = count()

    def commit(*values: Any) -> None:
        commit_unit(*values)
        if next(units) == 0:
            change()

    monkeypatch.setattr(merge_pass, "commit_unit", commit)


def _copy(shards: Path, folder: Path) -> Path:
    shutil.copytree(shards.parent / "others", folder / "others")
    return Path(shutil.copytree(shards, folder / "in"))


def _restore(shards: Path, victim: Path) -> None:
    victim.rmdir() if victim.is_dir() else victim.unlink(missing_ok=True)
    shutil.copy2(shards / victim.name, victim)
    for beside in ("another", "copy"):
        victim.with_name(beside).unlink(missing_ok=True)


def _options(workers: int) -> dict[str, Any]:
    return {"decoder": "wire", "embeddings": "located", "workers": workers}


def _check_stopped(shards: Path, source: Path, out: Path, workers: int) -> None:
    """Convert to an error that names the shard; there is no dataset then."""
    with pytest.raises(SourceError, match=rf"{VICTIM}: .* or give embeddings copied"):
        a20_parquet.convert(source, out, **_options(workers))
    assert not (out / "manifest.json").exists()
    _restore(shards, source / VICTIM)


@pytest.mark.parametrize("change", IN_PLACE | OTHERS)
@pytest.mark.parametrize("workers", [1, 4])
def test_changed_between_the_passes(  # noqa: PLR0913, PLR0917 - fixtures
    shards: Path,
    whole: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    workers: int,
) -> None:
    """It is an error that names the shard; with the shard as it was the same command goes on."""
    source = _copy(shards, tmp_path)
    with monkeypatch.context() as patch:
        _change_first(patch, lambda: (IN_PLACE | OTHERS)[change](source / VICTIM))
        _check_stopped(shards, source, tmp_path / "out", workers)
    assert a20_parquet.convert(source, tmp_path / "out", **_options(workers)).is_resumed
    assert _is_same(digests(tmp_path / "out"), whole)


@pytest.mark.parametrize("change", IN_PLACE)
@pytest.mark.parametrize("workers", [1, 4])
def test_changed_while_it_is_read(  # noqa: PLR0913, PLR0917 - fixtures
    shards: Path,
    whole: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    workers: int,
) -> None:
    """Units that were finished before are kept."""
    source = _copy(shards, tmp_path)
    with monkeypatch.context() as patch:
        _change_soon(patch, lambda: IN_PLACE[change](source / VICTIM))
        _check_stopped(shards, source, tmp_path / "out", workers)
    assert a20_parquet.convert(source, tmp_path / "out", **_options(workers)).is_resumed
    assert _is_same(digests(tmp_path / "out"), whole)


@pytest.mark.parametrize("change", HARMLESS)
def test_the_same_bytes_elsewhere(
    shards: Path,
    whole: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    """Another file with the same content is as good, before the second pass and during it."""
    for when in (_change_first, _change_soon):
        source = _copy(shards, tmp_path / when.__name__)
        with monkeypatch.context() as patch:
            when(patch, lambda at=source: HARMLESS[change](at / VICTIM))  # type: ignore[misc]
            a20_parquet.convert(source, source.parent / "out", **_options(2))
        assert _is_same(digests(source.parent / "out"), whole)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("good_reads", [0, 50])
def test_a_disk_that_fails(  # noqa: PLR0913, PLR0917 - fixtures
    shards: Path,
    whole: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    good_reads: int,
) -> None:
    """Errors of the device while embeddings are read again; when it is mended, it goes on."""
    preadv, reads = os.preadv, count()

    def fail(*values: Any) -> int:
        if next(reads) >= good_reads:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return preadv(*values)

    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", fail)
        with pytest.raises(SourceError, match=r"embeddings-0000\d-of-00002: cannot be read again"):
            a20_parquet.convert(shards, tmp_path / "out", **_options(workers))
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert a20_parquet.convert(shards, tmp_path / "out", **_options(workers)).is_resumed
    assert digests(tmp_path / "out") == whole


def _is_same(found: dict[str, str], expected: dict[str, str]) -> bool:
    """Whether datasets are equal but for the URLs of their shards."""
    return {name: found[name] for name in found if name != "manifest.json"} == {
        name: expected[name] for name in expected if name != "manifest.json"
    }

"""Partitions that several workers write: the bytes are those that one writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.conversion import merge_pass
from a20_parquet.conversion.transaction.checkpoints import commit_unit
from a20_parquet.runs.merge_cut import unit_slices
from tests.helpers.conversions import digests, use_tiny_memory
from tests.helpers.shards import make_record, random_tensor, write_shard

FILES: dict[str, Any] = {"partition_by": "site", "max_file_size": 4000, "decoder": "wire"}
UNIT_BYTES = (1, 12_000)
"""Units of one file of 60 rows, and of several."""

OPTIONS: dict[str, dict[str, Any]] = {
    "located": {"embeddings": "located"},
    "copied": {"embeddings": "copied"},
    "three workers": {"workers": 3, "row_group_rows": 4},
    "no duplicates": {"drop_duplicates": True},
}


class Stop(Exception):  # noqa: N818 - no error of this package
    """Stands for whatever may stop a conversion."""


@pytest.fixture
def divided(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows before each unit in its first partition, of the units that are merged from now."""
    skipped: list[int] = []

    def note(runs: Any, unit: Any, **options: Any) -> Any:
        skipped.append(unit.skipped)
        return unit_slices(runs, unit, **options)

    monkeypatch.setattr(merge_pass, "unit_slices", note)
    return skipped


def use_units(monkeypatch: pytest.MonkeyPatch, unit_bytes: int) -> None:
    """Make units of as many bytes from now on."""
    monkeypatch.setattr(merge_pass, "_UNIT_BYTES", unit_bytes)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("memory", ["tiny", "default"])
def test_the_same_dataset(  # noqa: PLR0913, PLR0917 - fixtures
    shuffled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    divided: list[int],
    name: str,
    memory: str,
) -> None:
    """Divided into units of any size, from runs on disk and in memory, with windows twice."""
    more = tmp_path / "more"
    more.mkdir()
    shard = min(shuffled.glob("embeddings-*"))
    (more / f"again-{shard.name}").write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    options = FILES | OPTIONS[name]
    a20_parquet.convert([shuffled, more], tmp_path / "whole", **options)
    assert not any(divided)
    if memory == "tiny":
        use_tiny_memory(monkeypatch)
    for unit_bytes in UNIT_BYTES:
        use_units(monkeypatch, unit_bytes)
        a20_parquet.convert([shuffled, more], tmp_path / str(unit_bytes), **options)
        assert any(divided)
        divided.clear()
        assert digests(tmp_path / str(unit_bytes)) == digests(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [(1, 12_000), (12_000, 1), (1, 30_000), (30_000, 1)])
def test_resumed_with_other_units(
    shuffled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, then: int
) -> None:
    """Files of units that were finished are kept; those of parts of new units are written again."""
    a20_parquet.convert(shuffled, tmp_path / "whole", **FILES)
    made: list[tuple[Any, ...]] = []

    def commit_until(most: int) -> Callable[..., None]:
        def commit(layout: Any, files: Any, tag: str = "") -> None:
            if len(made) == most:
                raise Stop
            commit_unit(layout, files, tag)
            made.append(files)

        return commit

    use_units(monkeypatch, first)
    monkeypatch.setattr(merge_pass, "commit_unit", commit_until(1))
    with pytest.raises(Stop):
        a20_parquet.convert(shuffled, tmp_path / "out", workers=1, **FILES)
    kept = {file.path for files in made for file in files}
    use_units(monkeypatch, then)
    made.clear()
    monkeypatch.setattr(merge_pass, "commit_unit", commit_until(1000))
    assert a20_parquet.convert(shuffled, tmp_path / "out", workers=1, **FILES).is_resumed
    if first > then:
        assert kept.isdisjoint(file.path for files in made for file in files)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_large_units_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one that is begun last would keep one worker busy while the others wait."""
    days = [1, 1, 9, 1, 2, 5]
    records = [
        make_record(
            random_tensor((4, 1, 8), 10 * day + record),
            f"site_0285/2020101{day}T010000+1030_Arkaba-Dry-A_49500.flac",
            60.0 * record,
        )
        for day, count in enumerate(days)
        for record in range(count)
    ]
    write_shard(tmp_path / "in" / "a-00000-of-00001", records)
    order: list[int] = []

    def note(runs: Any, unit: Any, **options: Any) -> Any:
        order.append(unit.rows // 4)
        return unit_slices(runs, unit, **options)

    monkeypatch.setattr(merge_pass, "unit_slices", note)
    use_units(monkeypatch, 1)
    a20_parquet.convert(tmp_path / "in", tmp_path / "out", workers=1, decoder="wire")
    assert order == [9, 5, 1, 1, 1, 2]

"""Windows and shards that differ are found, though all lists of the dataset agree."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from a20_parquet.verification.verify import verify
from tests.helpers.bad_shards import record
from tests.helpers.conversions import A2O_NAMES
from tests.helpers.manifests import edit_manifest
from tests.helpers.shards import frame, make_record, random_tensor, write_content, write_shard
from tests.helpers.spoiling import (
    change_value,
    messages,
    only_by_shards,
    replace_files,
    rewrite,
    set_column,
)

BAD = "bad-00000-of-00001"
Change = Callable[[pa.Table], pa.Table]


def metadata(column: str, value: str | None) -> Change:
    """Change one value of a column on which no folder and no order depends."""

    def change(table: pa.Table) -> pa.Table:
        values = table[column].to_pylist()
        other = "Wet-B" if isinstance(values[3], str) else values[3] + 1
        values[3] = None if value is None else other
        return set_column(table, column, pa.array(values, table.schema.field(column).type))

    return change


def swap_embeddings(table: pa.Table) -> pa.Table:
    """Give each of two windows the embedding of the other."""
    order = pa.array([1, 0, *range(2, len(table))])
    return set_column(table, "embedding", table["embedding"].combine_chunks().take(order))


CHANGES: dict[str, tuple[Change, int, str]] = {
    "one bit of a float": (change_value, 1, "differs from the one in FILE"),
    **{
        f"{column} {value}": (metadata(column, value), 1, "differs from the one in FILE")
        for column in ("file_seq_id", "file_seconds_since_midnight", "subsite_name")
        for value in (None, "other")
    },
    "a row less": (
        lambda table: pa.concat_tables([table.slice(0, 4), table.slice(5)]),
        1,
        "is not in the dataset",
    ),
    "a row twice": (
        lambda table: pa.concat_tables([table.slice(0, 5), table.slice(4)]),
        1,
        "is 1 times in the shards, 2 times in the dataset",
    ),
    "two embeddings swapped": (swap_embeddings, 2, "differs from the one in FILE"),
}


@pytest.mark.parametrize(("change", "count", "message"), CHANGES.values(), ids=CHANGES)
def test_changed_windows(
    dataset: Path, shards: Path, change: Change, count: int, message: str
) -> None:
    """Each window that differs from its shard is named, with its record."""
    path = rewrite(dataset, change)
    lines = only_by_shards(dataset, shards)
    assert len(lines) == count
    ending = f" {message.replace('FILE', path.relative_to(dataset).as_posix())}"
    assert all("record " in line and line.endswith(ending) for line in lines), lines


def test_a_lost_file(dataset: Path, shards: Path) -> None:
    """A data file that no list names any more."""
    files = pl.read_parquet(dataset / "files.parquet").sort("rows")
    gone = files.row(0, named=True)
    (dataset / gone["path"]).unlink()
    replace_files(dataset, files[1:].sort("path"))

    def recount(manifest: dict[str, Any]) -> None:
        manifest["totals"] |= {
            "files": len(files) - 1,
            "sites": files[1:]["site"].n_unique(),
            "dates": files[1:]["date"].n_unique(),
        }

    edit_manifest(dataset, recount)
    lines = only_by_shards(dataset, shards)
    assert len(lines) == gone["rows"]
    assert all(line.endswith(" is not in the dataset") for line in lines)


@pytest.mark.parametrize("name", ["good-00000-of-00001", BAD, "damaged-00000-of-00001"])
@pytest.mark.parametrize("place", [0.001, 0.3, 0.5, 0.999])
def test_a_bit_of_a_shard(
    whole: Path, shards: Path, tmp_path: Path, name: str, place: float
) -> None:
    """A shard that differs in one bit, wherever it is, is told first."""
    copies = Path(shutil.copytree(shards, tmp_path / "in"))
    content = bytearray((copies / name).read_bytes())
    content[int(place * len(content))] ^= 1
    (copies / name).write_bytes(content)
    first, *_ = messages(verify(whole, copies))
    assert first.startswith(f"{name}: has changed since it was converted: its checksum is ")


def test_a_changed_float_with_a_right_checksum(whole: Path, shards: Path, tmp_path: Path) -> None:
    """A shard that was written anew with another float is no damage, and told by its window."""
    copies = Path(shutil.copytree(shards, tmp_path / "in"))
    records = [record(n, A2O_NAMES[n % 3]) for n in range(200, 230)]
    tensor = random_tensor((3, 2, 8), 204)
    tensor[1, 0, 3] = -tensor[1, 0, 3]
    records[4] = make_record(tensor, A2O_NAMES[204 % 3], 60.0 * 204)
    write_content(copies / "good-00000-of-00001", b"".join(map(frame, records)))
    first, second = messages(verify(whole, copies))
    assert "has changed since it was converted" in first
    assert second.startswith("good-00000-of-00001: record 4: ")
    assert f"@{60 * 204 + 5} channel 0 differs" in second


def test_missing_and_new_shards(whole: Path, shards: Path, tmp_path: Path) -> None:
    """A shard that is not among the sources, and one that was never converted."""
    copies = Path(shutil.copytree(shards, tmp_path / "in"))
    (copies / BAD).rename(tmp_path / BAD)
    write_shard(copies / "new-00000-of-00001", [record(300)])
    lines = messages(verify(whole, copies))
    assert f"{BAD}: was converted, but is not among the sources" in lines
    assert any(line.startswith("new-00000-of-00001: the dataset was not made") for line in lines)
    assert not any("is not in the shards" in line for line in lines)
    assert sum("is not in the dataset" in line for line in lines) == 6

"""What is wrong with a dataset is found, though all of its lists agree with it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crc32c
import polars as pl
import pyarrow as pa
import pytest

import a20_parquet
from a20_parquet.verification.verify import verify
from tests.helpers.bad_shards import record, rejected_records, write_damaged
from tests.helpers.conversions import A2O_NAMES
from tests.helpers.manifests import edit_manifest
from tests.helpers.shards import frame, make_record, random_tensor, write_content, write_shard
from tests.helpers.spoiling import change_value, messages, replace_files, rewrite

BAD = "bad-00000-of-00001"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good records, records for quarantine, and damage of each kind."""
    folder = tmp_path_factory.mktemp("in")
    write_shard(
        folder / "good-00000-of-00001", [record(n, A2O_NAMES[n % 3]) for n in range(200, 230)]
    )
    write_shard(folder / BAD, rejected_records())
    write_damaged(folder)
    return folder


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their dataset, which must not be changed."""
    path = tmp_path_factory.mktemp("whole") / "dataset"
    a20_parquet.convert(shards, path, dims=8)
    assert messages(verify(path, shards)) == []
    return path


@pytest.fixture
def dataset(whole: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "dataset"))


def quarantined(manifest: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says of one shard's quarantine."""
    found: dict[str, Any] = next(each for each in manifest["quarantine"] if each["label"] == BAD)
    return found


def summary(manifest: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says of the same shard."""
    found: dict[str, Any] = next(each for each in manifest["shards"] if each["label"] == BAD)
    return found


def change_quarantine(dataset: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file in quarantine, and what the manifest says of it."""
    path = dataset / "quarantine" / name
    content = change(path.read_bytes())
    path.write_bytes(content)

    def accept(manifest: dict[str, Any]) -> None:
        for shard in manifest["quarantine"]:
            for file in shard["files"]:
                if file["name"] == name:
                    file |= {"bytes": len(content), "checksum": f"{crc32c.crc32c(content):08x}"}

    edit_manifest(dataset, accept)


def only_the_shards_tell(dataset: Path, shards: Path) -> list[str]:
    """What is wrong by the shards; without them at most that the manifest's sums differ."""
    sums = messages(verify(dataset))
    assert all(line.startswith("manifest.json: its shards have ") for line in sums)
    return [line for line in messages(verify(dataset, shards)) if line not in sums]


def test_a_changed_float(dataset: Path, shards: Path) -> None:
    """One bit of one float."""
    path = rewrite(dataset, change_value)
    (line,) = only_the_shards_tell(dataset, shards)
    assert line.endswith(f"differs from the one in {path.relative_to(dataset).as_posix()}")


@pytest.mark.parametrize("column", ["file_seq_id", "file_seconds_since_midnight", "subsite_name"])
@pytest.mark.parametrize("value", [None, "other"])
def test_changed_metadata(dataset: Path, shards: Path, column: str, value: str | None) -> None:
    """One value of one column that no folder and no order depends on."""

    def change(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index(column)
        values = table[column].to_pylist()
        other = "Wet-B" if isinstance(values[3], str) else values[3] + 1
        values[3] = None if value is None else other
        field = table.schema.field(column)
        return table.set_column(index, field, pa.array(values, field.type))

    path = rewrite(dataset, change)
    (line,) = only_the_shards_tell(dataset, shards)
    assert line.endswith(f"differs from the one in {path.relative_to(dataset).as_posix()}")


def test_a_removed_window(dataset: Path, shards: Path) -> None:
    """A row less."""
    rewrite(dataset, lambda table: pa.concat_tables([table.slice(0, 4), table.slice(5)]))
    (line,) = only_the_shards_tell(dataset, shards)
    assert "record " in line
    assert line.endswith(" is not in the dataset")


def test_a_doubled_window(dataset: Path, shards: Path) -> None:
    """A row more, in its place of the order."""
    rewrite(dataset, lambda table: pa.concat_tables([table.slice(0, 5), table.slice(4)]))
    (line,) = only_the_shards_tell(dataset, shards)
    assert line.endswith(" is 1 times in the shards, 2 times in the dataset")


def test_two_windows_that_changed_places(dataset: Path, shards: Path) -> None:
    """Embeddings that belong to each other's window."""

    def swap(table: pa.Table) -> pa.Table:
        order = [1, 0, *range(2, len(table))]
        index = table.schema.get_field_index("embedding")
        column = table["embedding"].combine_chunks().take(pa.array(order))
        return table.set_column(index, table.schema.field(index), column)

    rewrite(dataset, swap)
    lines = only_the_shards_tell(dataset, shards)
    assert len(lines) == 2
    assert all("differs from the one in " in line for line in lines)


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
    lines = only_the_shards_tell(dataset, shards)
    assert len(lines) == gone["rows"]
    assert all(line.endswith(" is not in the dataset") for line in lines)


def drop_entry(dataset: Path) -> None:
    """Forget one quarantined record, its bytes, its line and its count."""
    size = len(frame(b"no example"))
    change_quarantine(dataset, f"{BAD}.tfrecord", lambda content: content[size:])
    change_quarantine(
        dataset, f"{BAD}.jsonl", lambda text: b"".join(text.splitlines(keepends=True)[1:])
    )

    def recount(manifest: dict[str, Any]) -> None:
        del quarantined(manifest)["reasons"]["not_an_example"]
        manifest["totals"]["quarantined"] -= 1
        summary(manifest)["quarantined"] -= 1

    edit_manifest(dataset, recount)


def drop_shard(dataset: Path) -> None:
    """Forget all that lies in quarantine of a shard."""
    for path in (dataset / "quarantine").glob(f"{BAD}.*"):
        path.unlink()

    def recount(manifest: dict[str, Any]) -> None:
        manifest["totals"]["quarantined"] -= sum(quarantined(manifest)["reasons"].values())
        manifest["quarantine"].remove(quarantined(manifest))
        summary(manifest)["quarantined"] = 0

    edit_manifest(dataset, recount)


def change_byte(name: str) -> Callable[[Path], None]:
    """Change one bit of a file in quarantine."""

    def change(content: bytes) -> bytes:
        spoilt = bytearray(content)
        spoilt[len(spoilt) // 2] ^= 1
        return bytes(spoilt)

    return lambda dataset: change_quarantine(dataset, name, change)


def change_reason(dataset: Path) -> None:
    """Count a record under another reason."""

    def recount(manifest: dict[str, Any]) -> None:
        reasons = quarantined(manifest)["reasons"]
        reasons["bad_tensor"] += reasons.pop("bad_filename")

    edit_manifest(dataset, recount)


@pytest.mark.parametrize(
    ("spoil", "label"),
    [
        (drop_entry, BAD),
        (drop_shard, BAD),
        (change_byte(f"{BAD}.tfrecord"), BAD),
        (change_byte(f"{BAD}.jsonl"), BAD),
        (change_byte("damaged-00000-of-00001.damaged"), "damaged-00000-of-00001"),
        (change_byte("stream-00000-of-00001.damaged"), "stream-00000-of-00001"),
    ],
)
def test_quarantine(dataset: Path, shards: Path, spoil: Callable[[Path], None], label: str) -> None:
    """What of a shard belongs in quarantine and is not there, or is changed there."""
    spoil(dataset)
    (line,) = only_the_shards_tell(dataset, shards)
    assert line.startswith(f"{label}: ")
    assert "belongs in quarantine" in line


def test_reasons_that_the_list_does_not_tell(dataset: Path, shards: Path) -> None:
    """What the manifest counts is held against the list, and against the shard."""
    change_reason(dataset)
    (line,) = messages(verify(dataset))
    found, expected = line.removeprefix(f"quarantine/{BAD}.jsonl: lists ").split("expected ")
    assert "1 bad_filename, 1 bad_tensor" in found
    assert "2 bad_tensor" in expected
    assert any(each.startswith(f"{BAD}: ") for each in messages(verify(dataset, shards)))


FIGURES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda m: summary(m).update(windows=0), "its shards have "),
    (
        lambda m: summary(m).update(quarantined=0),
        f"says that 0 records and 0 damaged ranges of {BAD}",
    ),
    (lambda m: summary(m).update(damaged=1), f"and 1 damaged ranges of {BAD} are in quarantine"),
    (
        lambda m: summary(m).update(left_out=7),
        "left out 0 windows, but its shards 7",
    ),
    (lambda m: m["conversions"][0].update(left_out=9), "its conversions left out 9 windows"),
    (lambda m: m["shards"][0].update(label=m["shards"][1]["label"]), "names the shard "),
]


@pytest.mark.parametrize(("change", "message"), FIGURES)
def test_figures_that_contradict_others(
    dataset: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    """Each figure of the manifest that another one tells is held against it, without the shards."""
    edit_manifest(dataset, change)
    lines = messages(verify(dataset))
    assert any(line.startswith("manifest.json: ") and message in line for line in lines), lines


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"x")])
@pytest.mark.parametrize("suffix", ["tfrecord", "jsonl"])
def test_quarantine_files(dataset: Path, spoil: Callable[[Path], object], suffix: str) -> None:
    """A file in quarantine that is gone or not as the manifest says, told without the shards."""
    spoil(dataset / "quarantine" / f"{BAD}.{suffix}")
    (line,) = messages(verify(dataset))
    assert line.startswith(f"quarantine/{BAD}.{suffix}: ")


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


def test_a_quarantine_that_leads_nowhere(dataset: Path) -> None:
    """A folder that is a link to itself is told of, and ends nothing."""
    shutil.rmtree(dataset / "quarantine")
    (dataset / "quarantine").symlink_to("quarantine")
    lines = messages(verify(dataset, workers=1))
    assert any(line.startswith("quarantine: cannot be listed: ") for line in lines), lines


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

"""What stops a conversion, what goes to quarantine instead, and what the user is told."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import a20_parquet
from a20_parquet.conversion import job
from a20_parquet.dataset.quarantine import read_entries
from a20_parquet.errors import DatasetError, RecordError, SourceError, UsageError
from tests.helpers.command_line import run
from tests.helpers.conversions import TINY, digests
from tests.helpers.shards import FILENAME, make_record, random_tensor, write_shard


def good(number: int, dims: int = 8) -> bytes:
    """A record of two windows."""
    return make_record(random_tensor((2, 1, dims), number), FILENAME, 60.0 * number)


@pytest.fixture
def partly_bad(tmp_path: Path) -> Path:
    """Two shards with six good records, three that cannot be converted and a damaged one."""
    folder = tmp_path / "in"
    bad = [
        good(7, dims=9),
        make_record(random_tensor((1, 1, 8)), "neg/bar.wav"),
        b"\xff no example",
    ]
    records = [good(0), bad[0], good(1), bad[1]]
    write_shard(folder / "a-00000-of-00002", records)
    path = write_shard(folder / "a-00001-of-00002", [good(2), bad[2], *map(good, (3, 4, 5, 6))])
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    return folder


def test_what_can_not_be_converted_goes_to_quarantine(partly_bad: Path, tmp_path: Path) -> None:
    """The rest is converted, and each is listed with shard, number, place and reason."""
    conversion = a20_parquet.convert(partly_bad, tmp_path / "out", dims=8)
    assert (conversion.totals.windows, conversion.new_windows) == (12, 12)
    assert (conversion.totals.quarantined, conversion.totals.damaged) == (3, 1)
    assert conversion.totals.records == 9
    assert conversion.quarantine == {
        "bad_filename": 1,
        "bad_payload": 1,
        "not_an_example": 1,
        "wrong_dims": 1,
    }
    found = [
        (entry.shard, entry.record, entry.reason.value)
        for label in ("a-00000-of-00002", "a-00001-of-00002")
        for entry in read_entries(tmp_path / "out" / "quarantine", label)
    ]
    assert found == [
        ("a-00000-of-00002", 1, "wrong_dims"),
        ("a-00000-of-00002", 3, "bad_filename"),
        ("a-00001-of-00002", 1, "not_an_example"),
        ("a-00001-of-00002", 5, "bad_payload"),
    ]
    assert sorted(path.name for path in (tmp_path / "out" / "quarantine").iterdir()) == [
        "a-00000-of-00002.jsonl",
        "a-00000-of-00002.tfrecord",
        "a-00001-of-00002.damaged",
        "a-00001-of-00002.jsonl",
        "a-00001-of-00002.tfrecord",
    ]


def test_fail_stops_at_the_first(partly_bad: Path, tmp_path: Path) -> None:
    """``--on-error fail`` names shard, record and byte; nothing looks complete."""
    shard = partly_bad / "a-00000-of-00002"
    with pytest.raises(RecordError, match="9 dimensions, expected 8") as caught:
        a20_parquet.convert(shard, tmp_path / "out", on_error="fail", dims=8)
    offset = len(good(0)) + 16
    assert (caught.value.record, caught.value.offset) == (1, offset)
    assert f"{shard}: record 1 at byte {offset}: " in str(caught.value)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_fail_passes_what_is_good(shuffled: Path, tmp_path: Path) -> None:
    """Without anything bad, ``--on-error fail`` changes nothing."""
    a20_parquet.convert(shuffled, tmp_path / "fail", on_error="fail")
    a20_parquet.convert(shuffled, tmp_path / "plain")
    assert digests(tmp_path / "fail") == digests(tmp_path / "plain")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("memory", ["1GiB", "10MB"])
def test_max_errors(partly_bad: Path, tmp_path: Path, workers: int, memory: str) -> None:
    """One more than allowed gives up; a larger number goes on, and all that counts is the total."""
    out = tmp_path / "out"
    options: dict[str, Any] = {
        "workers": workers,
        "memory": memory,
        "row_group_rows": 50,
        "dims": 8,
    }
    for most in (0, 3):
        told = "than max_errors 3" if most else "record"
        with pytest.raises(RecordError, match=told):
            a20_parquet.convert(partly_bad, out, max_errors=most, **options)
    conversion = a20_parquet.convert(partly_bad, out, max_errors=4, **options)
    assert conversion.is_resumed
    a20_parquet.convert(partly_bad, tmp_path / "fresh", row_group_rows=50, dims=8)
    assert digests(out) == digests(tmp_path / "fresh")


def dims_of(dataset: Path) -> int:
    """Floats of an embedding, as polars reads them."""
    return int(pl.read_parquet(dataset / "data")["embedding"].to_numpy().shape[1])


def test_dims_are_told_where_records_differ(tmp_path: Path) -> None:
    """Neither the first record nor the most of them decide; ``--dims`` does."""
    records = [make_record(random_tensor((1, 1, 9)), "x.wav"), good(0), good(1, 9), good(2)]
    shard = write_shard(tmp_path / "a.tfrecord", records)
    conversion = a20_parquet.convert(shard, tmp_path / "first", dims=8)
    assert dims_of(tmp_path / "first") == 8
    assert conversion.quarantine == {"wrong_dims": 2}
    told = a20_parquet.convert(shard, tmp_path / "told", dims=9)
    assert dims_of(tmp_path / "told") == 9
    assert (told.new_windows, told.quarantine) == (2, {"wrong_dims": 2, "bad_filename": 1})


def test_nothing_that_can_be_converted(real_data: Path, tmp_path: Path) -> None:
    """Where no record at all can be, that is an error with the first reason and its fix."""
    with pytest.raises(SourceError, match=r"neg/bar_neg\.wav.*unknown_site"):
        a20_parquet.convert(real_data / "hoplite", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_exit_codes(
    partly_bad: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """0 done, 1 failed, 2 wrong usage, 3 done with something in quarantine; also when repeated."""
    whole = write_shard(tmp_path / "whole-00000-of-00001", [good(0)])
    commands = [
        (0, (whole, tmp_path / "0")),
        (0, (whole, tmp_path / "0")),
        (1, (tmp_path / "nowhere", tmp_path / "1")),
        (1, (partly_bad, tmp_path / "1", "--on-error", "fail", "--dims", "8")),
        (1, (partly_bad, tmp_path / "1", "--max-errors", "3", "--dims", "8")),
        (2, (whole, tmp_path / "0", "--dims", "9")),
        (2, (whole, tmp_path / "2", "--channels", "x")),
        (2, (whole, tmp_path / "2", "--from", "2021-01-02", "--until", "2021-01-01")),
        (2, (whole, tmp_path / "in")),
        (2, (partly_bad, tmp_path / "3")),
        (3, (partly_bad, tmp_path / "3", "--dims", "8")),
        (3, (partly_bad, tmp_path / "3")),
        (3, (partly_bad, tmp_path / "1", "--max-errors", "4", "--dims", "8")),
    ]
    for expected, arguments in commands:
        code, out, err = run(monkeypatch, capsys, "convert", *arguments)
        assert code == expected, (arguments, err)
        assert bool(out) == (code in (0, 3)), arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "3XB"}, "memory"),
        ({"memory": "1MB"}, "at least"),
        ({"workers": 0}, "workers"),
        ({"partition_by": "date"}, "partition_by"),
        ({"window_seconds": 0}, "window_seconds"),
        ({"window_seconds": float("nan")}, "window_seconds"),
        ({"no_such": 1}, "no_such"),
        ({"dims": 0}, "dims"),
        ({"channels": "0,x"}, "channels"),
        ({"channels": (-1,)}, "channels"),
        ({"max_errors": -1}, "max_errors"),
        ({"on_error": "ignore"}, "on_error"),
        ({"filename_pattern": "("}, "pattern"),
        ({"unknown_site": "---"}, "unknown"),
        ({"sites": "nowhere.csv"}, "sites table"),
    ],
)
def test_bad_options_are_named(
    shuffled: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    """An option that makes no sense is a usage error with its name, before anything is written."""
    with pytest.raises(UsageError, match=message):
        a20_parquet.convert(shuffled, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_full_disk_is_said_before_the_start(
    shuffled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little free space stops the command before anything is written."""

    class Full:
        free = 10

    monkeypatch.setattr("shutil.disk_usage", lambda _: Full)
    with pytest.raises(DatasetError, match="10 are free"):
        a20_parquet.convert(shuffled, tmp_path / "out")
    monkeypatch.undo()
    assert not (tmp_path / "out").exists()
    assert a20_parquet.convert(shuffled, tmp_path / "out").totals.shards == 4


def test_located_embeddings_need_no_room_for_runs(
    shuffled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies that exceed the memory need more space than locations, and those more than none."""

    class Full:
        free = 0

    monkeypatch.setattr("shutil.disk_usage", lambda _: Full)

    def needed(embeddings: str, **memory: Any) -> int:
        plan = replace(TINY, located_rows=100, **memory)
        monkeypatch.setattr(job, "plan_memory", lambda **_: plan)
        with pytest.raises(DatasetError) as caught:
            a20_parquet.convert(shuffled, tmp_path / "out", embeddings=embeddings)
        is_advised = "Or give embeddings located" in str(caught.value)
        assert is_advised == (embeddings == "copied" and not plan.holds_all)
        found = re.search(r"about ([\d,]+) bytes are needed", str(caught.value))
        assert found is not None
        return int(found[1].replace(",", ""))

    none = needed("located", locates=True, holds_all=True)
    assert needed("copied", holds_all=True) == none
    locations = needed("located", locates=True)
    assert none < locations
    assert needed("copied") == 2 * none

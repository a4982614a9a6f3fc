"""Quarantine: what is kept of a shard, byte for byte, and what is told of it."""

import json
from pathlib import Path

import crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.dataset.manifest import QuarantinedShard
from a20_parquet.dataset.manifest_content import merge_quarantine
from a20_parquet.dataset.quarantine import (
    Entry,
    QuarantineWriter,
    read_entries,
)
from a20_parquet.decoding.tensorflow import load_tensorflow
from a20_parquet.errors import DatasetError
from a20_parquet.tfrecord.frames import FrameReader
from a20_parquet.tfrecord.shard import Shard
from a20_parquet.windows.rejection import Reason, Rejection
from tests.helpers.shards import frame, open_shard


def rejection(number: int, reason: Reason = Reason.BAD_FILENAME) -> Rejection:
    """A rejection with a message of its own."""
    return Rejection(number, reason, f"what is wrong with {number} \N{KOALA}")


def checksum_of(shard: Shard) -> str:
    """The content checksum that reading a shard gives."""
    from a20_parquet.tfrecord.compression import open_content

    with open_content(shard) as content:
        reader = FrameReader(shard, content, 1 << 20)
        for _ in reader.read():
            pass
        return reader.checksum


def test_nothing_to_keep(tmp_path: Path) -> None:
    """No file is made, and nothing is told."""
    with QuarantineWriter(tmp_path / "q", "a") as writer:
        assert writer.finish() is None
    assert not (tmp_path / "q").exists()


def test_records_are_a_shard(tmp_path: Path) -> None:
    """TensorFlow reads them back as they were, and they have the checksum of a shard."""
    payloads = [b"", b"one", bytes(range(256)) * 9]
    with QuarantineWriter(tmp_path, "a") as writer:
        for number, payload in enumerate(payloads):
            writer.keep_record(rejection(3 * number), 100 * number, frame(payload))
        found = writer.finish()
    path = tmp_path / "a.tfrecord"
    assert path.read_bytes() == b"".join(map(frame, payloads))
    read = load_tensorflow().data.TFRecordDataset([str(path)])
    assert [item.numpy() for item in read] == payloads
    assert found is not None
    assert found.checksum == checksum_of(open_shard(path))
    assert sorted(file.name for file in found.files) == ["a.jsonl", "a.tfrecord"]


def test_the_list(tmp_path: Path) -> None:
    """One line of JSON each, with all that the design promises, in the order of the shard."""
    with QuarantineWriter(tmp_path, "a__b") as writer:
        writer.keep_record(rejection(1), 50, frame(b"x"))
        writer.keep_damage(rejection(2, Reason.BAD_PAYLOAD), 67, b"abc")
        writer.keep_record(rejection(5, Reason.WRONG_DIMS), 300, frame(b"yy"))
        writer.finish()
    lines = [json.loads(line) for line in (tmp_path / "a__b.jsonl").read_text("utf-8").splitlines()]
    assert lines == [
        {
            "shard": "a__b",
            "record": number,
            "offset": offset,
            "length": length,
            "reason": reason,
            "message": f"what is wrong with {number} \N{KOALA}{skipped}",
        }
        for number, offset, length, reason, skipped in (
            (1, 50, 17, "bad_filename", ""),
            (2, 67, 3, "bad_payload", "; 3 bytes skipped"),
            (5, 300, 18, "wrong_dims", ""),
        )
    ]
    assert [entry.model_dump(mode="json") for entry in read_entries(tmp_path, "a__b")] == lines


KEPT = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=4),
    ),
    max_size=8,
)


@given(KEPT)
def test_every_byte_is_kept(
    tmp_path_factory: pytest.TempPathFactory, kept: list[bytes | list[bytes]]
) -> None:
    """Any records and damaged ranges in pieces: files, list, counts and sums fit each other."""
    folder = tmp_path_factory.mktemp("quarantine")
    offset = 0
    records, damaged = b"", b""
    with QuarantineWriter(folder, "a") as writer:
        for number, item in enumerate(kept):
            if isinstance(item, bytes):
                whole = frame(item)
                writer.keep_record(rejection(number), offset, whole)
                records += whole
            else:
                place = offset
                for piece in item:
                    writer.keep_damage(rejection(number, Reason.TRUNCATED), place, piece)
                    place += len(piece)
                whole = b"".join(item)
                damaged += whole
            offset += len(whole)
        found = writer.finish()
    ranges = sum(isinstance(item, list) for item in kept)
    assert (writer.records, writer.damaged) == (len(kept) - ranges, ranges)
    if found is None:
        assert not kept
        return
    contents = {
        name: content
        for name, content in (("a.tfrecord", records), ("a.damaged", damaged))
        if content
    }
    entries = list(read_entries(folder, "a"))
    assert [entry.record for entry in entries] == list(range(len(kept)))
    assert sum(entry.length for entry in entries) == offset
    assert [entry.offset for entry in entries] == [
        sum(entry.length for entry in entries[:number]) for number in range(len(kept))
    ]
    assert {path.name for path in folder.iterdir()} == {*contents, "a.jsonl"}
    for name, content in contents.items():
        assert (folder / name).read_bytes() == content
    assert {file.name for file in found.files} == {*contents, "a.jsonl"}
    for file in found.files:
        content = (folder / file.name).read_bytes()
        assert (file.bytes, file.checksum) == (len(content), f"{crc32c.crc32c(content):08x}")
    counts = {Reason.TRUNCATED: ranges, Reason.BAD_FILENAME: len(kept) - ranges}
    assert found.reasons == {reason: count for reason, count in counts.items() if count}
    assert (found.checksum is None) == (not records)


def test_damage_stays_where_records_are_tried_again(tmp_path: Path) -> None:
    """Its entries are listed again between the records' own, and its file is named as it was."""
    with QuarantineWriter(tmp_path / "before", "a") as writer:
        writer.keep_record(rejection(0), 0, frame(b"x"))
        writer.keep_damage(rejection(1, Reason.BAD_PAYLOAD), 17, b"abc")
        writer.keep_record(rejection(2), 20, frame(b"y"))
        before = writer.finish()
    assert before is not None
    damage = [each for each in read_entries(tmp_path / "before", "a") if each.reason.is_damage]
    files = [file for file in before.files if file.name == "a.damaged"]
    for left in ([0, 2], [2], []):
        folder = tmp_path / f"after-{left}"
        with QuarantineWriter(folder, "a", damage, files) as writer:
            for number in left:
                writer.keep_record(rejection(number), 10 * number, frame(b"xy"))
            after = writer.finish()
        assert after is not None
        assert [entry.record for entry in read_entries(folder, "a")] == sorted([1, *left])
        names = ["a.damaged", "a.jsonl", *(["a.tfrecord"] if left else [])]
        assert sorted(file.name for file in after.files) == names
        assert files[0] in after.files
        assert not (folder / "a.damaged").exists()
        assert after.reasons[Reason.BAD_PAYLOAD] == 1


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"shard": "a"}', b"\xff", b"", b'{"shard": "a", "reason": "moon"}']
)
def test_a_list_that_was_changed(tmp_path: Path, line: bytes) -> None:
    """It is an error with the file, the line and what to do."""
    good = Entry(shard="a", record=0, offset=0, length=1, reason=Reason.BAD_LENGTH, message="m")
    content = good.model_dump_json().encode() + b"\n" + line + b"\n"
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.jsonl, line 2: found .*expected"):
        list(read_entries(tmp_path, "a"))


def test_a_list_that_is_gone(tmp_path: Path) -> None:
    """It is an error that names it."""
    with pytest.raises(DatasetError, match=r"a\.jsonl: cannot be read"):
        list(read_entries(tmp_path, "a"))


def test_what_is_in_quarantine_after_a_conversion() -> None:
    """What is new replaces what was existing of the same shard; what was emptied is gone."""

    def shard(label: str, count: int) -> QuarantinedShard:
        reasons = {Reason.BAD_FILENAME: count}
        return QuarantinedShard(label=label, reasons=reasons, files=(), checksum=None)

    existing = [shard("b", 1), shard("c", 1), shard("d", 1)]
    found = merge_quarantine(existing, [shard("a", 2), shard("c", 3)], ["d"])
    assert found == [shard("a", 2), shard("b", 1), shard("c", 3)]

"""Records that are too large to be loaded: what is not wanted of them takes no memory."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import a20_parquet
from a20_parquet.decoding.decoder import DecoderName, make_decoder
from a20_parquet.decoding.large import LARGE_BYTES, reduce
from a20_parquet.decoding.tensorflow import load_tensorflow
from a20_parquet.errors import DatasetError
from a20_parquet.tfrecord.records import Records
from tests.helpers.conversions import page_digests
from tests.helpers.shards import (
    FILENAME,
    frame,
    make_features,
    make_record,
    open_shard,
    random_tensor,
    serialize,
    write_content,
    write_shard,
)
from tests.helpers.wire import field, varint

pytestmark = pytest.mark.slow

TENSOR = random_tensor((2, 1, 8), 1)
GOOD = make_record(TENSOR, FILENAME, 0.0)
NOISE = np.random.default_rng(5).integers(0, 256, LARGE_BYTES + 100, np.uint8).tobytes()
DECODERS = pytest.mark.parametrize("decoder", list(DecoderName))


def with_audio(content: bytes, timestamp_s: float = 10.0) -> bytes:
    """A good record with a large feature more."""
    train = load_tensorflow().train
    audio = train.Feature(bytes_list=train.BytesList(value=[content]))
    return serialize(make_features(TENSOR, FILENAME, timestamp_s) | {"audio": audio})


JUNK = {
    "noise": NOISE,
    "zeros": bytes(LARGE_BYTES + 1),
    "the head of an Example": field(1, NOISE),
    "a length beyond the end": b"\x0a" + varint(len(NOISE) + 1) + NOISE,
    "a group": b"\x0b" + NOISE,
    "a feature that is a number": b"\x08\x01" * (LARGE_BYTES // 2 + 1),
    "endless fields": b"\x10\x01" * (LARGE_BYTES // 2 + 1),
    "a cut Example": with_audio(NOISE)[:-50],
}


@DECODERS
@pytest.mark.parametrize("kind", JUNK)
def test_large_junk_is_in_quarantine(tmp_path: Path, kind: str, decoder: DecoderName) -> None:
    """It is there byte for byte, as a shard, and the records around it are converted."""
    later = make_record(TENSOR, FILENAME, 10.0)
    shard = write_shard(tmp_path / "in" / "shard", [GOOD, JUNK[kind], later])
    conversion = a20_parquet.convert(shard, tmp_path / "out", memory="64MB", decoder=decoder)
    assert conversion.new_windows == 4
    assert conversion.quarantine == {"not_an_example": 1}
    kept = tmp_path / "out" / "quarantine" / "shard.tfrecord"
    assert kept.read_bytes() == frame(JUNK[kind])
    (entry,) = map(json.loads, kept.with_suffix(".jsonl").read_text().splitlines())
    assert (entry["record"], entry["length"]) == (1, len(JUNK[kind]) + 16)
    found = a20_parquet.verify(tmp_path / "out", source=shard, decoder=decoder)
    assert not found.problems


@DECODERS
@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_what_is_not_wanted_is_passed_over(
    tmp_path: Path, compression: str, decoder: DecoderName
) -> None:
    """A good record with a large feature gives the dataset of one with a small feature."""
    found = []
    for size in (10, LARGE_BYTES):
        content = b"".join(map(frame, (GOOD, with_audio(bytes(size)))))
        shard = write_content(tmp_path / str(size) / "shard", content, compression)
        dataset = tmp_path / f"out-{size}"
        conversion = a20_parquet.convert(shard, dataset, decoder=decoder)
        assert conversion.new_windows == 4
        found.append(page_digests(dataset / "data"))
    assert found[0] == found[1]


@DECODERS
def test_what_is_wanted_is_decoded(tmp_path: Path, decoder: DecoderName) -> None:
    """A large record's wanted features are those of protobuf, and all names are known."""
    payload = with_audio(NOISE)
    assert len(payload) > LARGE_BYTES
    shard = open_shard(write_shard(tmp_path / "shard", [payload]))
    decoded = make_decoder(decoder).decode(Records(shard, 0, [0], [memoryview(payload)]))
    np.testing.assert_array_equal(decoded.embeddings[0], TENSOR)
    assert decoded.other_features == {"audio"}
    found = load_tensorflow().train.Example.FromString(reduce(payload, ["audio"]))
    assert found == load_tensorflow().train.Example.FromString(payload)


@DECODERS
def test_a_large_name_is_none(tmp_path: Path, decoder: DecoderName) -> None:
    """A filename of megabytes is rejected without being loaded."""
    payload = serialize(make_features(TENSOR, b"a" * (LARGE_BYTES + 1)))
    shard = open_shard(write_shard(tmp_path / "shard", [payload]))
    decoded = make_decoder(decoder).decode(Records(shard, 0, [0], [memoryview(payload)]))
    assert [each.message for each in decoded.rejected] == [
        "feature 'filename' has 0 values, expected one"
    ]


def test_inspect_tells_what_it_has_not_read(tmp_path: Path) -> None:
    """A large feature is listed, and counted."""
    shard = write_shard(tmp_path / "in" / "shard", [GOOD, with_audio(NOISE), NOISE])
    (found,) = a20_parquet.inspect(shard)
    assert (found.records, found.windows) == (2, 4)
    audio = {each.name: each for each in found.features}["audio"]
    assert (audio.kind, audio.dtype, audio.records) == ("bytes_list", "not read", 1)


class Usage(NamedTuple):
    """What ``shutil.disk_usage`` gives."""

    total: int
    used: int
    free: int


def test_quarantine_leaves_room_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion ends before quarantine fills the disk, and can go on."""
    usage: Any = shutil.disk_usage
    bomb = write_content(tmp_path / "in" / "shard", frame(GOOD) + frame(bytes(80 << 20)), "GZIP")
    assert bomb.stat().st_size < 1 << 20
    calls = []

    def nearly_full(path: Any) -> Any:
        if Path(path).name != "quarantine":
            return usage(path)
        calls.append(path)
        return Usage(1 << 40, 0, (1 << 30) if len(calls) == 1 else 50 << 20)

    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    with pytest.raises(
        DatasetError, match=r"shard\.tfrecord: what cannot be converted takes 71,303,180 bytes"
    ):
        a20_parquet.convert(bomb, tmp_path / "out", decoder="wire")
    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert a20_parquet.convert(bomb, tmp_path / "out", decoder="wire").totals.quarantined == 1

"""What inspect reports about shards, real and made."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from a20_parquet import inspect
from a20_parquet.cli.main import cli
from a20_parquet.decoding.inspect_shards import Feature, Inspection
from a20_parquet.errors import RecordError, SourceError
from a20_parquet.tfrecord.shard import Codec
from tests.helpers.shards import (
    FILENAME,
    frame,
    make_features,
    make_record,
    random_tensor,
    serialize,
    tensor_proto,
    write_content,
    write_shard,
)

TENSOR = random_tensor((12, 1, 8))


def inspect_one(path: Path) -> Inspection:
    (inspection,) = inspect(path)
    return inspection


def features_of(inspection: Inspection) -> dict[str, Feature]:
    return {feature.name: feature for feature in inspection.features}


@pytest.mark.parametrize(
    ("shard", "records", "windows", "dtype", "shapes"),
    [
        (
            "perch-real/embeddings-00000-of-00003",
            30,
            359,
            "float32",
            {(12, 1, 1280): 29, (11, 1, 1280): 1},
        ),
        ("perch-real/embeddings-00001-of-00003", 4, 43, "float16", None),
        ("perch-real/embeddings-00002-of-00003", 6, 60, "float32", None),
        ("hoplite/embeddings-1730850444-00000-of-00001", 6, 72, "float32", {(12, 1, 128): 6}),
    ],
)
def test_real_shards(  # noqa: PLR0913, PLR0917 -- one argument a fact
    real_data: Path,
    shard: str,
    records: int,
    windows: int,
    dtype: str,
    shapes: dict[tuple[int, ...], int] | None,
) -> None:
    """Counts, dtypes and shapes of real shards are those that are known of them."""
    path = real_data / shard
    found = inspect_one(path)
    assert (found.records, found.windows, found.damage) == (records, windows, None)
    assert (found.url, found.bytes) == (str(path), path.stat().st_size)
    assert found.compression is Codec.NONE
    features = features_of(found)
    assert set(features) == {"embedding", "embedding_shape", "filename", "timestamp_s"}
    assert (features["embedding"].dtype, features["embedding"].records) == (dtype, records)
    if shapes:
        assert set(features["embedding"].shapes) == set(shapes)
    assert features["embedding_shape"].shapes == ((3,),)
    assert features["timestamp_s"].kind == "float_list"


def test_real_first_record(real_data: Path) -> None:
    """The first record's values are those that TensorFlow reads."""
    path = real_data / "perch-real" / "embeddings-00001-of-00003"
    payload = next(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    example = tf.train.Example.FromString(payload).features.feature
    tensor = tf.io.parse_tensor(example["embedding"].bytes_list.value[0], tf.float16).numpy()
    first = inspect_one(path).first
    assert first is not None
    assert first.filename == example["filename"].bytes_list.value[0].decode()
    assert first.timestamp_s == example["timestamp_s"].float_list.value[0]
    assert first.values == tuple(tensor.reshape(-1)[:5].astype(float).tolist())


def test_folder(real_data: Path) -> None:
    """A folder gives its shards in shard order; nameless recordings have no columns."""
    found = inspect(real_data / "perch-real")
    assert [inspection.records for inspection in found] == [30, 4, 6]
    assert found[2].first is not None
    assert found[2].first.filename == "tests/files/audio/100sec.wav"


def test_first_record(tmp_path: Path) -> None:
    """The first record is reported with the columns of its filename."""
    payloads = [make_record(TENSOR, timestamp_s=60), make_record(TENSOR, "other.wav")]
    first = inspect_one(write_shard(tmp_path / "x.tfrecord", payloads)).first
    assert first is not None
    assert (first.filename, first.timestamp_s) == (FILENAME, 60.0)
    assert first.values == tuple(TENSOR.reshape(-1)[:5].astype(float).tolist())
    assert first.recording is not None
    assert first.recording["site_id"] == 285
    assert first.recording["file_timestamp"] == datetime(2020, 10, 13, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_compression(tmp_path: Path, compression: str) -> None:
    """A compressed shard is reported as such, with its stored size."""
    path = write_shard(tmp_path / "x.tfrecord", [make_record(TENSOR)] * 3, compression)
    found = inspect_one(path)
    assert (found.compression, found.bytes) == (Codec(compression), path.stat().st_size)
    assert (found.records, found.windows) == (3, 36)


def test_unknown_features(tmp_path: Path) -> None:
    """Features that the package does not convert are reported with kind, dtype and shape."""
    train = tf.train

    def tensor(values: Any) -> Any:
        serialized = tf.io.serialize_tensor(values).numpy()
        return train.Feature(bytes_list=train.BytesList(value=[serialized]))

    def shape(values: Any) -> Any:
        return train.Feature(int64_list=train.Int64List(value=values.shape))

    nuisances, logits = random_tensor((12, 1, 3)), random_tensor((12, 1, 7), dtype=np.float16)
    features = make_features(TENSOR) | {
        "nuisances": tensor(nuisances),
        "nuisances_shape": shape(nuisances),
        "label": tensor(logits),
        "label_shape": shape(logits),
        "counts": train.Feature(int64_list=train.Int64List(value=[1, 2])),
        "levels": train.Feature(float_list=train.FloatList(value=[0.5])),
        "tags": train.Feature(bytes_list=train.BytesList(value=[b"a", b"\xff", b""])),
        "nothing": train.Feature(),
    }
    path = write_shard(tmp_path / "x.tfrecord", [serialize(features), make_record(TENSOR)])
    found = features_of(inspect_one(path))
    assert found["nuisances"] == Feature("nuisances", "bytes_list", "float32", ((12, 1, 3),), 1)
    assert found["label"] == Feature("label", "bytes_list", "float16", ((12, 1, 7),), 1)
    assert found["label_shape"] == Feature("label_shape", "int64_list", "int64", ((3,),), 1)
    assert found["counts"] == Feature("counts", "int64_list", "int64", ((2,),), 1)
    assert found["levels"] == Feature("levels", "float_list", "float32", ((1,),), 1)
    assert found["tags"] == Feature("tags", "bytes_list", "bytes", ((3,),), 1)
    assert found["nothing"] == Feature("nothing", "empty", "none", ((0,),), 1)
    assert found["embedding"].records == 2


def test_one_name_of_two_dtypes(tmp_path: Path) -> None:
    """A feature that is float32 here and float16 there is reported as both."""
    payloads = [make_record(TENSOR), make_record(TENSOR.astype(np.float16))]
    found = inspect_one(write_shard(tmp_path / "x.tfrecord", payloads))
    dtypes = [feature.dtype for feature in found.features if feature.name == "embedding"]
    assert dtypes == ["float16", "float32"]
    assert found.windows == 24


@pytest.mark.parametrize(
    "proto",
    [
        lambda: b"\xff" * 20,
        lambda: b"",
        lambda: tensor_proto(7, (1, 1, 1), string_val=[b"text"]),
        lambda: tensor_proto(1, (2, 1, 4), tensor_content=b"123"),
        lambda: tensor_proto(1, (2, -1, 4), float_val=[1]),
        lambda: tensor_proto(1, (2**40, 2**10, 4), float_val=[1]),
        lambda: tensor_proto(99, (2, 1, 4), float_val=[1]),
        lambda: tensor_proto(101, (2, 1, 4), float_val=[1]),
        lambda: tensor_proto(11, (2, 1, 4), int_val=[1]),
        lambda: tensor_proto(21, (2, 1, 4)),
        lambda: tf.io.serialize_tensor(tf.zeros((1, 1, 2), tf.complex64)).numpy(),
        lambda: tf.io.serialize_tensor(tf.zeros((1, 1, 2), tf.bfloat16)).numpy(),
    ],
)
def test_embedding_that_is_none(tmp_path: Path, proto: Callable[[], bytes]) -> None:
    """A shard whose embeddings cannot be converted can still be looked into."""
    found = inspect_one(write_shard(tmp_path / "x.tfrecord", [make_record(TENSOR, proto=proto())]))
    assert (found.records, found.damage) == (1, None)
    assert found.first is not None
    assert found.first.values == ()
    assert features_of(found)["embedding"].records == 1


def test_record_without_features(tmp_path: Path) -> None:
    """An Example without any feature is a record like others."""
    found = inspect_one(write_shard(tmp_path / "x.tfrecord", [serialize({})]))
    assert (found.records, found.windows, found.features) == (1, 0, ())
    assert found.first is not None
    assert (found.first.filename, found.first.timestamp_s, found.first.values) == (None, None, ())


def test_filename_that_is_no_text(tmp_path: Path) -> None:
    """A filename that cannot be read is shown as far as it can."""
    found = inspect_one(write_shard(tmp_path / "x.tfrecord", [make_record(TENSOR, b"a\xff.wav")]))
    assert found.first is not None
    assert found.first.filename == "a\ufffd.wav"
    assert found.first.recording is None


@pytest.mark.parametrize("damage", ["payload", "cut", "garbage", "no Example"])
def test_damage_behind_good_records(tmp_path: Path, damage: str) -> None:
    """The first damage and its amount are reported with all that is good."""
    good = frame(make_record(TENSOR))
    bad = {
        "payload": good[:-1] + bytes([good[-1] ^ 1]) + good,
        "cut": good[:-1],
        "garbage": b"garbage behind the last frame",
        "no Example": frame(b"\xff" * 20) + good,
    }
    path = write_content(tmp_path / "x.tfrecord", good * 2 + bad[damage])
    found = inspect_one(path)
    records = 3 if bad[damage].endswith(good) else 2
    assert (found.records, found.windows) == (records, 12 * records)
    assert found.damage is not None
    assert found.damage.startswith(f"record 2 at byte {2 * len(good)}: ")
    assert features_of(found)["embedding"].records == records
    if damage == "no Example":
        assert (found.damaged_ranges, found.damaged_bytes) == (0, 0)
        assert found.rejected == {"not_an_example": 1}
    else:
        size = len(bad[damage]) - (records - 2) * len(good)
        assert (found.damaged_ranges, found.damaged_bytes) == (1, size)
        assert found.rejected == {}


def test_bad_records_are_counted_by_reason(tmp_path: Path) -> None:
    """Whole records that cannot be converted are counted by reason, in text too."""
    payloads = [
        make_record(TENSOR),
        make_record(TENSOR, timestamp_s=float("nan")),
        make_record(TENSOR, proto=b""),
        make_record(TENSOR, proto=b"\xff"),
    ]
    content = b"".join(map(frame, payloads)) + b"garbage"
    path = write_content(tmp_path / "x.tfrecord", content)
    found = inspect_one(path)
    assert (found.records, found.damaged_ranges, found.damaged_bytes) == (4, 1, 7)
    assert found.rejected == {"bad_tensor": 2, "bad_timestamp": 1}
    result = CliRunner().invoke(cli, ["inspect", str(path)])
    assert "  damaged    1 range, 7 bytes\n" in result.stdout
    assert "  unusable   2 bad_tensor, 1 bad_timestamp\n" in result.stdout


@pytest.mark.parametrize("content", [b"this is a text, not a shard", b"short", frame(b"\xff" * 9)])
def test_no_shard(tmp_path: Path, content: bytes) -> None:
    """A file that is called like a shard and holds no record of Perch's is a clear error."""
    path = write_content(tmp_path / "x.tfrecord", content)
    with pytest.raises(RecordError, match=r"x\.tfrecord: record 0 at byte 0: "):
        inspect(path)


def test_no_shard_by_name(tmp_path: Path) -> None:
    """A file that is no shard by name either is an error of the source."""
    path = write_content(tmp_path / "x.txt", b"this is a text, not a shard")
    with pytest.raises(SourceError, match=r"x\.txt: no TFRecord shard"):
        inspect(path)


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_empty_shard(tmp_path: Path, compression: str) -> None:
    """A shard without records is shown as such."""
    found = inspect_one(write_shard(tmp_path / "x.tfrecord", [], compression))
    assert (found.records, found.windows, found.damage) == (0, 0, None)
    assert (found.features, found.first) == ((), None)


def test_a_bad_shard_hides_no_other(tmp_path: Path) -> None:
    """The command says what is wrong with one shard, shows the others and exits with 1."""
    for name in ("a", "c"):
        write_shard(tmp_path / f"{name}-00000-of-00001", [make_record(random_tensor((3, 1, 8)))])
    (tmp_path / "b-00000-of-00001").write_bytes(b"no frame at all")
    for more in ([], ["--json"]):
        ended = CliRunner().invoke(cli, ["inspect", str(tmp_path), *more])
        assert ended.exit_code == 1
        assert "b-00000-of-00001: record 0 at byte 0" in ended.stderr
        assert ended.stdout.count("-00000-of-00001\n" if not more else "-00000-of-00001") == 2
        if more:
            assert [each["windows"] for each in json.loads(ended.stdout)] == [3, 3]

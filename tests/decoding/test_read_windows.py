"""Windows streamed from shards, compared with TensorFlow's reading."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from a20_parquet import convert, read_windows
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.errors import RecordError, SourceError, UsageError
from a20_parquet.windows.schema import window_schema
from tests.helpers.shards import frame, make_record, random_tensor, write_content, write_shard

TENSOR = random_tensor((3, 2, 4))


def embeddings(table: pa.Table) -> np.ndarray:
    column = table.column("embedding").combine_chunks()
    return np.asarray(column.flatten()).reshape(-1, column.type.list_size)


def test_real_windows_equal_tensorflows(real_data: Path) -> None:
    """Every value, filename, offset and channel of two real shards, bit for bit."""
    paths = [real_data / "perch-real" / f"embeddings-0000{number}-of-00003" for number in (0, 1)]
    table = read_windows(paths).read_all()
    assert table.num_rows == 402
    tensors, filenames, offsets_s = [], [], []
    for payload in tf.data.TFRecordDataset(list(map(str, paths))).as_numpy_iterator():
        features = tf.train.Example.FromString(payload).features.feature
        proto = features["embedding"].bytes_list.value[0]
        dtype = tf.as_dtype(proto[1])  # its first field
        tensor = tf.io.parse_tensor(proto, dtype).numpy().astype(np.float32)
        tensors.append(tensor.reshape(-1, 1280))
        filenames += [features["filename"].bytes_list.value[0].decode()] * len(tensor)
        start_s = features["timestamp_s"].float_list.value[0]
        offsets_s += [start_s + 5.0 * window for window in range(len(tensor))]
    expected = np.concatenate(tensors)
    np.testing.assert_array_equal(embeddings(table).view(np.uint32), expected.view(np.uint32))
    assert table.column("filename").to_pylist() == filenames
    assert table.column("recording_offset_in_file").to_pylist() == offsets_s
    assert set(table.column("channel").to_pylist()) == {0}


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_batch_size_changes_nothing(tmp_path: Path, compression: str) -> None:
    """Tiny and default batches are the same windows."""
    for number in range(2):
        payloads = [
            make_record(
                random_tensor((index % 4, 2, 4), seed=10 * number + index), timestamp_s=index
            )
            for index in range(9)
        ]
        write_shard(tmp_path / f"x-0000{number}-of-00002", payloads, compression)
    default = read_windows(tmp_path).read_all()
    for decoder in DecoderName:
        assert read_windows(tmp_path, decoder=decoder).read_all().equals(default)
        reader = read_windows(tmp_path, batch_bytes=1, decoder=decoder)
        batches = list(reader)
        assert len(batches) > 4
        assert pa.Table.from_batches(batches, reader.schema).equals(default)
    assert default.schema.equals(window_schema(4), check_metadata=True)
    default.validate(full=True)


def test_real_batch_size_changes_nothing(real_data: Path) -> None:
    """Likewise for real shards, one of them float16."""
    paths = [real_data / "perch-real" / f"embeddings-0000{number}-of-00003" for number in (0, 1)]
    assert read_windows(paths, batch_bytes=1).read_all().equals(read_windows(paths).read_all())


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading leaves no file behind, beside the shards or in the working folder."""
    write_shard(tmp_path / "x.tfrecord", [make_record(TENSOR)])
    monkeypatch.chdir(tmp_path)
    assert read_windows("x.tfrecord").read_all().num_rows == 6
    assert [path.name for path in tmp_path.iterdir()] == ["x.tfrecord"]


def test_windows_and_channels(tmp_path: Path) -> None:
    """Rows go through a record window after window, channel after channel."""
    path = write_shard(tmp_path / "x.tfrecord", [make_record(TENSOR, timestamp_s=60)])
    table = read_windows(path).read_all()
    np.testing.assert_array_equal(embeddings(table), TENSOR.reshape(-1, 4))
    assert table.column("channel").to_pylist() == [0, 1] * 3
    assert table.column("recording_offset_in_file").to_pylist() == [60, 60, 65, 65, 70, 70]


@pytest.mark.parametrize("source", ["", "x.tfrecord", "*.tfrecord"])
def test_hop(tmp_path: Path, source: str) -> None:
    """The hop is Perch's, unless the caller says another."""
    write_shard(tmp_path / "x.tfrecord", [make_record(TENSOR)])
    config = '{"embed_fn_config": {"model_config": {"hop_size_s": 2.5}}}'
    (tmp_path / "config.json").write_text(config)
    sources = f"{tmp_path}/{source}"
    offsets_s = read_windows(sources).read_all().column("recording_offset_in_file")
    assert offsets_s.to_pylist() == [0, 0, 2.5, 2.5, 5, 5]
    with pytest.warns(UserWarning, match="says 2.5 s; 3 s counts, as window_seconds says"):
        said = read_windows(sources, window_seconds=3).read_all()
    assert said.column("recording_offset_in_file").to_pylist() == [0, 0, 3, 3, 6, 6]


@pytest.mark.parametrize("window_seconds", [0, -5, float("nan"), float("inf")])
def test_no_hop(tmp_path: Path, window_seconds: float) -> None:
    """A hop that is no length of time is refused, not replaced."""
    path = write_shard(tmp_path / "x.tfrecord", [make_record(TENSOR)])
    with pytest.raises(UsageError, match="window_seconds"):
        read_windows(path, window_seconds=window_seconds)


def test_no_such_decoder(tmp_path: Path) -> None:
    """The error names those that there are."""
    write_shard(tmp_path / "x-00000-of-00001", [make_record(random_tensor((1, 1, 4)))])
    with pytest.raises(UsageError, match="expected tensorflow or wire"):
        read_windows(tmp_path, decoder="protobuf")


def test_no_record(tmp_path: Path) -> None:
    """Shards without any record have no dimensions, so there is nothing to stream."""
    write_shard(tmp_path / "x-00000-of-00002", [])
    write_shard(tmp_path / "x-00001-of-00002", [], "GZIP")
    with pytest.raises(SourceError, match="none of the 2 shards holds a record"):
        read_windows(tmp_path)
    (tmp_path / "x-00000-of-00002").unlink()
    with pytest.raises(SourceError, match="/x-00001-of-00002 holds no record"):
        read_windows(tmp_path)
    with pytest.raises(SourceError, match="/x-00001-of-00002 holds no record that is whole"):
        convert(tmp_path, tmp_path / "out")


def test_empty_shards_and_records_between(tmp_path: Path) -> None:
    """Empty shards and records without windows are no rows and no error."""
    none = make_record(np.zeros((0, 1, 4), np.float32))
    write_shard(tmp_path / "x-00000-of-00003", [none])
    write_shard(tmp_path / "x-00001-of-00003", [])
    write_shard(tmp_path / "x-00002-of-00003", [none, make_record(TENSOR), none])
    assert read_windows(tmp_path).read_all().num_rows == 6
    assert read_windows(tmp_path / "x-00000-of-00003").read_all().num_rows == 0


@pytest.mark.parametrize("damage", ["frame", "record", "dims"])
def test_error_while_reading(tmp_path: Path, damage: str) -> None:
    """An error behind the first batch reaches who reads, as the package's own."""
    good = frame(make_record(TENSOR))
    bad = {
        "frame": good[:-1] + bytes([good[-1] ^ 1]),
        "record": frame(make_record(random_tensor((4,)))),
        "dims": frame(make_record(random_tensor((3, 2, 5)))),
    }
    path = write_content(tmp_path / "x.tfrecord", good * 3 + bad[damage])
    reader = read_windows(path, batch_bytes=1)
    assert reader.read_next_batch().num_rows > 0
    with pytest.raises(RecordError) as caught:
        list(reader)
    assert (caught.value.record, caught.value.offset) == (3, 3 * len(good))
    assert caught.value.shard == str(path)


@pytest.mark.parametrize("filename", [b"a\xff.wav", b"no recording at all"])
def test_unreadable_filename(tmp_path: Path, filename: bytes) -> None:
    """A filename that cannot be read is an error of its record."""
    path = write_shard(
        tmp_path / "x.tfrecord", [make_record(TENSOR), make_record(TENSOR, filename)]
    )
    with pytest.raises(RecordError, match="record 1 at byte") as caught:
        read_windows(path).read_all()
    assert caught.value.record == 1

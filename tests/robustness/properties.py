"""What must hold for any bytes: of framing, of decoding, of reading filenames."""

from collections.abc import Callable, Sequence
from datetime import UTC
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError
from hypothesis import strategies as st

from a20_parquet.decoding.tensorflow import TensorFlowDecoder, load_tensorflow
from a20_parquet.decoding.wire import WireDecoder
from a20_parquet.tfrecord.records import Records
from a20_parquet.tfrecord.shard import Shard
from a20_parquet.windows.filenames.parse import FilenameRules, Recordings, parse_filenames
from a20_parquet.windows.rejection import Reason
from a20_parquet.windows.schema import Feature
from tests.helpers.damage import Range, Whole, read_all
from tests.helpers.decoding import assert_same
from tests.helpers.filenames import Reading, read_filename
from tests.helpers.shards import (
    COMPRESS,
    frame,
    make_features,
    random_tensor,
    serialize,
    tensor_proto,
)
from tests.robustness.damage import inflate

_RATE_HZ = 3.0
_SHARD = Shard("shard", "store://shard", 0, "shard", 0, None, sample_rate_hz=_RATE_HZ)
_LONGEST_MATCH = 258
_FLOAT, _DOUBLE, _HALF = 1, 2, 19


def edited(base: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes with a few of them overwritten, taken out or put in."""
    edit = st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=20))

    def apply(content: bytes, edits: Sequence[tuple[float, int, bytes]]) -> bytes:
        for place, removed, put in edits:
            at = int(place * len(content))
            content = content[:at] + put + content[at + removed :]
        return content

    return st.builds(apply, base, st.lists(edit, max_size=4))


def _header(length: int) -> bytes:
    """A length with its right checksum, and nothing behind it."""
    eight = length.to_bytes(8, "little")
    return eight + frame(eight)[-4:]


_PIECES = st.one_of(
    st.binary(max_size=300).map(frame),
    st.binary(max_size=60),
    st.integers(0, 400).map(bytes),
    st.integers(0, 2**64 - 1).map(_header),
    st.integers(0, 500).map(_header),
)
CONTENTS = st.builds(
    lambda content, compression: COMPRESS[compression](content),
    edited(st.lists(_PIECES, max_size=8).map(b"".join)),
    st.sampled_from(["", "", "GZIP", "ZLIB"]),
)


def check_framing(stored: bytes, batch_bytes: int) -> None:
    """Frames and damage are the whole content, and the frames are whole."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "shard"
        path.write_bytes(stored)
        found = read_all(path, batch_bytes)
    content, _ = inflate(stored)
    at = 0
    kept = 0
    for item in found:
        if isinstance(item, Range) and item.reason is Reason.BAD_STREAM:
            assert item.content == stored[item.offset :]
            # zlib loses what waits for room where the very next bits are wrong: one match at most.
            kept = _LONGEST_MATCH
            continue
        assert item.offset == at
        part = frame(item.payload) if isinstance(item, Whole) else item.content
        assert content[at : at + len(part)] == part
        at += len(part)
    assert at <= len(content) <= at + kept


def _feature(kind: str, values: Any) -> Any:
    train = load_tensorflow().train
    message = {"bytes": train.BytesList, "float": train.FloatList, "int64": train.Int64List}[kind]
    return train.Feature(**{f"{kind}_list": message(value=values)})


_FEATURES = st.one_of(
    st.builds(_feature, st.just("bytes"), st.lists(st.binary(max_size=30), max_size=2)),
    st.builds(_feature, st.just("float"), st.lists(st.floats(width=32), max_size=2)),
    st.builds(_feature, st.just("int64"), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4)),
)
_SIZES = st.one_of(st.integers(0, 4), st.sampled_from([-1, 2**31, 2**62]))
_PROTOS = st.builds(
    tensor_proto,
    st.sampled_from([_FLOAT, _FLOAT, _HALF, _DOUBLE, 0, 99]),
    st.lists(_SIZES, max_size=4),
    float_val=st.lists(st.floats(width=32), max_size=5),
    half_val=st.lists(st.integers(0, 2**16 - 1), max_size=5),
    tensor_content=st.one_of(
        st.just(b""), st.binary(max_size=40), st.integers(0, 64).map(lambda size: bytes(size * 2))
    ),
)
_ARRAYS = st.builds(
    random_tensor,
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(1, 4)),
    st.integers(0, 3),
    st.sampled_from([np.float32, np.float16]),
)


def _record(array: Any, proto: bytes | None, others: dict[str, Any]) -> bytes:
    return serialize({**make_features(array, proto=proto), **others})


_KEYS = st.sampled_from(
    ["filename", "embedding", "timestamp_s", "timestamp_offset", "embedding_shape", "label", "x"]
)
PAYLOADS = edited(
    st.builds(
        _record,
        _ARRAYS,
        st.none() | edited(_PROTOS),
        st.dictionaries(_KEYS, _FEATURES, max_size=2),
    )
    | st.binary(max_size=60)
)


def _records(payloads: Sequence[bytes]) -> Records:
    return Records(_SHARD, 0, list(range(len(payloads))), list(payloads))


class Decoding:
    """Both implementations of the decode stage, which takes seconds to make."""

    def __init__(self) -> None:
        self._tf = load_tensorflow()
        self._decoder = TensorFlowDecoder([Feature("label", 0)])
        # It keeps the forms that it has learnt.
        self._wire = WireDecoder([Feature("label", 0)])

    def check(self, payloads: Sequence[bytes]) -> None:
        """Each record is decoded as TensorFlow decodes its parts, or rejected, whatever others."""
        decoded = self._decode(payloads)
        assert_same(self._wire.decode(_records(payloads)), decoded)
        metadata = decoded.metadata
        rejected = [rejection.number for rejection in decoded.rejected]
        assert sorted([*metadata.numbers.tolist(), *rejected]) == list(range(len(payloads)))
        for index, number in enumerate(metadata.numbers.tolist()):
            self._compare(payloads[number], decoded, index)
        for rejection in decoded.rejected:
            alone = self._decode([payloads[rejection.number]])
            [reason] = alone.rejected
            assert (reason.reason, reason.message) == (rejection.reason, rejection.message)

    def _decode(self, payloads: Sequence[bytes]) -> Any:
        return self._decoder.decode(_records(payloads))

    def _read(self, payload: bytes) -> tuple[bytes, float, bytes]:
        """Filename, timestamp and serialized tensor of a record that can be decoded."""
        try:
            features = self._tf.train.Example.FromString(payload).features.feature
        except DecodeError:
            # TensorFlow's own parser also takes names of features that are no text.
            tf = self._tf
            kinds = {"filename": tf.string, "timestamp_s": tf.float32, "embedding": tf.string}
            wanted = {name: tf.io.FixedLenFeature([], kind) for name, kind in kinds.items()}
            parsed = tf.io.parse_single_example(payload, wanted)
            filename, timestamp_s, proto = (parsed[name].numpy() for name in kinds)
            return filename, timestamp_s, proto
        [filename] = features["filename"].bytes_list.value
        stamps = features["timestamp_s"].float_list.value
        samples = features["timestamp_offset"].int64_list.value
        stamps = stamps or [float(samples[0]) / _RATE_HZ]
        [proto] = features["embedding"].bytes_list.value
        return filename, stamps[0], proto

    def _compare(self, payload: bytes, decoded: Any, index: int) -> None:
        filename, timestamp_s, proto = self._read(payload)
        assert decoded.metadata.filenames[index] == filename
        assert decoded.metadata.timestamps_s[index] == timestamp_s
        kind = decoded.embeddings[index].dtype
        expected = self._tf.io.parse_tensor(proto, self._tf.as_dtype(kind)).numpy()
        assert decoded.metadata.shapes[index] == expected.shape
        assert decoded.embeddings[index].shape == expected.shape
        assert decoded.embeddings[index].tobytes() == expected.tobytes()


_WORDS = st.sampled_from(
    [
        *("site_0285/", "site_", "20201014T010000", "20190631T250000", "+1030", "-0330", "Z"),
        *("+2500", "_", "-", "Arkaba", "Dry-A", "Wet-B", "---", "644370", "_0000_5857", ".flac"),
        *(".wav", "/", "Site-3", "true", "4E2", "\n", "\u0660", "999999999999999999999"),
    ]
)
NAMES = st.one_of(st.lists(_WORDS, max_size=10).map("".join), st.text(max_size=30))


def check_names(names: Sequence[str], unknown_site: str | None) -> None:
    """Filenames tell what a slow reading of them tells."""
    rules = FilenameRules(unknown_site=unknown_site)
    recordings = parse_filenames(pa.array(names, pa.string()), rules)
    for index, name in enumerate(names):
        columns = {key: getattr(recordings, key)[index].as_py() for key in Recordings.columns()}
        if columns["file_timestamp"] is not None:
            columns["file_timestamp"] = columns["file_timestamp"].astimezone(UTC)
        site = recordings.site[index].as_py()
        found = Reading(columns, site, bool(recordings.valid[index]))
        assert found == read_filename(name, unknown_site=unknown_site), name


Target = tuple[Callable[..., None], dict[str, st.SearchStrategy[Any]]]


def targets() -> dict[str, Target]:
    """Each property with what it is to be tried on."""
    return {
        "framing": (
            check_framing,
            {"stored": edited(CONTENTS), "batch_bytes": st.sampled_from([1, 40, 1000, 1 << 20])},
        ),
        "decoding": (Decoding().check, {"payloads": st.lists(PAYLOADS, min_size=1, max_size=4)}),
        "filenames": (
            check_names,
            {
                "names": st.lists(NAMES, min_size=1, max_size=4),
                "unknown_site": st.sampled_from([None, "nowhere"]),
            },
        ),
    }

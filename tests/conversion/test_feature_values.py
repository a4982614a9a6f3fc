"""Features of every form, from shards to what polars, DuckDB and pyarrow read of the dataset."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

import a20_parquet
from a20_parquet.errors import UsageError
from a20_parquet.windows.schema import Feature, FeatureKind, FeatureScope
from tests.helpers.decoding import (
    bytes_feature,
    floats_feature,
    integers_feature,
    raw_float_feature,
)
from tests.helpers.feature_datasets import (
    bits,
    convert_all_ways,
    options_of,
    read_by_all,
    record,
    write_shards,
)
from tests.helpers.manifests import edit_manifest
from tests.helpers.shards import write_shard

LEAST, MOST = -(2**63), 2**63 - 1

RECORD, WINDOW, CHANNEL = FeatureScope


FLOAT32S = pa.list_(pa.field("element", pa.float32(), nullable=False), 3)


INT64S = pa.list_(pa.field("element", pa.int64(), nullable=False), 2)


def test_float_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single float is each window's, bit for bit; null where a record lacks it, or has none."""
    source = write_shards(
        tmp_path / "shards",
        [
            record(0, score=floats_feature(1.5)),
            record(1, (5, 2), score=raw_float_feature(0x7F800001)),
            record(2),
            record(3, score=floats_feature()),
            record(4, score=floats_feature(float("-inf"))),
            record(5, score=bytes_feature()),
        ],
    )
    dataset = convert_all_ways(source, tmp_path, monkeypatch, feature=["score"])
    found = read_by_all(dataset, "score", pa.float32())
    expected = [bits(1.5)[0], 0x7F800001, None, None, bits(float("-inf"))[0], None]
    assert options_of(dataset) == (Feature("score", 1, FeatureKind.FLOAT, RECORD),)
    assert len(found) == 5 * 12 + 10
    for (filename, _, _), value in found.items():
        assert value == expected[int(filename.rpartition("_")[2].removesuffix(".flac"))]


def test_integers_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two integers a record are a list of 64 bits each."""
    pairs = [(LEAST, MOST), (0, -1), None, (300, 7)]
    records = [
        record(i, (i + 3, 1), **({"ids": integers_feature(*pair)} if pair else {}))
        for i, pair in enumerate(pairs)
    ]
    dataset = convert_all_ways(
        write_shards(tmp_path / "shards", records), tmp_path, monkeypatch, feature=["ids"]
    )
    found = read_by_all(dataset, "ids", INT64S)
    assert options_of(dataset) == (Feature("ids", 2, FeatureKind.INT64, RECORD),)
    for (filename, _, _), value in found.items():
        pair = pairs[int(filename.rpartition("_")[2].removesuffix(".flac"))]
        assert value == (None if pair is None else list(pair))


@pytest.mark.slow
def test_values_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where counts follow the windows, each window has its value, or its list."""
    shapes = [(12, 2), (11, 2), (3, 2)]
    records = [
        record(
            number,
            shape,
            power=floats_feature(*(number + i / 16 for i in range(shape[0]))),
            triple=floats_feature(*(number + i for i in range(3 * shape[0]))),
            label=bytes_feature(*(f"{number}/{i}\0å".encode() for i in range(shape[0]))),
            rank=integers_feature(*(i - number for i in range(shape[0] * shape[1]))),
        )
        for number, shape in enumerate(shapes)
    ]
    names = ["power", "triple", "label", "rank"]
    source = write_shards(tmp_path / "shards", records)
    dataset = convert_all_ways(source, tmp_path, monkeypatch, feature=names)
    power, triple, label, rank = (
        read_by_all(dataset, name, kind)
        for name, kind in zip(names, [pa.float32(), FLOAT32S, pa.string(), pa.int64()], strict=True)
    )
    assert [(f.size, f.scope) for f in options_of(dataset)] == [
        (1, WINDOW),
        (3, WINDOW),
        (256, WINDOW),
        (1, CHANNEL),
    ]
    assert len(power) == 52
    for key in power:
        filename, offset_s, channel = key
        number = int(filename.rpartition("_")[2].removesuffix(".flac"))
        window = int(offset_s / 5)
        assert power[key] == bits(number + window / 16)[0]
        assert triple[key] == bits(*(number + 3 * window + i for i in range(3)))
        assert label[key] == f"{number}/{window}\0å"
        assert rank[key] == 2 * window + channel - number
    picked = tmp_path / "one-channel"
    a20_parquet.convert(source, picked, feature=names, channels=[1])
    assert read_by_all(picked, "rank", pa.int64()) == {k: v for k, v in rank.items() if k[2] == 1}
    assert read_by_all(picked, "label", pa.string()) == {
        k: v for k, v in label.items() if k[2] == 1
    }


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_texts_and_bytes_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    """Texts are strings; where any that was looked at is no UTF-8, all are bytes."""
    labels = [b"koala", b"", None, "\u00e5\0".encode(), b"x" * 300]
    blobs = [b"\xff\x00", b"text", None, b"", b"\x08\x01"]
    records = [
        record(
            number,
            (number + 2, 2),
            **({} if label is None else {"label": bytes_feature(label)}),
            **({} if blob is None else {"blob": bytes_feature(blob)}),
        )
        for number, (label, blob) in enumerate(zip(labels, blobs, strict=True))
    ]
    source = write_shards(tmp_path / "shards", records)
    options = {"feature": ["label", "blob"], "compression": compression}
    dataset = convert_all_ways(source, tmp_path, monkeypatch, **options)
    assert options_of(dataset) == (
        Feature("label", 2048, FeatureKind.STRING, RECORD),
        Feature("blob", 256, FeatureKind.BINARY, RECORD),
    )
    label = read_by_all(dataset, "label", pa.string())
    blob = read_by_all(dataset, "blob", pa.binary())
    assert len(label) == 2 * (2 + 3 + 4 + 5 + 6)
    for key in label:
        number = int(key[0].rpartition("_")[2].removesuffix(".flac"))
        text = labels[number]
        assert label[key] == (None if text is None else text.decode())
        assert blob[key] == blobs[number]


def test_tampered_values_are_found(tmp_path: Path) -> None:
    """``verify --source`` compares the columns of features of every kind."""
    records = [
        record(
            number,
            (number + 1, 1),
            label=bytes_feature(b"koala"),
            score=floats_feature(1.0),
            ids=integers_feature(1, 2),
            blob=bytes_feature(b"\xff"),
        )
        for number in range(3)
    ]
    others = [
        {"label": bytes_feature(b"koalb")},
        {"score": floats_feature(1.0000001)},
        {"ids": integers_feature(1, 3)},
        {"blob": bytes_feature(b"\xfe")},
        {"label": bytes_feature()},
    ]
    names = ["label", "score", "ids", "blob"]
    dataset = tmp_path / "out"
    good = write_shards(tmp_path / "good", records, 1)
    a20_parquet.convert(good, dataset, feature=names)
    shards = json.loads((dataset / "manifest.json").read_bytes())["shards"]
    for number, change in enumerate(others):
        changed = {
            "label": bytes_feature(b"koala"),
            "score": floats_feature(1.0),
            "ids": integers_feature(1, 2),
            "blob": bytes_feature(b"\xff"),
        } | change
        bad = write_shards(
            tmp_path / f"bad{number}", [*records[:2], record(2, (3, 1), **changed)], 1
        )
        other = tmp_path / f"other{number}"
        a20_parquet.convert(bad, other, feature=names)
        # As if these data files had been made of the good shard.
        edit_manifest(other, lambda manifest: manifest.update(shards=shards))
        problems = a20_parquet.verify(other, source=[good]).problems
        assert sum("differs from the one in" in each.message for each in problems) == 3


def test_append(tmp_path: Path) -> None:
    """Further shards bring the same feature in the same form, or it is refused."""
    first = write_shards(tmp_path / "a", [record(i, x=floats_feature(i)) for i in range(4)], 1)
    second = [record(i, x=floats_feature(i)) for i in range(4, 8)]
    second += [record(8, x=integers_feature(1)), record(9)]
    more = write_shard(tmp_path / "b" / "t-00000-of-00001", second)
    dataset = tmp_path / "out"
    a20_parquet.convert(first, dataset, feature=["x"])
    for other in ("x:int64", "x:float[2]", "x:window", "y"):
        with pytest.raises(UsageError, match="was made with other options"):
            a20_parquet.convert([first, more], dataset, feature=[other])
    conversion = a20_parquet.convert([first, more], dataset, feature=["x:float:record"])
    assert conversion.quarantine == {"bad_feature": 1}
    frame = a20_parquet.scan(dataset).collect()
    assert frame["x"].null_count() == 12
    assert frame["x"].unique().drop_nulls().sort().to_list() == [float(i) for i in range(8)]


def test_windows_that_differ_in_a_feature_only(tmp_path: Path) -> None:
    """Duplicates are dropped where the dataset has the same values, and kept where it has not."""
    records = [record(i, label=bytes_feature(b"owl"), x=integers_feature(i, i)) for i in range(3)]
    other = record(2, label=bytes_feature(b"own"), x=integers_feature(2, 2))
    names = ["label", "x"]
    first = write_shards(tmp_path / "a", records, 1)
    again = write_shard(tmp_path / "b" / "t-00000-of-00001", [other, *records[:2]])
    dataset = tmp_path / "out"
    a20_parquet.convert(first, dataset, feature=names, drop_duplicates=True)
    conversion = a20_parquet.convert(again, dataset, feature=names, drop_duplicates=True)
    assert (conversion.duplicates.identical, conversion.duplicates.different) == (24, 12)
    assert conversion.new_windows == 12
    assert not a20_parquet.verify(dataset, source=[first, again]).problems


def test_one_name_as_a_text(tmp_path: Path) -> None:
    """A single feature need not be in a list."""
    source = write_shards(
        tmp_path / "shards", [record(n, score=floats_feature(float(n))) for n in range(2)]
    )
    single: list[str | list[str]] = ["score", ["score"], "score:record"]
    for number, feature in enumerate(single):
        out = tmp_path / f"out-{number}"
        a20_parquet.convert(source, out, feature=feature)
        assert [each.name for each in options_of(out)] == ["score"]
    with pytest.raises(UsageError, match="feature"):
        a20_parquet.convert(source, tmp_path / "none", feature="")

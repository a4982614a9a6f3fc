"""Features of every form, from shards to what polars, DuckDB and pyarrow read of the dataset."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

import a20_parquet
from a20_parquet.conversion.result import Conversion
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.errors import UsageError
from a20_parquet.windows.feature_forms import FeatureRequest
from a20_parquet.windows.schema import Feature, FeatureKind, FeatureScope
from tests.helpers.conversions import digests, use_tiny_memory
from tests.helpers.decoding import (
    bytes_feature,
    floats_feature,
    integers_feature,
    raw_float_feature,
)
from tests.helpers.manifests import edit_manifest
from tests.helpers.shards import make_features, random_tensor, serialize, write_shard

DIMS = 4
NAME = "site_0285/20201014T{:02}0000+1030_Arkaba-Dry-A_{}.flac"
LEAST, MOST = -(2**63), 2**63 - 1
RECORD, WINDOW, CHANNEL = FeatureScope
FLOAT32S = pa.list_(pa.field("element", pa.float32(), nullable=False), 3)
INT64S = pa.list_(pa.field("element", pa.int64(), nullable=False), 2)

Row = tuple[str, float, int]
"""Filename, offset in seconds, channel."""


def record(number: int, shape: tuple[int, int] = (12, 1), **features: Any) -> bytes:
    """A record of a recording of its own, of so many windows and channels."""
    tensor = random_tensor((*shape, DIMS), number)
    name = NAME.format(number % 24, number)
    return serialize(make_features(tensor, name) | features)


def write(folder: Path, records: Sequence[bytes], shards: int = 2) -> Path:
    """Divide records among shards."""
    for shard in range(shards):
        write_shard(folder / f"s-{shard:05d}-of-{shards:05d}", records[shard::shards])
    return folder


def options_of(dataset: Path) -> tuple[Feature, ...]:
    """The features of a dataset, as its manifest has them."""
    manifest = Manifest.model_validate_json((dataset / "manifest.json").read_bytes())
    return manifest.options.features


def assumed_of_features(conversion: Conversion) -> list[str]:
    """What a conversion assumed of features."""
    return [each.text for each in conversion.assumptions if each.about.startswith("feature ")]


def values(table: Any, name: str) -> dict[Row, Any]:
    """A column's values by window; floats as their bits."""
    column = table[name].combine_chunks()
    kind = column.type
    if kind == pa.float32():
        column = column.view(pa.int32())
    elif pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float32():
        bits = column.values.view(pa.int32())
        column = pa.FixedSizeListArray.from_arrays(bits, kind.list_size, mask=column.is_null())
    keys = ("filename", "recording_offset_in_file", "channel")
    rows = zip(*(table[key].to_pylist() for key in keys), strict=True)
    return dict(zip(rows, column.to_pylist(), strict=True))


def read_by_all(dataset: Path, name: str, kind: Any) -> dict[Row, Any]:
    """A column as pyarrow has it; polars, ``scan`` and DuckDB have the same."""
    files = sorted((dataset / "data").rglob("*.parquet"))
    table = pa.concat_tables([pq.ParquetFile(file).read() for file in files])
    assert table.schema.field(name).type == kind
    found = values(table, name)
    for frame in (pl.read_parquet(dataset / "data"), a20_parquet.scan(dataset).collect()):
        arrow = frame.to_arrow()
        plain = {pa.large_string(): pa.string(), pa.string_view(): pa.string()}
        plain |= {pa.large_binary(): pa.binary(), pa.binary_view(): pa.binary()}
        index = arrow.schema.get_field_index(name)
        column = arrow[name]
        if column.type in plain:
            column = column.cast(plain[column.type])
        assert values(arrow.set_column(index, name, column), name) == found
    with a20_parquet.connect(dataset) as connection:
        assert values(connection.sql("SELECT * FROM windows").to_arrow_table(), name) == found
    file = dataset.with_suffix(".duckdb")
    a20_parquet.duckdb(dataset, file, force=True)
    with duckdb.connect(str(file), read_only=True) as opened:
        assert values(opened.sql("SELECT * FROM windows").to_arrow_table(), name) == found
    return found


def convert(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Path:
    """Convert with both decoders, with and without runs; all bytes are the same, and verified."""
    conversion = a20_parquet.convert(source, folder / "out", decoder="wire", **options)
    assert conversion.quarantine == {}
    expected = digests(folder / "out")
    a20_parquet.convert(source, folder / "tensorflow", decoder="tensorflow", **options)
    assert digests(folder / "tensorflow") == expected
    with monkeypatch.context() as patch:
        use_tiny_memory(patch)
        for decoder in ("wire", "tensorflow"):
            place = folder / f"tiny-{decoder}"
            assert a20_parquet.convert(source, place, decoder=decoder, **options).runs_on_disk
            assert digests(place) == expected
    for decoder in ("wire", "tensorflow"):
        verification = a20_parquet.verify(folder / "out", source=[source], decoder=decoder)
        assert not verification.problems
    return folder / "out"


def bits(*floats: float) -> list[int]:
    """Floats of 32 bits as integers."""
    found: list[int] = np.array(floats, np.float32).view(np.int32).tolist()
    return found


def test_float_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single float is each window's, bit for bit; null where a record lacks it, or has none."""
    source = write(
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
    dataset = convert(source, tmp_path, monkeypatch, feature=["score"])
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
    dataset = convert(write(tmp_path / "shards", records), tmp_path, monkeypatch, feature=["ids"])
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
    source = write(tmp_path / "shards", records)
    dataset = convert(source, tmp_path, monkeypatch, feature=names)
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
    source = write(tmp_path / "shards", records)
    options = {"feature": ["label", "blob"], "compression": compression}
    dataset = convert(source, tmp_path, monkeypatch, **options)
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
    good = write(tmp_path / "good", records, 1)
    a20_parquet.convert(good, dataset, feature=names)
    shards = json.loads((dataset / "manifest.json").read_bytes())["shards"]
    for number, change in enumerate(others):
        changed = {
            "label": bytes_feature(b"koala"),
            "score": floats_feature(1.0),
            "ids": integers_feature(1, 2),
            "blob": bytes_feature(b"\xff"),
        } | change
        bad = write(tmp_path / f"bad{number}", [*records[:2], record(2, (3, 1), **changed)], 1)
        other = tmp_path / f"other{number}"
        a20_parquet.convert(bad, other, feature=names)
        # As if these data files had been made of the good shard.
        edit_manifest(other, lambda manifest: manifest.update(shards=shards))
        problems = a20_parquet.verify(other, source=[good]).problems
        assert sum("differs from the one in" in each.message for each in problems) == 3


def test_none_has_it(tmp_path: Path) -> None:
    """Nothing is read but a sample, and the error names what there is, the likeliest first."""
    records = [record(i, label=bytes_feature(b"a"), other=floats_feature(1)) for i in range(300)]
    source = write(tmp_path / "shards", records, 1)
    with pytest.raises(UsageError) as raised:
        a20_parquet.convert(source, tmp_path / "out", feature=["Labels"])
    assert "none of the 256 records that were looked at" in str(raised.value)
    assert "They have label, other." in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("word", "meant"),
    [("recor", "did you mean label:record?"), ("flaot[3]", "did you mean label:float?"), ("x", "")],
)
def test_a_misspelt_form(tmp_path: Path, word: str, meant: str) -> None:
    """It is told as such, as names may have colons too."""
    source = write(tmp_path / "shards", [record(0, label=bytes_feature(b"a"))], 1)
    with pytest.raises(UsageError) as raised:
        a20_parquet.convert(source, tmp_path / "out", feature=[f"label:{word}"])
    assert f"{word} is no kind or scope (tensor, float, int64, string, " in str(raised.value)
    assert meant in str(raised.value)
    assert ("did you mean" in str(raised.value)) == bool(meant)


def test_a_rare_feature_whose_form_is_told(tmp_path: Path) -> None:
    """A feature that no sampled record has can be taken all the same."""
    records = [record(i) for i in range(299)] + [record(299, label=bytes_feature(b"owl"))]
    source = write(tmp_path / "shards", records, 1)
    a20_parquet.convert(source, tmp_path / "out", feature=["label:string[9]:record"])
    frame = a20_parquet.scan(tmp_path / "out").collect()
    assert frame["label"].drop_nulls().to_list() == ["owl"] * 12


def test_ambiguous_counts_are_assumed_and_said(tmp_path: Path) -> None:
    """12 values in records of 12 windows: an assumption, unless the option says what they are."""
    row = [i / 8 for i in range(12)]
    source = write(tmp_path / "shards", [record(i, score=floats_feature(*row)) for i in range(4)])
    conversion = a20_parquet.convert(source, tmp_path / "assumed", feature=["score"])
    (text,) = assumed_of_features(conversion)
    assert text.startswith("score has 12 values in each of 4 records")
    assert "--feature score:record" in text
    found = read_by_all(tmp_path / "assumed", "score", pa.float32())
    assert all(found[key] == bits(row[int(key[1] / 5)])[0] for key in found)
    for scope, kind in (("window", pa.float32()), ("record", pa.list_(FLOAT32S.field(0), 12))):
        told = tmp_path / scope
        other = a20_parquet.convert(source, told, feature=[f"score:{scope}"])
        assert not assumed_of_features(other)
        assert len(read_by_all(told, "score", kind)) == 48
    assert digests(tmp_path / "window", but="manifest.json") == digests(
        tmp_path / "assumed", but="manifest.json"
    )


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([[1.0] * 24, [1.0] * 24], "has several meanings: .*24 in its float_list.*:record or .*:w"),
        ([[1.0] * 2, [1.0] * 3], "fits no column.* has 2 in its float_list.* has 3 in its"),
        ([[1.0], [1]], "is not the same in all records: .*float_list.*int64_list"),
        ([[b"a", b"b"]], "fits no column"),
    ],
)
def test_counts_that_tell_no_column(tmp_path: Path, records: list[list[Any]], message: str) -> None:
    """Nothing is converted where the values' meaning can't be known."""
    makers: dict[type, Any] = {float: floats_feature, int: integers_feature, bytes: bytes_feature}
    payloads = [record(i, x=makers[type(row[0])](*row)) for i, row in enumerate(records)]
    source = write(tmp_path / "shards", payloads, 1)
    with pytest.raises(UsageError, match=message):
        a20_parquet.convert(source, tmp_path / "out", feature=["x"])


def test_the_windows_decide_where_they_differ(tmp_path: Path) -> None:
    """Twelve values in records of 12 and of 11 windows are each record's."""
    records = [record(i, (12 - i, 1), x=integers_feature(*range(12))) for i in range(2)]
    source = write(tmp_path / "shards", records, 1)
    conversion = a20_parquet.convert(source, tmp_path / "out", feature=["x"])
    assert not assumed_of_features(conversion)
    assert options_of(tmp_path / "out") == (Feature("x", 12, FeatureKind.INT64, RECORD),)


@pytest.mark.parametrize("decoder", ["wire", "tensorflow"])
def test_other_forms_go_to_quarantine(tmp_path: Path, decoder: str) -> None:
    """What the sample does not show is held back, with what was found and expected."""
    good = [record(i, label=bytes_feature(b"a"), x=floats_feature(1)) for i in range(256)]
    cases = {
        "feature 'x' is a int64_list, expected a float_list": {"x": integers_feature(1)},
        "feature 'x' can't be used: it has 2 values, expected 1: 1 for each record": {
            "x": floats_feature(1, 2)
        },
        "feature 'label' can't be used: a value is no UTF-8 text": {
            "label": bytes_feature(b"\xff")
        },
        "feature 'label' can't be used: a value has 257 bytes, expected 256 at the most": {
            "label": bytes_feature(b"a" * 257)
        },
        "feature 'label' can't be used: it has 2 values": {"label": bytes_feature(b"a", b"b")},
        "feature 'label' can't be used: a value has 10,000,000 bytes": {
            "label": bytes_feature(b"a" * 10_000_000)
        },
    }
    bad = [
        record(300 + i, **({"label": bytes_feature(b"b"), "x": floats_feature(2)} | change))
        for i, change in enumerate(cases.values())
    ]
    source = write(tmp_path / "shards", [*good, *bad], 1)
    dataset = tmp_path / "out"
    conversion = a20_parquet.convert(source, dataset, feature=["label", "x"], decoder=decoder)
    assert conversion.quarantine == {"bad_feature": len(cases)}
    told = (dataset / "quarantine").glob("*.jsonl")
    text = "".join(path.read_text() for path in told)
    for message in cases:
        assert message in text
    assert not a20_parquet.verify(dataset, source=[source], decoder=decoder).problems
    with pytest.raises(UsageError, match=r"--feature is|feature is"):
        a20_parquet.convert(dataset / "quarantine", dataset, feature=["label:binary", "x"])
    again = a20_parquet.convert(dataset / "quarantine", dataset, feature=["label", "x"])
    assert again.quarantine == {"bad_feature": len(cases)}


def test_append(tmp_path: Path) -> None:
    """Further shards bring the same feature in the same form, or it is refused."""
    first = write(tmp_path / "a", [record(i, x=floats_feature(i)) for i in range(4)], 1)
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
    first = write(tmp_path / "a", records, 1)
    again = write_shard(tmp_path / "b" / "t-00000-of-00001", [other, *records[:2]])
    dataset = tmp_path / "out"
    a20_parquet.convert(first, dataset, feature=names, drop_duplicates=True)
    conversion = a20_parquet.convert(again, dataset, feature=names, drop_duplicates=True)
    assert (conversion.duplicates.identical, conversion.duplicates.different) == (24, 12)
    assert conversion.new_windows == 12
    assert not a20_parquet.verify(dataset, source=[first, again]).problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label", FeatureRequest("label")),
        ("a:b", FeatureRequest("a:b")),
        ("a:record", FeatureRequest("a", scope=RECORD)),
        ("a:b:float[3]:window", FeatureRequest("a:b", FeatureKind.FLOAT, 3, WINDOW)),
        ("a:channel:string", FeatureRequest("a", FeatureKind.STRING, 0, CHANNEL)),
        ("record", FeatureRequest("record")),
        ("a:Record", FeatureRequest("a:Record")),
        ("a:float[]", FeatureRequest("a:float[]")),
    ],
)
def test_what_is_told(text: str, expected: FeatureRequest) -> None:
    """Words that tell a form are taken off the end; any other colon is the name's."""
    assert FeatureRequest.parse(text) == expected


@pytest.mark.parametrize(
    "text", [":record", "a:record:window", "a:float:int64", "a:float:record:float"]
)
def test_what_can_not_be_told(text: str) -> None:
    """A form without a name, and one that is told twice."""
    with pytest.raises(UsageError, match="feature"):
        a20_parquet.convert("nowhere", "nowhere else", feature=[text])


@pytest.mark.parametrize(
    ("dtype", "shape", "message"),
    [
        (np.float64, (12, 1, 3), "its dtype is number 2 "),
        (np.int64, (12, 1, 3), "its dtype is number 9 "),
        (np.float32, (11, 1, 3), r"its shape is \(11, 1, 3\), but the embedding has 12 windows"),
    ],
)
def test_tensors_that_fit_no_column(
    tmp_path: Path, dtype: Any, shape: tuple[int, ...], message: str
) -> None:
    """They are refused before anything is read; as bytes they can be taken."""
    serialized = tf.io.serialize_tensor(np.ones(shape, dtype)).numpy()
    source = write(tmp_path / "shards", [record(i, x=bytes_feature(serialized)) for i in range(2)])
    with pytest.raises(UsageError, match=message):
        a20_parquet.convert(source, tmp_path / "out", feature=["x"])
    a20_parquet.convert(source, tmp_path / "out", feature=["x:binary"])
    found = read_by_all(tmp_path / "out", "x", pa.binary())
    assert set(found.values()) == {serialized}
    assert len(found) == 24


@pytest.mark.parametrize("name", ["filename", "site", "record", "shard", "Period"])
def test_names_that_are_taken(tmp_path: Path, name: str) -> None:
    """A feature with the name of another column, or of a sort key, is refused."""
    source = write(tmp_path / "shards", [record(0, **{name: floats_feature(1)})], 1)
    with pytest.raises(UsageError, match="cannot be carried along"):
        a20_parquet.convert(source, tmp_path / "out", feature=[name])


def test_old_manifests_mean_tensors() -> None:
    """What a manifest says of features without their kind holds for Perch's tensors."""
    from a20_parquet.dataset.manifest import TableOptions

    old = (
        '{"partition_by": "site", "compression": "none", "max_file_size": 1, "row_group_rows": 1,'
        ' "window_seconds": 5, "dims": 4, "features": [{"name": "label", "size": 3}]}'
    )
    assert TableOptions.model_validate_json(old).features == (
        Feature("label", 3, FeatureKind.TENSOR, WINDOW),
    )


def test_one_name_as_a_text(tmp_path: Path) -> None:
    """A single feature need not be in a list."""
    source = write(
        tmp_path / "shards", [record(n, score=floats_feature(float(n))) for n in range(2)]
    )
    single: list[str | list[str]] = ["score", ["score"], "score:record"]
    for number, feature in enumerate(single):
        out = tmp_path / f"out-{number}"
        a20_parquet.convert(source, out, feature=feature)
        assert [each.name for each in options_of(out)] == ["score"]
    with pytest.raises(UsageError, match="feature"):
        a20_parquet.convert(source, tmp_path / "none", feature="")

"""The form of a feature, given by the user or found in sampled records."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

import a20_parquet
from a20_parquet.conversion.result import Conversion
from a20_parquet.errors import UsageError
from a20_parquet.windows.schema import Feature, FeatureKind, FeatureScope
from tests.helpers.conversions import digests
from tests.helpers.decoding import (
    bytes_feature,
    floats_feature,
    integers_feature,
)
from tests.helpers.feature_datasets import (
    bits,
    options_of,
    read_by_all,
    record,
    write_shards,
)

RECORD = FeatureScope.RECORD


def assumed_of_features(conversion: Conversion) -> list[str]:
    """What a conversion assumed of features."""
    return [each.text for each in conversion.assumptions if each.about.startswith("feature ")]


def test_none_has_it(tmp_path: Path) -> None:
    """Nothing is read but a sample, and the error names what there is, the likeliest first."""
    records = [record(i, label=bytes_feature(b"a"), other=floats_feature(1)) for i in range(300)]
    source = write_shards(tmp_path / "shards", records, 1)
    with pytest.raises(UsageError) as raised:
        a20_parquet.convert(source, tmp_path / "out", feature=["Labels"])
    assert "none of the 256 sampled records" in str(raised.value)
    assert "They have label, other." in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("word", "meant"),
    [("recor", "did you mean label:record?"), ("flaot[3]", "did you mean label:float?"), ("x", "")],
)
def test_a_misspelt_form(tmp_path: Path, word: str, meant: str) -> None:
    """It is told as such, as names may have colons too."""
    source = write_shards(tmp_path / "shards", [record(0, label=bytes_feature(b"a"))], 1)
    with pytest.raises(UsageError) as raised:
        a20_parquet.convert(source, tmp_path / "out", feature=[f"label:{word}"])
    assert f"{word} is not a kind or scope (tensor, float, int64, string, " in str(raised.value)
    assert meant in str(raised.value)
    assert ("did you mean" in str(raised.value)) == bool(meant)


def test_a_rare_feature_whose_form_is_told(tmp_path: Path) -> None:
    """A feature that no sampled record has can be taken all the same."""
    records = [record(i) for i in range(299)] + [record(299, label=bytes_feature(b"owl"))]
    source = write_shards(tmp_path / "shards", records, 1)
    a20_parquet.convert(source, tmp_path / "out", feature=["label:string[9]:record"])
    frame = a20_parquet.scan(tmp_path / "out").collect()
    assert frame["label"].drop_nulls().to_list() == ["owl"] * 12


def test_ambiguous_counts_are_assumed_and_said(tmp_path: Path) -> None:
    """12 values in records of 12 windows: an assumption, unless the option says what they are."""
    row = [i / 8 for i in range(12)]
    source = write_shards(
        tmp_path / "shards", [record(i, score=floats_feature(*row)) for i in range(4)]
    )
    conversion = a20_parquet.convert(source, tmp_path / "assumed", feature=["score"])
    (text,) = assumed_of_features(conversion)
    assert text.startswith("score has 12 values in each of 4 records")
    assert "--feature score:record" in text
    found = read_by_all(tmp_path / "assumed", "score", pa.float32())
    assert all(found[key] == bits(row[int(key[1] / 5)])[0] for key in found)
    for scope, kind in (
        ("window", pa.float32()),
        ("record", Feature("score", 12, FeatureKind.FLOAT).column.type),
    ):
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
    source = write_shards(tmp_path / "shards", payloads, 1)
    with pytest.raises(UsageError, match=message):
        a20_parquet.convert(source, tmp_path / "out", feature=["x"])


def test_the_windows_decide_where_they_differ(tmp_path: Path) -> None:
    """Twelve values in records of 12 and of 11 windows are each record's."""
    records = [record(i, (12 - i, 1), x=integers_feature(*range(12))) for i in range(2)]
    source = write_shards(tmp_path / "shards", records, 1)
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
    source = write_shards(tmp_path / "shards", [*good, *bad], 1)
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
    source = write_shards(
        tmp_path / "shards", [record(i, x=bytes_feature(serialized)) for i in range(2)]
    )
    with pytest.raises(UsageError, match=message):
        a20_parquet.convert(source, tmp_path / "out", feature=["x"])
    a20_parquet.convert(source, tmp_path / "out", feature=["x:binary"])
    found = read_by_all(tmp_path / "out", "x", pa.binary())
    assert set(found.values()) == {serialized}
    assert len(found) == 24


@pytest.mark.parametrize("name", ["filename", "site", "record", "shard", "Period"])
def test_names_that_are_taken(tmp_path: Path, name: str) -> None:
    """A feature with the name of another column, or of a sort key, is refused."""
    source = write_shards(tmp_path / "shards", [record(0, **{name: floats_feature(1)})], 1)
    with pytest.raises(UsageError, match="cannot be carried along"):
        a20_parquet.convert(source, tmp_path / "out", feature=[name])

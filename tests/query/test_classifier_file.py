"""Files with classifiers: those of others, and what is wrong in them."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.errors import UsageError
from a20_parquet.query.classifier_file import read_classifier
from tests.helpers.schemas import schema_validator

WEIGHTS = np.arange(6, dtype=np.float32).reshape(2, 3)
GOOD: dict[str, Any] = {"classes": ["a", "b"], "weights": WEIGHTS.tolist(), "bias": [1, 2]}


def encoded(values: Any) -> str:
    """As QUT's and Perch's files hold arrays."""
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


BETAS = {"classes": ["a", "b"], "beta": encoded(WEIGHTS.T), "beta_bias": encoded([1, 2])}


def write(path: Path, content: Any) -> Path:
    """As JSON, unless it is bytes."""
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


@pytest.mark.parametrize(
    ("content", "thresholds"),
    [
        (GOOD, (None, None)),
        (GOOD | {"thresholds": 0.5}, (0.5, 0.5)),
        (GOOD | {"thresholds": [1, None]}, (1.0, None)),
        (GOOD | {"thresholds": {"b": 3}}, (None, 3.0)),
        (BETAS, (None, None)),
        (BETAS | {"model_config": {"embedding_dim": 3}, "classifier_name": "x"}, (None, None)),
        ({"classifier": BETAS, "threshold": 0.25}, (0.25, 0.25)),
        ({"classifier": BETAS, "run_config": {"threshold": {"a": 1.0}}}, (1.0, None)),
        ([{"classifier": BETAS, "threshold": [1, 2], "save_empty": True}], (1.0, 2.0)),
    ],
    ids=str,
)
def test_forms(tmp_path: Path, content: Any, thresholds: Any) -> None:
    """Ours, and those of QUT's embeddings-classifier and Perch, of shape (dims, classes)."""
    found = read_classifier(write(tmp_path / "c.json", content))
    assert found.classes == ("a", "b")
    np.testing.assert_array_equal(found.weights, WEIGHTS)
    np.testing.assert_array_equal(found.bias, [1, 2])
    assert found.thresholds == thresholds


def test_the_schema_describes_our_form(tmp_path: Path) -> None:
    """What the schema takes is read, and what it refuses is refused."""
    validator = schema_validator("classifier.schema.json")
    for changed, is_good in (
        ({}, True),
        ({"thresholds": {"a": 1.5, "b": None}}, True),
        ({"format": "a20_parquet_classifier"}, True),
        ({"format": "other"}, False),
        ({"bias": None}, False),
        ({"weight": 1}, False),
        ({"thresholds": "high"}, False),
    ):
        content = GOOD | changed
        assert validator.is_valid(content) == is_good
        path = write(tmp_path / "c.json", content)
        if is_good:
            read_classifier(path)
        else:
            with pytest.raises(UsageError, match="is not a classifier"):
                read_classifier(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not a classifier: neither JSON nor .npz"),
        (b"PK\x03\x04", r"cannot be read as a \.npz file"),
        (b"\xff\xff", "neither JSON nor"),
        ([], "JSON of another kind"),
        (3, "JSON of another kind"),
        ({}, "is not a classifier: classes: Field required. See docs/scoring.md"),
        (GOOD | {"weights": [[1, 2, 3]]}, r"weights of shape \(1, 3\), expected one row of them f"),
        (GOOD | {"weights": [[1, 2, 3], [1]]}, "classes with different numbers of weights"),
        (GOOD | {"weights": [[1, 2, "x"]] * 2}, "weights.0.2: Input should be a valid number"),
        (GOOD | {"bias": [1]}, r"a bias of shape \(1,\), expected one number for each of its 2"),
        (GOOD | {"classes": ["a", "a"]}, "has the class 'a' more than once"),
        (GOOD | {"classes": [], "weights": [], "bias": []}, "has no classes"),
        (GOOD | {"thresholds": [1]}, "has 1 thresholds, expected one for each of 2 classes"),
        (
            GOOD | {"thresholds": {"c": 1}},
            "a threshold for 'c', which is not one of its classes: a",
        ),
        (
            b'{"classes":["a"],"weights":[[NaN]],"bias":[0]}',
            "NaN or infinity in weights or bias of",
        ),
        (b'{"classes":["a"],"weights":[[1]],"bias":[Infinity]}', "NaN or infinity in weights or b"),
        ({"classes": ["a"], "beta": encoded([1])}, "expected classes, and beta and beta_bias"),
        (BETAS | {"beta": "!"}, "as base64 of float32, found Error"),
        (BETAS | {"beta": encoded([1, 2, 3])}, "a beta of 3 floats, which 2 classes cannot share"),
        (BETAS | {"beta": encoded([np.nan] * 6)}, "NaN or infinity in weights or bias of 'a'"),
        (BETAS | {"beta": encoded([1e30] * 6), "beta_bias": encoded([1])}, "a bias of shape"),
        (BETAS | {"threshold": float("inf")}, "a threshold that is NaN or infinity"),
    ],
    ids=str,
)
def test_what_is_wrong(tmp_path: Path, content: Any, told: str) -> None:
    """One line says what was found."""
    with pytest.raises(UsageError, match=told) as caught:
        read_classifier(write(tmp_path / "c.json", content))
    assert "\n" not in str(caught.value)
    assert "c.json" in str(caught.value)


def test_arrays(tmp_path: Path) -> None:
    """A .npz file with or without thresholds; without an array or with pickles it is refused."""
    arrays: dict[str, Any] = {
        "weights": WEIGHTS,
        "bias": np.ones(2),
        "classes": np.array(["a", "b"]),
    }
    path = tmp_path / "c.npz"
    np.savez(path, **arrays)
    assert read_classifier(path).thresholds == (None, None)
    np.savez(path, **arrays, thresholds=np.array([1, 2]))
    assert read_classifier(path).thresholds == (1.0, 2.0)
    np.savez(path, weights=WEIGHTS)
    with pytest.raises(UsageError, match="has no array bias, classes, expected weights of shape"):
        read_classifier(path)
    np.savez(path, allow_pickle=True, **arrays | {"classes": np.array(["a", 1], object)})
    with pytest.raises(UsageError, match=r"cannot be read as a \.npz file"):
        read_classifier(path)


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Nothing but a usage error is raised."""
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        read_classifier(path)

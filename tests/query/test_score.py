"""Scores of classifiers, against NumPy in float64; interrupted, resumed and refused."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import UsageError
from tests.helpers.classifiers import BIAS, CLASSES, THRESHOLDS, WEIGHTS
from tests.helpers.command_line import run
from tests.helpers.progress import Said
from tests.helpers.recordings import DIMS
from tests.helpers.shards import make_record, random_tensor, write_shard

KEYS = ["filename", "recording_offset_in_file", "channel"]


def stored(dataset: Path) -> pl.DataFrame:
    """All windows, in the dataset's order."""
    return pl.read_parquet(dataset / "data", hive_partitioning=True)


def plain_scores(windows: pl.DataFrame) -> npt.NDArray[np.float64]:
    """Shape ``(windows, classes)``; NaN for windows that are not finite."""
    values = windows["embedding"].to_numpy().astype(np.float64)
    scores = (values[:, None, :] * WEIGHTS).sum(2) + BIAS
    scores[~np.isfinite(values).all(1)] = np.nan
    return np.asarray(scores)


def read(folder: Path) -> pl.DataFrame:
    """All scores, in order."""
    return pl.read_parquet(sorted((folder / "data").glob("*.parquet")))


def check_above(found: pl.DataFrame, windows: pl.DataFrame, scores: Any, thresholds: Any) -> None:
    """One row for each window and class, in the dataset's order, with the dataset's keys."""
    at, classes = np.nonzero(scores >= thresholds)
    expected = windows[at]
    columns = [name for name in found.columns if name not in {"class", "score", "link"}]
    assert found.select(columns).equals(expected.select(columns))
    assert {"site", *KEYS} < {*columns}
    assert found["class"].to_list() == [CLASSES[number] for number in classes]
    np.testing.assert_allclose(found["score"], scores[at, classes], rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("small_units")
@pytest.mark.parametrize("case", ["date", "site"])
def test_the_same_as_numpy(datasets: dict[str, Path], case: str, classifier: Path) -> None:
    """Each window and class that reaches its threshold, and what has no score is counted."""
    progress = Said()
    folder = classifier.with_name("scores")
    windows = stored(datasets[case])
    scores = a20_parquet.score(datasets[case], classifier, folder, progress=progress)
    check_above(read(folder), windows, plain_scores(windows), THRESHOLDS)
    assert scores.rows == len(read(folder)) > 100
    assert scores.files == len(Catalog.open(datasets[case]).files) > 3
    without = int(np.isnan(plain_scores(windows)).all(1).sum())
    assert scores.windows_without == without > 0
    assert progress.lines == [f"{without} windows without a score: not finite"]


@pytest.mark.parametrize("top", [1, 7, 10_000])
@pytest.mark.parametrize("unit_bytes", [1, 1 << 40])
def test_the_best_of_each_class(
    dataset: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch, top: int, unit_bytes: int
) -> None:
    """By class, best first, equal ones in the dataset's order, whatever the units."""
    monkeypatch.setattr("a20_parquet.query.score._UNIT_BYTES", unit_bytes)
    windows = stored(dataset)
    scores = plain_scores(windows)
    folder = classifier.with_name("scores")
    a20_parquet.score(dataset, classifier, folder, top=top)
    found = read(folder)
    for number, name in enumerate(CLASSES):
        of_class = scores[:, number]
        best = np.lexsort((np.arange(len(windows)), -of_class.round(10)))
        best = best[: min(top, int(np.isfinite(of_class).sum()))]
        rows = found.filter(pl.col("class") == name)
        assert rows.select(KEYS).equals(windows[best].select(KEYS))
        np.testing.assert_allclose(rows["score"], of_class[best], rtol=1e-12, atol=1e-12)
    assert found["class"].unique(maintain_order=True).to_list() == CLASSES
    assert [path.name for path in folder.iterdir() if path.name != "data"] == ["scores.json"]


@pytest.mark.parametrize("options", [{"top": 3}, {"threshold": 1.5}], ids=str)
def test_forms_of_a_classifier(dataset: Path, classifier: Path, options: dict[str, Any]) -> None:
    """A fitted model, a function and arrays score as the file does."""
    model = SimpleNamespace(coef_=WEIGHTS, intercept_=BIAS, classes_=np.array(CLASSES))
    np.savez(classifier.with_name("c.npz"), weights=WEIGHTS, bias=BIAS, classes=np.array(CLASSES))
    a20_parquet.score(dataset, classifier, classifier.with_name("file"), **options)
    expected = read(classifier.with_name("file"))
    forms: dict[str, tuple[Any, Any]] = {
        "model": (model, ()),
        "npz": (classifier.with_name("c.npz"), ()),
        "function": (lambda block: block.astype(np.float64) @ WEIGHTS.T + BIAS, CLASSES),
    }
    for name, (form, classes) in forms.items():
        folder = classifier.with_name(name)
        a20_parquet.score(dataset, form, folder, classes=classes, **options)
        found = read(folder)
        assert found.drop("score").equals(expected.drop("score"))
        np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-12, atol=1e-12)


def test_a_model_of_two_classes(dataset: Path, tmp_path: Path) -> None:
    """Its one row of weights scores the second class."""
    model = SimpleNamespace(coef_=WEIGHTS[:1], intercept_=[0.25], classes_=np.array([False, True]))
    scores = a20_parquet.score(dataset, model, tmp_path / "out", threshold=0)
    assert scores.classes == ("True",)
    expected = plain_scores(stored(dataset))[:, 0] - BIAS[0] + 0.25
    assert scores.rows == int((expected >= 0).sum())


def test_thresholds_by_class(dataset: Path, classifier: Path) -> None:
    """A mapping, a list or one number, which win over those of the file."""
    given = {name: float(number) for number, name in enumerate(CLASSES)}
    for number, form in enumerate([given, list(given.values())]):
        folder = classifier.with_name(f"scores{number}")
        a20_parquet.score(dataset, classifier, folder, threshold=form)  # type: ignore[arg-type]
        windows = stored(dataset)
        check_above(read(folder), windows, plain_scores(windows), np.arange(12.0))


def test_a_part_with_links(dataset: Path, classifier: Path) -> None:
    """Only the windows that pass, each with a link."""
    folder = classifier.with_name("scores")
    where, link = "channel = 0", "https://example.org/{file_seq_id}?t={recording_offset_in_file}"
    a20_parquet.score(dataset, classifier, folder, sites=285, hours="0-12", where=where, link=link)
    windows = stored(dataset).filter(
        pl.col("site_id") == 285,
        pl.col("channel") == 0,
        pl.col("window_start_local").dt.hour() < 12,
    )
    found = read(folder)
    check_above(found, windows, plain_scores(windows), THRESHOLDS)
    row = found.row(0, named=True)
    offset = f"{row['recording_offset_in_file']!r}".removesuffix(".0")
    assert row["link"] == f"https://example.org/{row['file_seq_id']}?t={offset}"


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("batch_bytes", [300, 4000])
def test_threads_and_batches_change_nothing(
    dataset: Path,
    classifier: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    batch_bytes: int,
) -> None:
    """The same scores to the bit."""
    a20_parquet.score(dataset, classifier, classifier.with_name("a"))
    monkeypatch.setattr("a20_parquet.query.score_run._BATCH_BYTES", batch_bytes)
    a20_parquet.score(dataset, classifier, classifier.with_name("b"), workers=workers)
    assert read(classifier.with_name("b")).equals(read(classifier.with_name("a")))


def function_of(scores: Any) -> Callable[[Any], Any]:
    """A function that returns something."""
    return lambda block: scores(len(block))


@pytest.mark.parametrize(
    ("given", "options", "told"),
    [
        (
            function_of(lambda n: np.zeros((n, 3))),
            {"classes": ["a", "b"]},
            r"returned shape \(16, 3",
        ),
        (function_of(lambda n: ["x"] * n), {"classes": ["a"]}, "and type <U1"),
        (function_of(np.zeros), {}, "classes of the function are .., expected a name for each"),
        (function_of(np.zeros), {"classes": ["a", "a"]}, "expected a name for each column"),
        (function_of(np.zeros), {"classes": ["a"], "threshold": None}, "has no threshold for a"),
        (SimpleNamespace(x=1), {}, "the SimpleNamespace is not a fitted linear classifier"),
        ("none.json", {}, "none.json: cannot be read"),
    ],
)
def test_what_is_no_classifier(
    dataset: Path, tmp_path: Path, given: Any, options: dict[str, Any], told: str
) -> None:
    """Each is a usage error that says what was found and what to do."""
    with pytest.raises(UsageError, match=told):
        a20_parquet.score(dataset, given, tmp_path / "out", **{"threshold": 0.0, **options})
    assert not (tmp_path / "out").exists()


def test_an_empty_part(dataset: Path, classifier: Path) -> None:
    """Files without rows have all columns."""
    for options in ({}, {"top": 3}):
        folder = classifier.with_name(f"scores{len(options)}")
        scores = a20_parquet.score(dataset, classifier, folder, where="channel = 77", **options)  # type: ignore[arg-type]
        assert scores.rows == 0
        assert {"class", "score", *KEYS} < {*read(folder).columns}


def test_undated_recordings(tmp_path: Path, classifier: Path) -> None:
    """Keys and times that are null stay null."""
    shard = write_shard(
        tmp_path / "a.tfrecord", [make_record(random_tensor((3, 1, DIMS)), "a.wav")]
    )
    a20_parquet.convert(shard, tmp_path / "in", unknown_site="x", decoder="wire")
    a20_parquet.score(tmp_path / "in", classifier, tmp_path / "out", threshold=-100)
    found = read(tmp_path / "out")
    assert len(found) == 36
    assert found["date"].null_count() == 36
    assert found["site"].unique().to_list() == ["x"]


@pytest.fixture
def shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command."""
    return lambda *arguments: run(monkeypatch, capsys, *arguments)


def test_the_command(dataset: Path, classifier: Path, shown: Any) -> None:
    """It prints what it has written and where, and says that nothing is left to do."""
    folder = classifier.with_name("scores")
    common = ("score", dataset, "--classifier", classifier, "-o", folder)
    code, text, _ = shown(*common)
    assert code == 0
    assert text.splitlines()[0] == f"{len(read(folder)):,} scores of 12 classes in 1 file"
    code, text, errors = shown(*common, "--json")
    assert json.loads(text)["was_complete"] is True
    code, text, errors = shown(*common)
    assert "nothing left to do" in errors
    code, _, errors = shown(*common, "--threshold", "7")
    assert code == 2
    assert "give --overwrite" in errors

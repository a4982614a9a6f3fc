"""Folders of scores: resumed, or refused where they hold other scores or something else."""

import json
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.errors import UsageError
from a20_parquet.query.score_folder import ScoreFolder
from tests.helpers.classifiers import BIAS, CLASSES, WEIGHTS, content
from tests.helpers.recordings import DIMS


@pytest.mark.usefixtures("small_units")
@pytest.mark.parametrize("options", [{}, {"top": 4}], ids=str)
@pytest.mark.parametrize("after", [0, 1, 3])
def test_resuming(
    dataset: Path,
    classifier: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    after: int,
) -> None:
    """A stopped run goes on where it was, and the files are the same to the byte."""
    whole, resumed = classifier.with_name("whole"), classifier.with_name("resumed")
    a20_parquet.score(dataset, classifier, whole, **options)
    written: list[Path] = []
    write = ScoreFolder.write

    def write_some(self: ScoreFolder, path: Path, schema: Any, frames: Any) -> None:
        if len(written) == after:
            raise KeyboardInterrupt
        written.append(path)
        write(self, path, schema, frames)

    with monkeypatch.context() as patch:
        patch.setattr(ScoreFolder, "write", write_some)
        with pytest.raises(KeyboardInterrupt):
            a20_parquet.score(dataset, classifier, resumed, **options)
    kept = {path: path.stat().st_mtime_ns for path in written}
    assert not a20_parquet.score(dataset, classifier, resumed, **options).was_complete
    for path, time in kept.items():
        assert not path.exists() or path.stat().st_mtime_ns == time
    for path in (whole / "data").iterdir():
        assert path.read_bytes() == (resumed / "data" / path.name).read_bytes()
    assert (whole / "scores.json").read_text() == (resumed / "scores.json").read_text()
    assert a20_parquet.score(dataset, classifier, resumed, **options).was_complete


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        ({"classes": ["other", *CLASSES[1:]]}, {}, "the classifier has the class other"),
        ({"weights": [[0.0] * DIMS, *WEIGHTS[1:].tolist()]}, {}, "other weights of class 0"),
        ({"bias": [*BIAS[:11].tolist(), 9.0]}, {}, "other weights of class 11"),
        ({"thresholds": 0.5}, {}, "thresholds is"),
        ({}, {"top": 3}, "is None, and was"),
        ({}, {"where": "channel = 0"}, "options is {'where': 'channel = 0'}, and was {}"),
    ],
    ids=str,
)
def test_other_scores_are_refused(
    dataset: Path, classifier: Path, change: dict[str, Any], options: dict[str, Any], told: str
) -> None:
    """What differs is named, and --overwrite replaces them."""
    folder = classifier.with_name("scores")
    a20_parquet.score(dataset, classifier, folder)
    classifier.write_text(json.dumps(content(**change)))
    with pytest.raises(UsageError, match=told):
        a20_parquet.score(dataset, classifier, folder, **options)
    done = a20_parquet.score(dataset, classifier, folder, overwrite=True, **options)
    assert not done.was_complete


def test_another_dataset_is_refused(datasets: dict[str, Path], classifier: Path) -> None:
    """A dataset that has grown is another one too."""
    folder = classifier.with_name("scores")
    a20_parquet.score(datasets["date"], classifier, folder)
    with pytest.raises(UsageError, match="the dataset has other files"):
        a20_parquet.score(datasets["site"], classifier, folder)


def test_folders_that_are_no_scores(dataset: Path, classifier: Path) -> None:
    """Nothing else is touched, with overwrite too."""
    folder = classifier.with_name("other")
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    file = classifier
    for path, told in (
        (folder, "has other files. Name a new folder"),
        (file, "is a file. Name a folder"),
        (dataset / "scores", "is inside the dataset"),
        ("memory://x", "can only be written to a local file"),
    ):
        for overwrite in (False, True):
            with pytest.raises(UsageError, match=told):
                a20_parquet.score(dataset, classifier, path, overwrite=overwrite)
    assert (folder / "mine.txt").read_text() == "mine"
    (folder / "mine.txt").unlink()
    (folder / "scores.json").write_text("{}")
    with pytest.raises(UsageError, match="not a plan of scores"):
        a20_parquet.score(dataset, classifier, folder, overwrite=True)

"""Scores every window of a dataset with linear classifiers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from a20_parquet.checks import check_count, count_workers
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import UsageError
from a20_parquet.formatting import format_count
from a20_parquet.progress import ProgressOption, open_progress
from a20_parquet.query.classifier import Classifier, Thresholds, check_thresholds, thresholds_of
from a20_parquet.query.classifier_file import read_classifier
from a20_parquet.query.kept_links import find_template
from a20_parquet.query.part import DatasetPart
from a20_parquet.query.score_folder import ScoreFolder, ScorePlan
from a20_parquet.query.score_run import ScoreRun
from a20_parquet.query.scorers import FunctionScorer, LinearScorer, Scorer
from a20_parquet.storage.path import local_file

# A unit of work is lost when scoring is killed.
_UNIT_BYTES = 512_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What ``score`` wrote."""

    folder: Path
    """Absolute; its ``data`` has the Parquet files."""
    classes: tuple[str, ...]
    rows: int
    """Windows and classes."""
    files: int
    windows_without: int
    """Windows without a score, because they are not finite."""
    was_complete: bool
    """Whether nothing was left to do."""


def score(  # noqa: PLR0913 - the command's options, each a keyword
    dataset: str | Path,
    classifier: Any,
    folder: str | Path,
    *,
    classes: Sequence[str] = (),
    threshold: Thresholds = None,
    top: int | None = None,
    sites: str | int | Sequence[str | int] = (),
    from_date: date | str | None = None,
    until_date: date | str | None = None,
    hours: str | None = None,
    where: str | None = None,
    link: str | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    progress: ProgressOption = None,
) -> Scores:
    """Score every window with a linear classifier, and write the windows of each class.

    Embeddings are streamed in bounded memory. If it is stopped, the same call resumes. The scores
    are computed in float64, so they do not depend on threads, blocks or interruptions.

    Args:
        dataset: its folder, or any fsspec URL of it.
        classifier: a file or URL (JSON, see ``schemas/classifier.schema.json``; that of QUT's
            embeddings-classifier and of Perch; or ``.npz`` with ``weights``, ``bias``, ``classes``
            and perhaps ``thresholds``), a fitted linear model with ``coef_``, ``intercept_`` and
            ``classes_``, or a function of embeddings, shape ``(n, dims)``, that returns scores,
            shape ``(n, classes)``.
        folder: to write to; new, or with the same scores begun.
        classes: names of the classes that a function scores.
        threshold: least score of windows that are written: one for all classes, one for each, or
            by class; by default that of the file.
        top: write only this number of windows with the largest scores for each class, whatever the
            thresholds.
        sites: score only these values of the key ``site``, or site numbers.
        from_date: score only windows that start on this local date (``YYYY-MM-DD``) or later.
        until_date: score only windows that start on this local date or earlier.
        hours: score only windows that start in these hours of the local day, such as ``4-7``.
        where: score only windows that pass this condition in SQL.
        link: template of a column ``link``, see ``similar``.
        overwrite: whether to replace other scores in the folder.
        workers: threads; by default the cores that this process may use.
        progress: ``True`` shows bars in a terminal or a notebook, and elsewhere a line every 30 s;
            or an object that receives the progress, see ``a20_parquet.progress.Progress``.

    Returns:
        What was written. ``folder/data`` has one row per window and class: ``filename``,
        ``recording_offset_in_file``, ``channel``, ``site_id``, ``file_seq_id``, ``window_start``,
        ``window_start_local``, the dataset's keys, ``class``, ``score`` (float64) and perhaps
        ``link``; in the dataset's order, or with ``top`` by class, best first.

    Raises:
        UsageError: the classifier does not fit, an option is invalid, or the folder has something
            else.
        DatasetError: the dataset cannot be read or the folder cannot be written.
    """
    workers = count_workers(workers)
    top = None if top is None else check_count("top", top)
    catalog = Catalog.open(dataset)
    scorer, given, name = _scorer(catalog, classifier, classes, threshold)
    thresholds = None if top is not None else check_thresholds(scorer.classes, given, name)
    part = DatasetPart.of(
        catalog,
        sites=sites,
        from_date=from_date,
        until_date=until_date,
        hours=hours,
        where=where,
    )
    template = find_template(catalog, link)
    run = ScoreRun(catalog, scorer, part.predicate, template, _UNIT_BYTES, workers)
    plan = ScorePlan(
        dataset=catalog.head.files_checksum,
        classes=scorer.fingerprints(),
        thresholds=None
        if thresholds is None
        else dict(zip(scorer.classes, thresholds.tolist(), strict=True)),
        top=top,
        options=_texts(
            sites=part.selection.sites,
            from_date=part.selection.first,
            until_date=part.selection.last,
            hours=hours,
            where=where,
            link=None if template is None else str(template),
        ),
    )
    target = local_file(folder)
    if catalog.is_local and target.resolve().is_relative_to(Path(catalog.root).resolve()):
        raise UsageError(f"{target} is inside the dataset. Name another folder for the scores.")
    output = ScoreFolder(target)
    plan, was_complete = output.begin(plan, overwrite=overwrite), False
    if plan.is_complete:
        was_complete = True
    else:
        with open_progress(progress) as shown:
            if top is not None:
                run.write_top(output, top, shown)
            elif thresholds is not None:
                run.write_above(output, thresholds, shown)
            plan = output.complete(plan)
            if plan.windows_without:
                without = format_count(plan.windows_without, "window")
                shown.say(f"{without} without a score: not finite")
    return Scores(
        folder=target,
        classes=scorer.classes,
        rows=output.count_rows(),
        files=len(output.files("data")),
        windows_without=plan.windows_without,
        was_complete=was_complete,
    )


def _scorer(
    catalog: Catalog, given: Any, classes: Sequence[str], threshold: Thresholds
) -> tuple[Scorer, Sequence[float | None], str]:
    """Return a scorer, its thresholds, and a name for messages."""
    if isinstance(given, str | Path):
        classifier = read_classifier(given)
    elif hasattr(given, "coef_") or not callable(given):
        classifier = Classifier.of_model(given)
    else:
        names = tuple(map(str, classes))
        if not names or len(set(names)) < len(names):
            raise UsageError(
                f"the classes of the function are {list(names)}, expected a name for each column "
                "of its scores."
            )
        what = "the function"
        return (
            FunctionScorer(given, names, catalog.dims),
            thresholds_of(names, threshold, what),
            what,
        )
    if classes:
        raise UsageError(f"{classifier.name} has classes of its own. Leave classes out.")
    classifier = classifier.with_thresholds(threshold)
    classifier.check_dims(catalog.dims, catalog.location)
    return LinearScorer(classifier), classifier.thresholds, classifier.name


def _texts(**options: object) -> dict[str, str]:
    """Return the options that were given, as texts."""
    return {name: str(value) for name, value in options.items() if value not in (None, ())}

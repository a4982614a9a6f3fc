"""``report``: writes an HTML page that shows what a dataset contains, and what it lacks."""

from pathlib import Path

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import UsageError
from a20_parquet.progress import ProgressOption, open_progress
from a20_parquet.reporting.contents import read_contents
from a20_parquet.reporting.render import GENERATOR, render
from a20_parquet.storage.files import write_whole
from a20_parquet.storage.locate import check_regular
from a20_parquet.storage.path import local_file

_HEAD_BYTES = 4096


def report(
    dataset: str | Path, file: str | Path | None = None, *, progress: ProgressOption = None
) -> Path:
    """Write an HTML page on a dataset; the page works offline and loads nothing.

    It shows recordings by site, day and hour, the sites on a map, a sample of the embeddings in two
    dimensions, what the conversions selected and assumed, and quarantine. Three small columns of
    each data file are read, and the embeddings of at most 2,000 windows in 250 files. The same
    dataset gives the same bytes, but for points of embeddings that other processors round
    differently.

    Args:
        dataset: its folder, or any fsspec URL of it.
        file: the page to write, by default ``<dataset's name>-report.html`` in the current
            folder. An existing file is replaced only if it is a report.
        progress: ``True`` shows bars in a terminal or a notebook, and elsewhere a line every 30 s;
            or an object that receives the progress, see ``a20_parquet.progress.Progress``.

    Returns:
        The page's absolute path.

    Raises:
        DatasetError: the path is not a complete dataset, or the dataset is damaged.
        UsageError: ``file`` exists and is not a report, or cannot be written.
    """
    catalog = Catalog.open(dataset)
    name = catalog.root.rpartition("/")[2] or "dataset"
    target = local_file(file or f"{name}-report.html")
    _check_target(target, catalog)
    shown = name if catalog.is_local else catalog.location
    with open_progress(progress) as shown_progress:
        page = render(read_contents(catalog, shown, shown_progress))
    try:
        write_whole(target, page)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error}. Name another file.") from error
    return target


def _check_target(target: Path, catalog: Catalog) -> None:
    """Raise ``UsageError`` if the page cannot or must not be written."""
    if catalog.is_local and target.resolve().is_relative_to(Path(catalog.path("data")).resolve()):
        raise UsageError(
            f"{target} is in the dataset's data folder, where readers expect Parquet files only. "
            "Name another path."
        )
    if target.is_dir():
        raise UsageError(f"{target} is a folder. Name a file for the page.")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is not a folder. Make it first, or name another file.")
    if target.exists() and not _is_report(target):
        raise UsageError(
            f"{target} is not a report of this program, so it is not replaced. Name another file."
        )


def _is_report(path: Path) -> bool:
    try:
        check_regular(path)
        with path.open("rb") as file:
            return GENERATOR.encode() in file.read(_HEAD_BYTES)
    except OSError:
        return False

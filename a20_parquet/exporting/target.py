"""What an export writes, and whether it may be written where the user wants it."""

import enum
from pathlib import Path
from typing import Final

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import UsageError
from a20_parquet.exporting.write_files import is_export
from a20_parquet.storage.path import AnyPath, StorePath, is_inside, local_file, parse_path


class ExportAs(enum.StrEnum):
    """What an export writes."""

    DATASET = "dataset"
    """A dataset of the same kind."""
    PARQUET = "parquet"
    """One Parquet file with all columns and the Hive keys."""
    NPY = "npy"
    """The embeddings, float32 of shape ``(windows, dims)``, and a Parquet file of the same name
    with all other columns, row by row."""
    TFRECORD = "tfrecord"
    """A folder of shards, with records and a ``config.json`` as Perch writes them."""
    HOPLITE = "hoplite"
    """A folder with a Hoplite database; needs perch-hoplite."""


_SUFFIXES: Final = {ExportAs.PARQUET: ".parquet", ExportAs.NPY: ".npy"}


def check_name(out: str | Path, form: ExportAs) -> None:
    """Raise UsageError if a path looks like another form of output."""
    name = str(out).rstrip("/").lower()
    wanted = _SUFFIXES.get(form)
    if wanted is not None and not name.endswith(wanted):
        raise UsageError(f"{out}: expected a file that ends in {wanted}, as --as {form} writes it.")
    for other, suffix in _SUFFIXES.items():
        if wanted is None and name.endswith(suffix):
            raise UsageError(f"{out} would be a folder. Give --as {other} for a file.")


def check_outside(path: AnyPath, catalog: Catalog) -> None:
    """Raise UsageError if an output is inside the dataset, or the dataset inside of it."""
    folder = parse_path(catalog.location)
    if isinstance(path, StorePath):
        inside = f"{path}/".startswith(f"{folder}/")
    else:
        inside = isinstance(folder, Path) and path.resolve().is_relative_to(folder.resolve())
    if inside:
        raise UsageError(f"{path} is inside the dataset {catalog.location}. Name another place.")
    if is_inside(catalog.filesystem, catalog.root, path):
        raise UsageError(f"{path} contains the dataset {catalog.location}. Name another place.")


def target_files(
    out: str | Path, form: ExportAs, catalog: Catalog, *, overwrite: bool
) -> list[Path]:
    """Return the files to write, the named one first.

    Raises:
        UsageError: one of them cannot or must not be written.
    """
    file = local_file(out)
    files = [file] if form is ExportAs.PARQUET else [file, file.with_suffix(".parquet")]
    if not file.parent.is_dir():
        raise UsageError(f"{file.parent} is not a folder. Make it first, or name another file.")
    for each in files:
        check_outside(each, catalog)
        if not each.exists():
            continue
        if not each.is_file():
            raise UsageError(f"{each} is not a file. Name another.")
        if not overwrite:
            raise UsageError(f"{each} already exists. Name another file, or give --overwrite.")
        if not is_export(each.with_suffix(".parquet")):
            raise UsageError(
                f"{each} was not written by a20-parquet export, so --overwrite does not replace "
                "it. Name another file."
            )
    return files

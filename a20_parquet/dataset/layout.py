"""Where the files of a dataset lie, and what may be done with what is already there."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel

from a20_parquet.errors import DatasetError, UsageError

FORMAT: Final = "a20_parquet"
_OVERWRITE = "Name another folder, or give --overwrite to delete it and start afresh."


@dataclass(frozen=True, slots=True)
class DatasetLayout:
    """The paths inside one dataset."""

    root: Path

    @classmethod
    def at(cls, dataset: str | Path) -> Self:
        """The dataset in a local folder, which need not be there.

        Raises:
            UsageError: it is a URL of another place.
        """
        text = str(dataset).removeprefix("file://")
        if "://" in text:
            raise UsageError(f"{dataset}: a dataset can only be written to a local folder.")
        return cls(Path(text).absolute())

    @property
    def data(self) -> Path:
        """The Hive folders, and nothing else."""
        return self.root / "data"

    @property
    def manifest(self) -> Path:
        """Written last: without it the dataset is not complete."""
        return self.root / "manifest.json"

    @property
    def files(self) -> Path:
        """One row a data file."""
        return self.root / "files.parquet"

    @property
    def conversion(self) -> Path:
        """What an unfinished conversion needs; gone when it is finished."""
        return self.root / "conversion"

    @property
    def plan(self) -> Path:
        """Inputs and options of an unfinished conversion."""
        return self.conversion / "plan.json"

    @property
    def units(self) -> Path:
        """A commit marker for each finished unit of the merge: the files that it wrote."""
        return self.conversion / "units"

    def claim(self, plan: BaseModel, *, overwrite: bool) -> None:
        """Begin a conversion here, if what lies here allows it.

        Args:
            plan: inputs and options, written first, so that whatever dies from now on is known
                as an unfinished conversion.
            overwrite: see ``check``.

        Raises:
            UsageError: something lies here that must not be touched.
            DatasetError: the folder can't be written.
        """
        self.check(overwrite=overwrite)
        try:
            self.conversion.mkdir(parents=True, exist_ok=True)
            write_durably(self.plan, plan.model_dump_json(indent=1))
            # The manifest goes first: from here on nothing passes for complete.
            self.manifest.unlink(missing_ok=True)
            self._delete_data()
            self._delete_all_but_plan()
            self.units.mkdir()
            self.data.mkdir()
        except OSError as error:
            raise DatasetError(f"{self.root}: can't be written: {error}") from error

    def abandon(self) -> None:
        """Remove all that an unfinished conversion has written, itself last."""
        self.manifest.unlink(missing_ok=True)
        self._delete_data()
        self.release()

    def release(self) -> None:
        """Remove the traces of the conversion, which leaves the dataset or an empty folder."""
        self._delete_all_but_plan()
        self.plan.unlink()
        self.conversion.rmdir()

    def _delete_all_but_plan(self) -> None:
        # Whoever is killed here must still be known by the plan.
        for path in self.conversion.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != self.plan:
                path.unlink()

    def _delete_data(self) -> None:
        self.files.unlink(missing_ok=True)
        if self.data.exists():
            shutil.rmtree(self.data)

    def check(self, *, overwrite: bool) -> None:
        """Refuse to convert into this folder if something lies here that must not be touched.

        Args:
            overwrite: whether a dataset, finished or not, may be deleted.

        Raises:
            UsageError: something does.
        """
        if not self.root.exists() or (self.root.is_dir() and not any(self.root.iterdir())):
            return
        if not self.root.is_dir():
            raise UsageError(f"{self.root} is a file. Name a folder for the dataset.")
        if _is_ours(self.plan) or self._was_hardly_begun():
            state = "holds an unfinished conversion"
        elif _is_ours(self.manifest):
            state = "holds a dataset already"
        else:
            raise UsageError(
                f"{self.root} is not empty and holds no dataset. Name another folder: this one is "
                "not touched, with --overwrite neither."
            )
        if not overwrite:
            raise UsageError(f"{self.root} {state}. {_OVERWRITE}")

    def _was_hardly_begun(self) -> bool:
        """Whether a conversion died before its plan was written, or after it was removed."""
        return (
            [path.name for path in self.root.iterdir()] == [self.conversion.name]
            and self.conversion.is_dir()
            and {path.name for path in self.conversion.iterdir()} <= {_temporary(self.plan).name}
        )


def _is_ours(path: Path) -> bool:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


def write_durably(path: Path, text: str) -> None:
    """Write a small file so that after a crash it is whole or not there."""
    temporary = _temporary(path)
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise

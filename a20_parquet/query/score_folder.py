"""The folder of scores: its plan, and its Parquet files, each written at once."""

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.formatting import first_names
from a20_parquet.storage.files import write_whole

_FORMAT: Final = "a20_parquet_scores"
_PLAN: Final = "scores.json"
_WITHOUT: Final = "a20_windows_without"
"""Key in a file's footer: the number of windows that have no score."""
_FLUSH_ROWS: Final = 1 << 16
_MAX_NAMED: Final = 5


class ScorePlan(BaseModel):
    """Everything that decides the rows of the scores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = _FORMAT
    version: int = 1
    dataset: str
    """Checksum of the dataset's list of files."""
    classes: dict[str, str]
    """Checksum of each class's weights and bias, or of a function's scores."""
    thresholds: dict[str, float] | None
    """None with ``top``."""
    top: int | None
    options: dict[str, str]
    """What part of the dataset was scored, and the link."""
    is_complete: bool = False
    windows_without: int = 0
    """Windows without a score, because they are not finite; counted when it is complete."""

    def difference(self, other: "ScorePlan") -> str | None:
        """Return what of another plan differs, in words; None if nothing does."""
        if self.dataset != other.dataset:
            return "the dataset has other files"
        for what, names in (
            ("has", other.classes.keys() - self.classes.keys()),
            ("has not", self.classes.keys() - other.classes.keys()),
        ):
            if names:
                return f"the classifier {what} the class {first_names(sorted(names), _MAX_NAMED)}"
        if changed := [name for name, sum_ in self.classes.items() if other.classes[name] != sum_]:
            return f"the classifier has other weights of {first_names(changed, _MAX_NAMED)}"
        if [*self.classes] != [*other.classes]:
            return "the classifier has its classes in another order"
        for name in ("thresholds", "top", "options"):
            mine, others = getattr(self, name), getattr(other, name)
            if mine != others:
                return f"{name} is {others}, and was {mine}"
        return None


class ScoreFolder:
    """A folder with ``scores.json`` and ``data/part-NNNNN.parquet``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, plan: ScorePlan, *, overwrite: bool) -> ScorePlan:
        """Start or resume scoring.

        Returns:
            The plan of the folder, complete or not.

        Raises:
            UsageError: the folder has something else, or scores of another plan.
            DatasetError: it cannot be written.
        """
        try:
            existing = self._existing()
            if existing is not None and not overwrite:
                if difference := existing.difference(plan):
                    raise UsageError(
                        f"{self._path} has scores of another kind: {difference}. Name another "
                        "folder, or give --overwrite."
                    )
                return existing
            if existing is not None:
                (self._path / _PLAN).unlink()
                for name in ("data", "units"):
                    shutil.rmtree(self._path / name, ignore_errors=True)
            self._path.joinpath("data").mkdir(parents=True, exist_ok=True)
            self._path.joinpath("units").mkdir(exist_ok=True)
            write_whole(self._path / _PLAN, plan.model_dump_json(indent=1) + "\n")
        except OSError as error:
            raise DatasetError(f"{self._path}: cannot be written: {error}") from error
        return plan

    def _existing(self) -> ScorePlan | None:
        if not self._path.exists():
            return None
        if not self._path.is_dir():
            raise UsageError(f"{self._path} is a file. Name a folder for the scores.")
        names = {path.name for path in self._path.iterdir()}
        try:
            plan = ScorePlan.model_validate_json((self._path / _PLAN).read_bytes())
        except FileNotFoundError:
            # A process that was killed at once has left empty folders.
            if names - {"data", "units", f"{_PLAN}.tmp"} or any(self.files("data")):
                raise UsageError(
                    f"{self._path} has other files. Name a new folder for the scores."
                ) from None
            return None
        except ValidationError as error:
            raise UsageError(
                f"{self._path / _PLAN} is not a plan of scores that this version reads. Name "
                "another folder."
            ) from error
        return plan

    def files(self, kind: str) -> list[Path]:
        """Return the Parquet files in ``data`` or ``units``, in order."""
        return sorted((self._path / kind).glob("part-*.parquet"))

    def path(self, kind: str, number: int) -> Path:
        """Return the path of a file."""
        return self._path / kind / f"part-{number:05d}.parquet"

    def write(self, path: Path, schema: Any, frames: Iterable[tuple[pl.DataFrame, int]]) -> None:
        """Write a Parquet file, which appears when it is whole.

        Args:
            path: from ``path``.
            schema: of its columns.
            frames: its rows, each with the number of windows that have no score.

        Raises:
            DatasetError: it cannot be written.
        """
        hidden = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        without = 0
        try:
            with pq.ParquetWriter(hidden, schema, compression="zstd") as writer:
                waiting: list[pl.DataFrame] = []
                for frame, undefined in frames:
                    waiting.append(frame)
                    without += undefined
                    if sum(map(len, waiting)) >= _FLUSH_ROWS:
                        writer.write_table(_table(waiting, schema))
                        waiting = []
                if waiting:
                    writer.write_table(_table(waiting, schema))
                writer.add_key_value_metadata({_WITHOUT: str(without)})
            with hidden.open("rb") as written:
                os.fsync(written.fileno())
            hidden.replace(path)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be written: {error}") from error
        finally:
            with suppress(OSError):
                hidden.unlink(missing_ok=True)

    def complete(self, plan: ScorePlan) -> ScorePlan:
        """Mark the scores as complete.

        Raises:
            DatasetError: it cannot be written.
        """
        try:
            footers = map(pq.read_metadata, [*self.files("data"), *self.files("units")])
            without = sum(int(footer.metadata[_WITHOUT.encode()]) for footer in footers)
            done = plan.model_copy(update={"is_complete": True, "windows_without": without})
            write_whole(self._path / _PLAN, done.model_dump_json(indent=1) + "\n")
            shutil.rmtree(self._path / "units", ignore_errors=True)
            for path in (self._path / "data").glob(".part-*.tmp"):
                path.unlink()
        except OSError as error:
            raise DatasetError(f"{self._path}: cannot be written: {error}") from error
        return done

    def count_rows(self) -> int:
        """Return the number of scores.

        Raises:
            DatasetError: a file cannot be read.
        """
        try:
            return sum(pq.read_metadata(path).num_rows for path in self.files("data"))
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"{self._path}: cannot be read: {error}") from error


def _table(frames: Sequence[pl.DataFrame], schema: Any) -> Any:
    return pl.concat(frames).to_arrow().cast(schema)

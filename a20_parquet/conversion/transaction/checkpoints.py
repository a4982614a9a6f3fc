"""Checkpoints of an unfinished conversion: its plan, and a commit marker of each finished unit.

A marker is written after its data and contains their checksums. If a power cut destroyed the data
but not the marker, the unit is done again.
"""

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import compress
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from a20_parquet.conversion.observations import Observations
from a20_parquet.conversion.transaction.scratch import (
    ScratchName,
    find_run,
    own_scratch,
    stored_run,
)
from a20_parquet.dataset.layout import FORMAT, DatasetLayout, FileName
from a20_parquet.dataset.manifest import QuarantinedShard, QuarantineFile
from a20_parquet.dataset.models import Count
from a20_parquet.dataset.options import ReadingOptions, TableOptions
from a20_parquet.dataset.summaries import FileSummary, Origin, ShardSummary
from a20_parquet.dataset.taken import format_option
from a20_parquet.errors import UsageError, flag
from a20_parquet.formatting import first_names
from a20_parquet.runs.run_files import RunFiles
from a20_parquet.storage.concurrent import map_at_once
from a20_parquet.storage.files import has_sum, write_whole
from a20_parquet.storage.locate import is_url
from a20_parquet.storage.path import AnyPath, StorePath, read_whole

Marker = TypeVar("Marker")

_MOST_NAMED = 3
# Fields of an origin that are no options.
_OF_THE_WHOLE = ("dataset", "files_checksum", "total_shards", "total_records", "total_windows")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedShard(_Frozen):
    """A shard that is to be converted."""

    label: FileName
    url: str
    bytes: int
    version: str
    """See ``Shard``."""
    sample_rate_hz: float | None = None
    """See ``Shard``."""

    def __str__(self) -> str:
        rate = f", {self.sample_rate_hz:g} Hz" if self.sample_rate_hz else ""
        return f"{self.url} ({self.bytes:,} bytes{rate})"


class Plan(_Frozen):
    """Inputs and options of an unfinished conversion."""

    format: Literal["a20_parquet"] = FORMAT
    version: Literal[2] = 2
    """Version of the plan's format and that of the commit markers."""
    id: str = Field(default_factory=lambda: secrets.token_hex(8))
    """Random; marks scratch folders as this conversion's."""
    options: TableOptions
    reading: ReadingOptions
    shards: tuple[PlannedShard, ...]
    npy_json: str | None
    """Folder of the notebook's files, or None."""
    base: str | None
    """Checksum of the list of files that it appends to; None for a new dataset."""
    scratch: tuple[ScratchName, ...]
    """Folders of its runs; new runs go to the last one."""
    origin: Origin | None = None
    """What is exported, and from where; None if shards are converted."""

    @classmethod
    def read(cls, layout: DatasetLayout) -> Self:
        """Read the plan of the unfinished conversion.

        Raises:
            UsageError: it is damaged, or another version of this program wrote it.
        """
        try:
            return cls.model_validate_json(read_whole(layout.plan))
        except ValidationError as error:
            raise UsageError(
                f"{layout.plan} is not a plan that this version can read "
                f"({error.errors()[0]['msg']}). Finish the conversion with the version that began "
                "it, or give --overwrite to start again."
            ) from error

    def own_scratch(self, layout: DatasetLayout) -> dict[str, AnyPath]:
        """Return the folders of runs that this conversion made, by their names in the plan."""
        return own_scratch(layout, self.id, self.scratch)

    def differences(self, other: "Plan") -> Iterator[str]:
        """Yield the differences from another plan that would change the dataset."""
        for mine, others in ((self.options, other.options), (self.reading, other.reading)):
            yield from option_differences(mine, others)
        yield from _origin_differences(self.origin, other.origin)
        if self.base != other.base:
            yield "it appends to another state of the dataset"
        yield from _shard_differences(self.shards, other.shards)


def option_differences(before: BaseModel, now: BaseModel) -> Iterator[str]:
    """Yield, for each option that differs, its new and its old value."""
    for name in type(before).model_fields:
        was, is_now = getattr(before, name), getattr(now, name)
        if was != is_now:
            yield f"{flag(name)} is {format_option(name, is_now)}, was {format_option(name, was)}"


def _origin_differences(before: Origin | None, now: Origin | None) -> Iterator[str]:
    if before is None or now is None:
        if before != now:
            yield "one is a conversion of shards, the other an export of a dataset"
        return
    if before.dataset != now.dataset:
        yield f"it exports {now.dataset}, was {before.dataset}"
    elif before.files_checksum != now.files_checksum:
        yield f"{now.dataset} has other files than before"
    same = {name: getattr(before, name) for name in _OF_THE_WHOLE}
    yield from option_differences(before, now.model_copy(update=same))


def _shard_differences(
    before: Sequence[PlannedShard], now: Sequence[PlannedShard]
) -> Iterator[str]:
    was = {shard.url: shard for shard in before}
    is_now = {shard.url: shard for shard in now}
    yield from _named("missing", [was[url] for url in was if url not in is_now])
    yield from _named("new", [is_now[url] for url in is_now if url not in was])
    both = [url for url in was if url in is_now]
    yield from _named("changed since", [is_now[url] for url in both if was[url] != is_now[url]])


def _named(what: str, shards: Sequence[PlannedShard]) -> Iterator[str]:
    if shards:
        yield f"{what}: {first_names([*map(str, shards)], _MOST_NAMED)}"


class SortedShards(_Frozen):
    """Result of the first pass for one unit, or for all shards.

    It is the commit marker of a unit whose runs are on scratch disk.
    """

    positions: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Positions of its shards in the plan."""
    shards: tuple[ShardSummary, ...]
    runs: tuple[RunFiles, ...]
    """On scratch disk."""
    quarantine: tuple[QuarantinedShard, ...]
    observations: Observations = Observations()

    @property
    def errors(self) -> int:
        """How many records and damaged ranges went to quarantine."""
        return sum(shard.quarantined + shard.damaged for shard in self.shards)

    @property
    def left_out(self) -> int:
        """How many windows are outside the selection."""
        return sum(shard.left_out for shard in self.shards)

    @model_validator(mode="after")
    def _check_positions(self) -> Self:
        if len(set(self.positions)) != len(self.positions) or len(self.positions) != len(
            self.shards
        ):
            raise ValueError("its shards have not one position each")
        return self


def commit_sorted(layout: DatasetLayout, unit: SortedShards, tag: str = "") -> None:
    """Write the commit marker of a unit of the first pass, after all its files.

    ``tag`` is part of its name, so that other attempts can write theirs at the same time.
    """
    layout.sorted.mkdir(parents=True, exist_ok=True)
    runs = tuple(run.model_copy(update={"path": stored_run(layout, run.path)}) for run in unit.runs)
    unit = unit.model_copy(update={"runs": runs})
    name = f"shards-{unit.positions[0]:06d}{tag}.json"
    write_whole(layout.sorted / name, unit.model_dump_json())


def sorted_units(
    layout: DatasetLayout, scratch: Mapping[str, AnyPath], shards: int
) -> Iterator[SortedShards]:
    """Read the commit markers of the first pass whose files have not changed.

    Each of the plan's ``shards`` is in at most one of them: a unit may have been finished twice,
    and a resumed conversion may have divided the shards differently.
    """
    markers = _read_markers(layout.sorted, TypeAdapter(SortedShards))
    units = [unit for marker in markers if (unit := _located(marker, scratch)) is not None]
    is_remote = isinstance(layout.root, StorePath)

    def is_there(unit: SortedShards) -> bool:
        staged = [file for shard in unit.quarantine for file in shard.files]
        runs = all(run.are_whole() for run in unit.runs)
        return runs and _are_whole(layout.staged_quarantine, staged)

    taken: set[int] = set()
    is_remote |= any(is_url(run.path) for unit in units for run in unit.runs)
    there = map_at_once(is_there, units, is_remote=is_remote)
    for unit in compress(units, there):
        if taken.isdisjoint(unit.positions) and max(unit.positions) < shards:
            taken.update(unit.positions)
            yield unit


def _located(unit: SortedShards, scratch: Mapping[str, AnyPath]) -> SortedShards | None:
    """Return a unit with the current paths of its runs; None if one is in a foreign folder."""
    paths = [find_run(run.path, scratch) for run in unit.runs]
    runs = tuple(
        run.model_copy(update={"path": path})
        for run, path in zip(unit.runs, paths, strict=True)
        if path is not None
    )
    return unit.model_copy(update={"runs": runs}) if len(runs) == len(unit.runs) else None


def remove_stray_runs(folders: Sequence[AnyPath], units: Sequence[SortedShards]) -> None:
    """Remove all runs that are not of the finished ``units``.

    Raises:
        OSError: a run cannot be removed.
    """
    known = {run.path.rpartition("/")[2] for unit in units for run in unit.runs}
    for folder in folders:
        for path in folder.iterdir() if folder.exists() else ():
            if path.name.startswith("run-") and path.name.partition(".")[0] not in known:
                path.unlink(missing_ok=True)


def _are_whole(folder: AnyPath, files: Sequence[QuarantineFile]) -> bool:
    return all(has_sum(folder / file.name, file.bytes, file.checksum) for file in files)


_DATA_FILES = TypeAdapter(tuple[FileSummary, ...])


def commit_unit(layout: DatasetLayout, files: Sequence[FileSummary], tag: str = "") -> None:
    """Write the commit marker of a unit of the merge, after all its files.

    It is named after its files, as these depend on memory and workers; for ``tag`` see
    ``commit_sorted``.
    """
    names = "\n".join(file.path for file in files).encode()
    name = f"unit-{hashlib.sha256(names).hexdigest()[:32]}{tag}.json"
    write_whole(layout.units / name, _DATA_FILES.dump_json(tuple(files)))


def committed_files(layout: DatasetLayout) -> dict[str, FileSummary]:
    """Read the files of finished units of the merge, by path, from their commit markers."""
    markers = _read_markers(layout.units, _DATA_FILES)
    return {file.path: file for marker in markers for file in marker}


def written_bytes(layout: DatasetLayout) -> int:
    """Return the bytes of all files of finished units of the merge."""
    return sum(file.bytes for file in committed_files(layout).values())


def is_whole(layout: DatasetLayout, files: Sequence[FileSummary]) -> bool:
    """Whether the files of a unit have not changed since they were written."""
    return all(has_sum(layout.root / file.path, file.bytes, file.checksum) for file in files)


def _read_markers(folder: AnyPath, kind: TypeAdapter[Marker]) -> Iterator[Marker]:
    """Read the markers in a folder, in order of their names; damaged ones are ignored."""
    names = {path.name: path for path in (folder.iterdir() if folder.exists() else ())}
    markers = [names[name] for name in sorted(names) if name.endswith(".json")]
    is_remote = isinstance(folder, StorePath)
    for content in map_at_once(read_whole, markers, is_remote=is_remote):
        with suppress(ValidationError):
            yield kind.validate_json(content)

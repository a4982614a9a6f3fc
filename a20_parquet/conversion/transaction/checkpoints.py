"""What an unfinished conversion remembers: its plan, and a commit marker for each finished unit.

A marker is written after its data and holds their checksums: where a power cut has taken the data
and left the marker, the unit is done again.
"""

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import compress
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from a20_parquet.conversion.gather import Observations
from a20_parquet.conversion.transaction.scratch import (
    ScratchName,
    located_run,
    own_scratch,
    stored_run,
)
from a20_parquet.dataset.layout import FORMAT, DatasetLayout, FileName
from a20_parquet.dataset.manifest import (
    Count,
    FileSummary,
    QuarantinedShard,
    QuarantineFile,
    ReadingOptions,
    ShardSummary,
    TableOptions,
)
from a20_parquet.dataset.taken import format_option
from a20_parquet.errors import UsageError, flag
from a20_parquet.runs.stored_run import RunFiles
from a20_parquet.storage.concurrent import map_at_once
from a20_parquet.storage.files import has_sum, write_whole
from a20_parquet.storage.locate import is_url
from a20_parquet.storage.path import AnyPath, StorePath, read_whole

Marker = TypeVar("Marker")

_MOST_NAMED = 3


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlannedShard(_Frozen):
    """A shard that is to be converted."""

    label: FileName
    url: str
    bytes: int
    version: str
    """What its store tells of when it was written; empty if that is nothing."""
    sample_rate_hz: float | None = None
    """As its summary will have it."""

    def __str__(self) -> str:
        rate = f", {self.sample_rate_hz:g} Hz" if self.sample_rate_hz else ""
        return f"{self.url} ({self.bytes:,} bytes{rate})"


class Plan(_Frozen):
    """What an unfinished conversion was asked to do."""

    format: Literal["a20_parquet"] = FORMAT
    version: Literal[2] = 2
    """Of what an unfinished conversion leaves, its commit markers included."""
    id: str = Field(default_factory=lambda: secrets.token_hex(8))
    """Drawn at random; by it scratch folders are known to be this conversion's."""
    options: TableOptions
    reading: ReadingOptions
    shards: tuple[PlannedShard, ...]
    npy_json: str | None
    """Folder of the notebook's files, where they are wanted."""
    base: str | None
    """Checksum of the list of files that it appends to; none for a new dataset."""
    scratch: tuple[ScratchName, ...]
    """Folders of its runs; new ones go to the last."""

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
                f"{layout.plan} is no plan that this version reads "
                f"({error.errors()[0]['msg']}). Finish the conversion with the version that began "
                "it, or give --overwrite to start afresh."
            ) from error

    def own_scratch(self, layout: DatasetLayout) -> dict[str, AnyPath]:
        """Return the folders of runs that this conversion made, by the names that it has for them.

        Args:
            layout: of the dataset that the plan is in.
        """
        return own_scratch(layout, self.id, self.scratch)

    def differences(self, other: "Plan") -> Iterator[str]:
        """Say in what another plan differs that would change the dataset."""
        for mine, others in ((self.options, other.options), (self.reading, other.reading)):
            yield from option_differences(mine, others)
        if self.base != other.base:
            yield "it appends to another state of the dataset"
        yield from _shard_differences(self.shards, other.shards)


def option_differences(before: BaseModel, now: BaseModel) -> Iterator[str]:
    """Say which options differ: what each is now, and what it was."""
    for name in type(before).model_fields:
        was, is_now = getattr(before, name), getattr(now, name)
        if was != is_now:
            yield f"{flag(name)} is {format_option(name, is_now)}, was {format_option(name, was)}"


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
        more = f" and {len(shards) - _MOST_NAMED:,} more" if len(shards) > _MOST_NAMED else ""
        yield f"{what}: {', '.join(map(str, shards[:_MOST_NAMED]))}{more}"


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

    Args:
        layout: of the dataset.
        unit: what is finished.
        tag: part of the marker's name, so that others may write one of the same unit meanwhile.
    """
    layout.sorted.mkdir(parents=True, exist_ok=True)
    runs = tuple(run.model_copy(update={"path": stored_run(layout, run.path)}) for run in unit.runs)
    unit = unit.model_copy(update={"runs": runs})
    name = f"shards-{unit.positions[0]:06d}{tag}.json"
    write_whole(layout.sorted / name, unit.model_dump_json())


def sorted_units(
    layout: DatasetLayout, scratch: Mapping[str, AnyPath], shards: int
) -> Iterator[SortedShards]:
    """Read the commit markers of the first pass whose files are all as they were written.

    Each shard is in one of them at the most: a unit may have been finished twice, and what one try
    had in one unit, another may have divided.

    Args:
        layout: of the dataset.
        scratch: where its runs may lie, see ``Plan.own_scratch``.
        shards: how many the plan has.
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
    """Say where the unit's runs lie now; None if one is in no folder of this conversion's."""
    paths = [located_run(run.path, scratch) for run in unit.runs]
    runs = tuple(
        run.model_copy(update={"path": path})
        for run, path in zip(unit.runs, paths, strict=True)
        if path is not None
    )
    return unit.model_copy(update={"runs": runs}) if len(runs) == len(unit.runs) else None


def remove_stray_runs(folders: Sequence[AnyPath], units: Sequence[SortedShards]) -> None:
    """Remove runs that no finished unit names: what made them was killed.

    Args:
        folders: where runs were written, see ``Plan.own_scratch``.
        units: of the first pass, all that are finished.

    Raises:
        OSError: one cannot be removed.
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

    Which files a unit has depends on memory and workers: its marker is named after them.

    Args:
        layout: of the dataset.
        files: of the unit, at least one.
        tag: part of the marker's name, so that others may write one of the same unit meanwhile.
    """
    names = "\n".join(file.path for file in files).encode()
    name = f"unit-{hashlib.sha256(names).hexdigest()[:32]}{tag}.json"
    write_whole(layout.units / name, _DATA_FILES.dump_json(tuple(files)))


def committed_files(layout: DatasetLayout) -> dict[str, FileSummary]:
    """Read from commit markers which files finished units of the merge have written, by path."""
    markers = _read_markers(layout.units, _DATA_FILES)
    return {file.path: file for marker in markers for file in marker}


def written_bytes(layout: DatasetLayout) -> int:
    """Bytes of all files that finished units of the merge have written."""
    return sum(file.bytes for file in committed_files(layout).values())


def is_whole(layout: DatasetLayout, files: Sequence[FileSummary]) -> bool:
    """Whether the files of a unit are as they were written."""
    return all(has_sum(layout.root / file.path, file.bytes, file.checksum) for file in files)


def _read_markers(folder: AnyPath, kind: TypeAdapter[Marker]) -> Iterator[Marker]:
    """Read the markers in a folder, in order; one that is damaged counts for nothing."""
    names = {path.name: path for path in (folder.iterdir() if folder.exists() else ())}
    markers = [names[name] for name in sorted(names) if name.endswith(".json")]
    is_remote = isinstance(folder, StorePath)
    for content in map_at_once(read_whole, markers, is_remote=is_remote):
        with suppress(ValidationError):
            yield kind.validate_json(content)

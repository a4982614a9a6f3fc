"""What makes a dataset complete: ``files.parquet`` and, written last, ``manifest.json``."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import crc32c
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, TypeAdapter

from a20_parquet.dataset.layout import FORMAT, DatasetLayout, write_durably
from a20_parquet.dataset.parquet import Compression
from a20_parquet.errors import DatasetError
from a20_parquet.table.partition import PartitionBy, period_value
from a20_parquet.table.schema import KEYS, Feature

VERSION: Final = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DataFile(_Frozen):
    """One Parquet file under ``data/``."""

    path: str
    """Relative to the dataset, with ``/``."""
    site: str
    period: int | None
    """See ``partition.periods``; none where the recording has no date."""
    rows: int
    bytes: int
    checksum: str
    """CRC32C of the whole file, eight hexadecimal digits."""
    first_window_us: int | None
    """Earliest ``window_start``, microseconds since 1970 in UTC."""
    last_window_us: int | None
    """Latest ``window_start``, likewise."""


class ShardSummary(_Frozen):
    """One shard that a dataset was made of."""

    label: str
    url: str
    bytes: int
    """Stored size."""
    checksum: str
    """SHA-256 of the lengths and payload CRCs of its frames, in hexadecimal."""
    records: int
    windows: int


class TableOptions(_Frozen):
    """Those options of a conversion that decide what the files hold."""

    partition_by: PartitionBy
    compression: Compression
    max_file_size: int
    row_group_rows: int
    window_seconds: float
    dims: int
    channels: tuple[int, ...] | None = None
    """Which channels of separated audio were taken; none where all were."""
    features: tuple[Feature, ...] = ()
    """Further columns, in their order."""


class Plan(_Frozen):
    """What an unfinished conversion was asked to do."""

    format: Literal["a20_parquet"] = FORMAT
    version: Literal[1] = VERSION
    options: TableOptions
    shards: tuple[tuple[str, str, int], ...]
    """Label, URL and stored size of each."""


class Totals(_Frozen):
    """What a dataset holds, counted."""

    shards: int
    records: int
    windows: int
    sites: int
    dates: int
    """Distinct values of the key after ``site``; 0 where there is none."""
    files: int
    bytes: int
    """Of all data files."""


class Manifest(_Frozen):
    """Says that a dataset is complete; depends on nothing but inputs and table options."""

    format: Literal["a20_parquet"] = FORMAT
    version: Literal[1] = VERSION
    options: TableOptions
    totals: Totals
    files_checksum: str
    """CRC32C of ``files.parquet``, eight hexadecimal digits."""
    shards: tuple[ShardSummary, ...]


_DATA_FILES = TypeAdapter(list[DataFile])


def commit_unit(layout: DatasetLayout, number: int, files: Sequence[DataFile]) -> None:
    """Write the commit marker of a unit of the merge, after all its files."""
    write_durably(_marker(layout, number), _DATA_FILES.dump_json(list(files)).decode())


def committed_files(layout: DatasetLayout, units: int) -> list[DataFile]:
    """Collect the files of all units, in order.

    Raises:
        DatasetError: a unit has no commit marker.
    """
    files = []
    for number in range(units):
        marker = _marker(layout, number)
        if not marker.exists():
            raise DatasetError(f"{marker} is missing: its files were not all written")
        files += _DATA_FILES.validate_json(marker.read_bytes())
    return files


def finalise(
    layout: DatasetLayout,
    options: TableOptions,
    shards: Sequence[ShardSummary],
    files: Sequence[DataFile],
) -> Manifest:
    """Write ``files.parquet``, then the manifest that makes the dataset complete."""
    sink = pa.BufferOutputStream()
    pq.write_table(_files_table(files, options.partition_by), sink)
    content = sink.getvalue()
    layout.files.write_bytes(content)
    has_period = options.partition_by.period is not None
    manifest = Manifest(
        options=options,
        totals=Totals(
            shards=len(shards),
            records=sum(shard.records for shard in shards),
            windows=sum(file.rows for file in files),
            sites=len({file.site for file in files}),
            dates=len({file.period for file in files}) if has_period else 0,
            files=len(files),
            bytes=sum(file.bytes for file in files),
        ),
        files_checksum=f"{crc32c.crc32c(content):08x}",
        shards=tuple(shards),
    )
    write_durably(layout.manifest, manifest.model_dump_json(indent=1) + "\n")
    return manifest


def _marker(layout: DatasetLayout, number: int) -> Any:
    return layout.units / f"unit-{number:06d}.json"


def _files_table(files: Sequence[DataFile], by: PartitionBy) -> Any:
    instant = pa.timestamp("us", tz="UTC")
    columns: dict[str, Any] = {
        "path": pa.array([file.path for file in files], pa.string()),
        "site": pa.array([file.site for file in files], KEYS["site"].type),
    }
    if by.period is not None:
        periods: list[Any] = [file.period for file in files]
        if by.period == "month":
            periods = [None if each is None else period_value(each, by) for each in periods]
        elif by.period == "date":
            periods = pa.array(periods, pa.int32())
        columns[by.period] = pa.array(periods).cast(KEYS[by.period].type)
    columns |= {
        "rows": pa.array([file.rows for file in files], pa.int64()),
        "bytes": pa.array([file.bytes for file in files], pa.int64()),
        "checksum": pa.array([file.checksum for file in files], pa.string()),
        "first_window_start": pa.array([file.first_window_us for file in files], instant),
        "last_window_start": pa.array([file.last_window_us for file in files], instant),
    }
    return pa.table(columns)

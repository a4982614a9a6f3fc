"""What makes a dataset complete: ``files.parquet`` and, written last, ``manifest.json``."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any, Final, Literal

import crc32c
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from a20_parquet.dataset.layout import FORMAT
from a20_parquet.dataset.names import DataPath, FileName
from a20_parquet.dataset.parquet import Compression
from a20_parquet.errors import DatasetError
from a20_parquet.table.partition import PartitionBy, PartitionKey, period_value
from a20_parquet.table.rejection import Reason
from a20_parquet.table.schema import KEYS, Feature, feature_bytes

VERSION: Final = 1
# What pydantic calls one, of a model and of a dataclass.
_UNKNOWN_FIELD: Final = ("extra_forbidden", "unexpected_keyword_argument")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileSummary(_Frozen):
    """One Parquet file under ``data/``."""

    path: DataPath
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

    @property
    def key(self) -> PartitionKey:
        """Its partition: ``site`` and period."""
        return self.site, self.period


class ShardSummary(_Frozen):
    """One shard that a dataset was made of."""

    label: FileName
    url: str
    bytes: int
    """Stored size."""
    checksum: str
    """SHA-256 of the lengths and payload CRCs of its frames and of its damaged bytes, in
    hexadecimal."""
    records: int
    """Whole frames, those in quarantine included."""
    windows: int
    """That it brought, duplicates that were dropped included."""
    left_out: int = 0
    """Windows that lie outside of what was asked for: other sites, dates or channels."""
    quarantined: int = 0
    """Records that lie in quarantine."""
    damaged: int = 0
    """Ranges of damaged bytes, which lie there as well."""
    shape_disagreements: int = 0
    """Records whose ``embedding_shape`` is not their tensor's."""
    sample_rate_hz: float | None = None
    """By which a ``timestamp_offset`` in audio samples was divided, as ``--sample-rate`` or Perch's
    ``config.json`` said; None if neither did. A retry with ``--sample-rate`` has its own."""
    conversion: int = 0
    """Which of the manifest's conversions took it."""
    retried: tuple[int, ...] = ()
    """Which later ones took records of it out of quarantine."""


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
    site_tokens: Literal[1, 2] = 1
    """By which rule names of recorders became values of ``site``: 1, the default, is that of
    earlier versions, by which several names may share one; 2 gives each name its own."""

    @property
    def row_bytes(self) -> int:
        """Bytes of a window's floats."""
        return self.dims * 4 + feature_bytes(self.features)

    @property
    def rows_per_file(self) -> int:
        """Rows of a file at the most."""
        return max(1, self.max_file_size // self.row_bytes)


class ReadingOptions(_Frozen):
    """Those options that decide which records and windows one conversion takes.

    They may differ between the conversions of a dataset.
    """

    filename_pattern: str | None = None
    unknown_site: str | None = None
    sample_rate: float | None = None
    """Of the recordings, in Hz; None if it was not given."""
    sites: str | None = None
    """Fingerprint of the sites table."""
    site: tuple[str, ...] = ()
    from_date: date | None = None
    until_date: date | None = None
    drop_duplicates: bool = False


class DuplicateCounts(_Frozen):
    """Windows of a conversion whose filename, offset and channel others have already."""

    identical: int = 0
    """Those that equal such a one bit for bit."""
    different: int = 0
    """Those that equal none."""
    names: tuple[str, ...] = ()
    """The first few."""


class Assumption(_Frozen):
    """Something that no input told, so that the conversion assumed it."""

    about: str
    """What it concerns, such as ``hop``."""
    text: str
    """What was assumed, and which option would tell it."""

    def __str__(self) -> str:
        return f"{self.about} assumed: {self.text}"


class ConversionSummary(_Frozen):
    """One conversion that brought shards into the dataset."""

    reading: ReadingOptions
    duplicates: DuplicateCounts
    assumptions: tuple[Assumption, ...] = ()
    hop_remark: str | None = None
    """Why its hop looks wrong, and which would fit."""
    left_out: int | None = None
    """Windows outside of what it was asked for: other sites, dates or channels. None where it was
    made before this was kept."""


class QuarantineFile(_Frozen):
    """One file in ``quarantine/``."""

    name: FileName
    bytes: int
    checksum: str
    """CRC32C of the whole file, eight hexadecimal digits."""


class QuarantinedShard(_Frozen):
    """What of one shard lies in ``quarantine/``."""

    label: FileName
    reasons: dict[Reason, int]
    """How many records and damaged ranges, by reason."""
    files: tuple[QuarantineFile, ...]
    checksum: str | None
    """That of the shard ``LABEL.tfrecord``, as in ``ShardSummary``; none where it has no record."""


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
    quarantined: int = 0
    """Records in quarantine."""
    damaged: int = 0
    """Ranges of damaged bytes in quarantine."""


class Manifest(_Frozen):
    """Says that a dataset is complete; depends on nothing but inputs and table options."""

    format: Literal["a20_parquet"] = FORMAT
    version: Literal[1] = VERSION
    options: TableOptions
    totals: Totals
    files_checksum: str
    """CRC32C of ``files.parquet``, eight hexadecimal digits."""
    shards: tuple[ShardSummary, ...]
    conversions: tuple[ConversionSummary, ...] = ()
    """In the order in which they were made."""
    quarantine: tuple[QuarantinedShard, ...] = ()

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """What its conversions assumed, each assumption once."""
        made = (each for conversion in self.conversions for each in conversion.assumptions)
        return tuple(dict.fromkeys(made))

    def count_reasons(self) -> dict[str, int]:
        """Count what lies in quarantine by reason, the most frequent first."""
        counts: Counter[str] = Counter()
        for shard in self.quarantine:
            counts.update({reason.value: count for reason, count in shard.reasons.items()})
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def parse_manifest(content: bytes, where: str) -> tuple[Manifest, tuple[str, ...]]:
    """Parse the content of ``manifest.json``.

    Fields that a later version of this program has added are ignored: the fields that this version
    knows mean the same. Whoever writes the manifest back would lose the others.

    Args:
        content: of the file.
        where: path or URL of the file, for messages.

    Returns:
        The manifest, and the names of fields that were ignored, such as ``totals.seconds``.

    Raises:
        DatasetError: the content is not a manifest, or has another format version.
    """
    try:
        return Manifest.model_validate_json(content), ()
    except ValidationError as error:
        if (version := _version_of(content)) > VERSION:
            raise DatasetError(
                f"{where} has format version {version}, and this version of a20-parquet reads "
                f"format version {VERSION}. Install a newer version."
            ) from error
        problems = error.errors()
        others = [each for each in problems if each["type"] not in _UNKNOWN_FIELD]
        if others:
            field = ".".join(map(str, others[0]["loc"]))
            raise DatasetError(
                f"{where} is no manifest that this version reads: {field}: {others[0]['msg']}. Was "
                "it written by another program or a newer version?"
            ) from error
        unknown = dict.fromkeys(_field_name(each["loc"]) for each in problems)
        return Manifest.model_validate_json(content, extra="ignore"), tuple(unknown)


def _version_of(content: bytes) -> int:
    """The format version that a manifest names; 0 where it names none."""
    try:
        version = json.loads(content)["version"]
    except (ValueError, TypeError, KeyError):
        return 0
    return version if isinstance(version, int) else 0


def _field_name(loc: Sequence[int | str]) -> str:
    return ".".join(part for part in loc if isinstance(part, str))


def make_manifest(  # noqa: PLR0913 - what a manifest holds
    options: TableOptions,
    *,
    files: Sequence[FileSummary],
    files_content: Any,
    shards: Sequence[ShardSummary],
    conversions: Sequence[ConversionSummary] = (),
    quarantine: Sequence[QuarantinedShard] = (),
) -> Manifest:
    """Put together what says that a dataset is complete.

    Args:
        options: of the dataset.
        files: all data files.
        files_content: of ``files.parquet``, see ``files_content``.
        shards: all that it was made of.
        conversions: all that made it.
        quarantine: what of the shards is not in it.
    """
    has_period = options.partition_by.period is not None
    return Manifest(
        options=options,
        totals=Totals(
            shards=len(shards),
            records=sum(shard.records for shard in shards),
            windows=sum(file.rows for file in files),
            sites=len({file.site for file in files}),
            dates=len({file.period for file in files}) if has_period else 0,
            files=len(files),
            bytes=sum(file.bytes for file in files),
            quarantined=sum(shard.quarantined for shard in shards),
            damaged=sum(shard.damaged for shard in shards),
        ),
        files_checksum=f"{crc32c.crc32c(files_content):08x}",
        shards=tuple(shards),
        conversions=tuple(conversions),
        quarantine=tuple(quarantine),
    )


def files_content(files: Sequence[FileSummary], by: PartitionBy) -> Any:
    """What ``files.parquet`` holds, as an Arrow buffer."""
    sink = pa.BufferOutputStream()
    pq.write_table(_files_table(files, by), sink)
    return sink.getvalue()


def _files_table(files: Sequence[FileSummary], by: PartitionBy) -> Any:
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

"""The manifest of a dataset: its options, shards, conversions, files and quarantine."""

from collections import Counter
from datetime import date
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from a20_parquet.dataset.file_bounds import FileBounds
from a20_parquet.dataset.layout import FORMAT, DataPath, FileName
from a20_parquet.parquet import Compression
from a20_parquet.windows.build import WindowRules
from a20_parquet.windows.exclusion import Exclusion
from a20_parquet.windows.filenames.parse import FilenameRules
from a20_parquet.windows.partition import PartitionBy, PartitionKey
from a20_parquet.windows.rejection import Reason
from a20_parquet.windows.schema import MAX_DIMS, Feature, feature_bytes
from a20_parquet.windows.selection import Selection

if TYPE_CHECKING:
    from a20_parquet.windows.filenames.site_table import SiteTable

VERSION: Final = 1
MAX_MODEL: Final = 200
"""Most characters of a model's name."""
_MOST: Final = (1 << 63) - 1

Count = Annotated[int, Field(ge=0, le=_MOST)]
Instant = Annotated[int, Field(ge=-_MOST, le=_MOST)]
Hertz = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileSummary(_Frozen):
    """One Parquet file under ``data/``."""

    path: DataPath
    """Relative to the dataset, with ``/``."""
    site: str
    period: Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)] | None
    """See ``partition.periods``; None if the recording has no date."""
    rows: Count
    bytes: Count
    checksum: str
    """CRC32C of the whole file, eight hexadecimal digits."""
    first_window_us: Instant | None
    """Earliest ``window_start``, microseconds since 1970 in UTC."""
    last_window_us: Instant | None
    """Latest ``window_start``, microseconds since 1970 in UTC."""
    bounds: FileBounds | None = None
    """None in datasets of earlier versions."""

    @property
    def key(self) -> PartitionKey:
        """The file's partition: ``site`` and period."""
        return self.site, self.period


class ShardSummary(_Frozen):
    """One shard of a dataset."""

    label: FileName
    url: str
    bytes: Count
    """Stored size."""
    checksum: str
    """SHA-256 of the lengths and payload CRCs of its frames and of its damaged bytes, in
    hexadecimal."""
    records: Count
    """Whole frames, those in quarantine included."""
    windows: Count
    """Windows that were converted, dropped duplicates included."""
    left_out: Count = 0
    """Windows outside of the selection: other sites, dates or channels."""
    quarantined: Count = 0
    """Records that are in quarantine."""
    damaged: Count = 0
    """Ranges of damaged bytes that are in quarantine."""
    shape_disagreements: Count = 0
    """Records whose ``embedding_shape`` differs from their tensor's shape."""
    sample_rate_hz: Hertz | None = None
    """Divisor of a ``timestamp_offset`` in audio samples, from ``--sample-rate`` or Perch's
    ``config.json``; None if neither was given. A retry with ``--sample-rate`` has its own."""
    conversion: Count = 0
    """Index of the manifest's conversion that added it."""
    retried: tuple[Count, ...] = ()
    """Indices of later conversions that took records of it out of quarantine."""


class TableOptions(_Frozen):
    """Options of a conversion that decide the content of the files."""

    partition_by: PartitionBy
    compression: Compression
    max_file_size: Annotated[int, Field(ge=1)]
    row_group_rows: Annotated[int, Field(ge=1)]
    window_seconds: Annotated[float, Field(gt=0, le=1e9)]
    """Seconds from one window's start to the next."""
    dims: Annotated[int, Field(ge=0, le=MAX_DIMS)]
    channels: tuple[Annotated[int, Field(ge=0, lt=1 << 15)], ...] | None = None
    """Channels of separated audio that were converted; None for all."""
    features: tuple[Feature, ...] = ()
    """Further columns, in order."""
    model: Annotated[str, Field(min_length=1, max_length=MAX_MODEL)] | None = None
    """Name and version of the model that made the embeddings, from ``--model`` or Perch's
    ``config.json``; None if neither tells it."""
    window_size_seconds: Annotated[float, Field(gt=0, le=1e9)] | None = None
    """Seconds of audio of a window, from Perch's ``config.json``; None if that does not tell it."""
    site_tokens: Literal[1, 2] = 1
    """Rule by which names of recorders became values of ``site``: 1, the default, is the rule of
    earlier versions, by which several names may share a value; with 2 each name has its own."""

    @property
    def row_bytes(self) -> int:
        """Bytes of a window's floats."""
        return self.dims * 4 + feature_bytes(self.features)

    @property
    def rows_per_file(self) -> int:
        """Most rows of a file."""
        return max(1, self.max_file_size // self.row_bytes)

    def window_rules(
        self,
        reading: "ReadingOptions",
        sites: "SiteTable | None",
        exclusion: Exclusion | None = None,
    ) -> WindowRules:
        """Return the rules by which one conversion turns records into windows."""
        return WindowRules(
            window_s=self.window_seconds,
            by=self.partition_by,
            dims=self.dims,
            channels=self.channels,
            features=self.features,
            filenames=FilenameRules(
                reading.filename_pattern, sites, reading.unknown_site, self.site_tokens
            ),
            selection=Selection.of(
                reading.site, reading.from_date, reading.until_date, site_tokens=self.site_tokens
            ),
            exclusion=exclusion,
        )


class ListedFile(_Frozen):
    """A CSV file that names windows, or times in recordings."""

    name: FileName
    """Without its folder."""
    checksum: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the file, in hexadecimal."""
    rows: Count

    def __eq__(self, other: object) -> bool:
        """Lists are the same if their content is, whatever the name."""
        return isinstance(other, ListedFile) and self.checksum == other.checksum

    def __hash__(self) -> int:
        return hash(self.checksum)

    def __str__(self) -> str:
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        return f"{self.name} ({rows}, SHA-256 {self.checksum[:8]}…)"


class ReadingOptions(_Frozen):
    """Options that decide which records and windows one conversion converts.

    They may differ between the conversions of a dataset.
    """

    filename_pattern: str | None = None
    unknown_site: str | None = None
    sample_rate: Hertz | None = None
    """Sample rate of the recordings in Hz; None if it was not given."""
    sites: str | None = None
    """Fingerprint of the sites table."""
    site: tuple[str, ...] = ()
    from_date: date | None = None
    until_date: date | None = None
    exclude: ListedFile | None = None
    """The list of what was left out."""
    where: str | None = None
    """The SQL expression that is true for the windows that were taken."""
    drop_duplicates: bool = False


class LeftOutCounts(_Frozen):
    """Windows that a conversion left out because of ``exclude`` or ``where``."""

    listed: Count = 0
    """Windows that the list names."""
    unused_rows: Count = 0
    """Rows of the list that name no window of the selected sites and dates."""
    where: Count = 0
    """Other windows for which the expression is false or null."""


class DuplicateCounts(_Frozen):
    """Windows of a conversion that share filename, offset and channel with an earlier window."""

    identical: Count = 0
    """Windows that equal an earlier one bit for bit."""
    different: Count = 0
    """Windows that equal none of the earlier ones."""
    names: tuple[str, ...] = ()
    """Names of the first few."""


class Assumption(_Frozen):
    """A value that the conversion assumed, because no input contains it."""

    about: str
    """The value, such as ``hop``."""
    text: str
    """What was assumed, and the option that sets it."""

    def __str__(self) -> str:
        return f"{self.about} assumed: {self.text}"


class ConversionSummary(_Frozen):
    """One conversion that added shards to the dataset."""

    reading: ReadingOptions
    duplicates: DuplicateCounts
    version: Annotated[str, Field(max_length=64)] | None = None
    """Version of the program that converted; None if an earlier one did."""
    assumptions: tuple[Assumption, ...] = ()
    hop_remark: str | None = None
    """Why its hop seems wrong, and which hop would fit."""
    left_out: Count | None = None
    """Windows outside of the selection: other sites, dates or channels, and those of ``excluded``.
    None if an earlier version converted, which did not count them."""
    excluded: LeftOutCounts | None = None
    """None if neither ``exclude`` nor ``where`` was given."""


class Origin(_Frozen):
    """A dataset that another one is a part of, and which part."""

    dataset: str
    """Its absolute path or URL when the part was exported."""
    files_checksum: str
    """As in its manifest."""
    total_shards: Count
    total_records: Count
    total_windows: Count
    """Of the whole dataset."""
    where: str | None = None
    """The SQL expression that is true for the windows of the part."""
    windows: ListedFile | None = None
    """The list of the windows of the part."""
    exclude: ListedFile | None = None
    """The list of what was left out."""
    per: tuple[str, ...] = ()
    """Columns whose values make groups; empty if no sample was taken."""
    sample: Annotated[int, Field(ge=1)] | None = None
    """Windows of each group, or all of a group that has fewer."""
    seed: Count = 0

    def __str__(self) -> str:
        options = [
            "" if self.where is None else f"--where {quote(self.where)}",
            f"--windows {self.windows}" if self.windows else "",
            f"--exclude {self.exclude}" if self.exclude else "",
            f"--per {','.join(self.per)} {self.sample} --seed {self.seed}" if self.per else "",
        ]
        return " ".join(filter(None, options)) or "everything"


class QuarantineFile(_Frozen):
    """One file in ``quarantine/``."""

    name: FileName
    bytes: Count
    checksum: str
    """CRC32C of the whole file, eight hexadecimal digits."""


class QuarantinedShard(_Frozen):
    """Records and damaged ranges of one shard in ``quarantine/``."""

    label: FileName
    reasons: dict[Reason, Count]
    """Number of records and damaged ranges by reason."""
    files: tuple[QuarantineFile, ...]
    checksum: str | None
    """Checksum of ``LABEL.tfrecord`` as in ``ShardSummary``; None if there are no records."""


class Totals(_Frozen):
    """Counts of a dataset."""

    shards: Count
    records: Count
    windows: Count
    sites: Count
    dates: Count
    """Distinct values of the key after ``site``; 0 if there is no such key."""
    files: Count
    bytes: Count
    """Size of all data files."""
    quarantined: Count = 0
    """Records in quarantine."""
    damaged: Count = 0
    """Ranges of damaged bytes in quarantine."""


class Manifest(_Frozen):
    """Marks a dataset as complete; depends only on inputs and table options."""

    format: Literal["a20_parquet"] = FORMAT
    version: Literal[1] = VERSION
    id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None = None
    """Identifies the dataset, also in its files; appends and exported parts keep it. It follows
    from the first conversion (``dataset_id``), so that equal conversions give equal files. None if
    earlier versions wrote the dataset."""
    options: TableOptions
    totals: Totals
    files_checksum: str
    """CRC32C of ``files.parquet``, eight hexadecimal digits."""
    shards: tuple[ShardSummary, ...]
    conversions: tuple[ConversionSummary, ...] = ()
    """In order of time."""
    quarantine: tuple[QuarantinedShard, ...] = ()
    origins: tuple[Origin, ...] = ()
    """The dataset that this one is a part of, then the one which that is a part of, and so on;
    empty if it was made from shards. A part lists no shards, and the conversions of the whole."""
    checksum: str | None = None
    """CRC32C, eight hexadecimal digits, of all other fields as compact ASCII JSON with sorted keys:
    ``json.dumps(fields, sort_keys=True, separators=(",", ":"))`` in Python. None in manifests of
    earlier versions."""

    @model_validator(mode="after")
    def _check_numbers(self) -> Self:
        # Manifests of the first versions list no conversions, and their shards have number 0.
        known = max(1, len(self.conversions))
        for shard in self.shards:
            if max((shard.conversion, *shard.retried)) >= known:
                raise ValueError(f"{shard.label} is of a conversion that is not listed")
        return self

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """Assumptions of all conversions, each once."""
        made = (each for conversion in self.conversions for each in conversion.assumptions)
        return tuple(dict.fromkeys(made))

    def count_reasons(self) -> dict[str, int]:
        """Count records and damaged ranges in quarantine by reason, most frequent first."""
        counts: Counter[str] = Counter()
        for shard in self.quarantine:
            counts.update({reason.value: count for reason, count in shard.reasons.items()})
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

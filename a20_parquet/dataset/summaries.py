"""What a manifest tells of each file, shard and conversion, and of a dataset's origin."""

from shlex import quote
from typing import Annotated

from pydantic import Field

from a20_parquet.dataset.file_bounds import FileBounds
from a20_parquet.dataset.layout import DataPath, FileName
from a20_parquet.dataset.models import Count, FrozenModel, Hertz, Instant
from a20_parquet.dataset.options import ListedFile, ReadingOptions
from a20_parquet.windows.half import Rounding
from a20_parquet.windows.partition import PartitionKey


class FileSummary(FrozenModel):
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
    rounding: Rounding | None = None
    """How its halves differ from the shards' floats, until the manifest tells it of the whole
    conversion; None for float32."""

    @property
    def key(self) -> PartitionKey:
        """The file's partition: ``site`` and period."""
        return self.site, self.period


class ShardSummary(FrozenModel):
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


class LeftOutCounts(FrozenModel):
    """Windows that a conversion left out because of ``exclude`` or ``where``."""

    listed: Count = 0
    """Windows that the list names."""
    unused_rows: Count = 0
    """Rows of the list that name no window of the selected sites and dates."""
    where: Count = 0
    """Other windows for which the expression is false or null."""


class DuplicateCounts(FrozenModel):
    """Windows of a conversion that share filename, offset and channel with an earlier window."""

    identical: Count = 0
    """Windows that equal an earlier one bit for bit."""
    different: Count = 0
    """Windows that equal none of the earlier ones."""
    names: tuple[str, ...] = ()
    """Names of the first few."""


class Assumption(FrozenModel):
    """A value that the conversion assumed, because no input contains it."""

    about: str
    """The value, such as ``hop``."""
    text: str
    """What was assumed, and the option that sets it."""

    def __str__(self) -> str:
        return f"{self.about} assumed: {self.text}"


class ConversionSummary(FrozenModel):
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
    rounding: Rounding | None = None
    """How the halves of its windows differ from the shards' floats; None if files store float32."""


class Origin(FrozenModel):
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

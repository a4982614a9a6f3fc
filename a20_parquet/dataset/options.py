"""Options of conversions that a manifest keeps."""

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import Field

from a20_parquet.dataset.layout import FileName
from a20_parquet.dataset.models import Count, FrozenModel, Hertz
from a20_parquet.parquet import Compression
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.schema import MAX_DIMS, Feature, Store, feature_bytes

MAX_MODEL: Final = 200
"""Most characters of a model's name."""


class TableOptions(FrozenModel):
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

    store: Store = Store.FLOAT32
    """How files store the floats of embeddings; readers of this program get float32."""
    keys_in_files: bool = False
    """Whether the files repeat the Hive keys as columns, see ``schema.key_columns``."""

    @property
    def key_columns(self) -> tuple[str, ...]:
        """Hive keys that the files repeat."""
        return self.partition_by.keys if self.keys_in_files else ()

    @property
    def row_bytes(self) -> int:
        """Bytes of a window's floats in a file."""
        return self.dims * self.store.item_bytes + feature_bytes(self.features)

    @property
    def rows_per_file(self) -> int:
        """Most rows of a file."""
        return max(1, self.max_file_size // self.row_bytes)


class ListedFile(FrozenModel):
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


class ReadingOptions(FrozenModel):
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

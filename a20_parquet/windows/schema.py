"""The columns of a dataset, one row per window, and the further features of records."""

import enum
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from a20_parquet.errors import UsageError

EMBEDDING = "embedding"
MAX_FEATURE_SIZE = 100_000
"""The limit of DuckDB's arrays."""
MAX_DIMS = (1 << 31) - 1
"""Most floats of an embedding: the limit of Arrow's lists."""
MAX_CHANNELS = 1 << 15
"""The column ``channel`` is an int16."""
MAX_TEXT_BYTES = 1 << 16
"""Most bytes of a text or binary value, which is repeated for each window."""
_NO_FEATURES = (
    *("timestamp_s", "timestamp_offset", "embedding_shape"),
    *("period", "shard", "record", "a20_data_file"),
)
"""Further names that no feature may have; the last four are sort keys and DuckDB's file column."""


class Store(enum.StrEnum):
    """How files store the floats of embeddings."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    """Rounded to the nearest half, two bytes each."""

    @property
    def type(self) -> Any:
        """Arrow type of an element."""
        return pa.float16() if self is Store.FLOAT16 else pa.float32()

    @property
    def item_bytes(self) -> int:
        """Bytes of an element."""
        return 2 if self is Store.FLOAT16 else 4


class FeatureKind(enum.StrEnum):
    """How records store a feature; it decides the column's type."""

    TENSOR = "tensor"
    """One serialized ``TensorProto`` of float32 or float16, shape ``(windows, channels, size)``,
    ``(windows, size)`` or ``(windows)``, as Perch writes logits:
    ``fixed_size_list<float32>[size]``."""
    FLOAT = "float"
    """A ``float_list``: ``float32``, or ``fixed_size_list<float32>[size]``."""
    INT64 = "int64"
    """An ``int64_list``: ``int64``, or ``fixed_size_list<int64>[size]``."""
    STRING = "string"
    """A ``bytes_list`` of UTF-8 texts: ``string``."""
    BINARY = "binary"
    """A ``bytes_list`` of any bytes: ``binary``."""

    @property
    def is_text(self) -> bool:
        """Whether values have a variable number of bytes."""
        return self in {FeatureKind.STRING, FeatureKind.BINARY}


class FeatureScope(enum.StrEnum):
    """What the values of a record's feature belong to, in the order of the embedding's axes."""

    RECORD = "record"
    """One value (or ``size`` values) per record, repeated for its windows."""
    WINDOW = "window"
    """One per window, repeated for its channels."""
    CHANNEL = "channel"
    """One per channel of each window."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column and its meaning."""

    name: str
    type: Any
    """Arrow type."""
    meaning: str
    unit: str | None = None
    """None for names, counts and calendar days."""
    nullable: bool = True

    @property
    def field(self) -> Any:
        """The Arrow field."""
        return pa.field(self.name, self.type, nullable=self.nullable)


_UTC = pa.timestamp("us", tz="UTC")
_INSTANT = "microseconds since 1970-01-01 00:00 UTC"

METADATA = (
    Column("filename", pa.string(), "the recording, as the shard names it", nullable=False),
    Column("site_id", pa.int32(), "285 of the folder site_0285"),
    Column("site_name", pa.string(), "the recorder's place"),
    Column("subsite_name", pa.string(), "Wet-A, Wet-B, Dry-A or Dry-B"),
    Column("file_seq_id", pa.int64(), "the A2O's id of the recording"),
    Column("file_timestamp", _UTC, "start of the recording", _INSTANT),
    Column(
        "utc_offset_minutes",
        pa.int16(),
        "of the recording's local time; null where the name says Z",
        "minutes",
    ),
    Column(
        "file_seconds_since_midnight",
        pa.int32(),
        "time of day at which the recording starts, local",
        "seconds",
    ),
    Column(
        "recording_offset_in_file",
        pa.float64(),
        "from the recording's start to the window's",
        "seconds",
        nullable=False,
    ),
    Column("window_start", _UTC, "start of the window", _INSTANT),
    Column(
        "window_start_local",
        pa.timestamp("us"),
        "the same on the recorder's wall clock; UTC where that is unknown",
        "microseconds since 1970-01-01 00:00 on that clock",
    ),
    Column("channel", pa.int16(), "0, or others where audio was separated", nullable=False),
)
"""All columns except the embedding, in order."""


KEYS = {
    column.name: column
    for column in (
        Column(
            "site",
            pa.string(),
            "site_0285 where the id is known, else the recorder's name, with _ for what a folder "
            "cannot hold, and a hash where other names would be written alike",
        ),
        Column(
            "date",
            pa.date32(),
            "local day on which the window starts; UTC's where that is unknown",
        ),
        Column("month", pa.string(), "local month in which the window starts, such as 2020-10"),
        Column("year", pa.int64(), "local year in which the window starts"),
    )
}
"""The Hive keys, which are in the folders' names and not in the files."""


KEY_SUFFIX: Final = "_key"
"""What names of the Hive keys end in where they are columns of the files too: several readers
refuse a column that is in the file and in the path."""


def key_columns(keys: tuple[str, ...]) -> tuple[Column, ...]:
    """Hive keys as columns of the files, such as ``site_key`` and ``date_key``."""
    return tuple(replace(KEYS[key], name=f"{key}{KEY_SUFFIX}") for key in keys)


_ITEMS: Final = {
    FeatureKind.TENSOR: pa.float32(),
    FeatureKind.FLOAT: pa.float32(),
    FeatureKind.INT64: pa.int64(),
    FeatureKind.STRING: pa.string(),
    FeatureKind.BINARY: pa.binary(),
}
_MEANINGS: Final = {
    FeatureScope.RECORD: "the record's feature {}, the same for all its windows",
    FeatureScope.WINDOW: "the record's feature {} for the window",
    FeatureScope.CHANNEL: "the record's feature {} for the window and channel",
}


@dataclass(frozen=True, slots=True)
class Feature:
    """A further feature of the records that becomes a column, such as Perch's logits.

    Its form is found in sampled records or given by the user. A record without the feature has
    null; one with another form of it goes to quarantine.

    Raises:
        UsageError: no column can have this name or size.
    """

    name: str
    """Name of feature and column."""
    size: int
    """Values per row; most bytes of a text. 0 if not known yet."""
    kind: FeatureKind = FeatureKind.TENSOR
    scope: FeatureScope = FeatureScope.WINDOW
    """What its values belong to; ignored for a tensor, whose shape gives it."""

    def __post_init__(self) -> None:
        """Check name and size."""
        # DuckDB ignores case in names.
        taken = {EMBEDDING, *(column.name for column in METADATA), *KEYS, *_NO_FEATURES}
        if self.name.casefold() in taken:
            raise UsageError(
                f"--feature {self.name} cannot be carried along: a column or Hive key has this "
                "name, or it is not a feature of its own."
            )
        most, unit = MAX_FEATURE_SIZE, "values a window"
        if self.kind.is_text:
            most, unit = MAX_TEXT_BYTES, "bytes a value"
        if not 0 <= self.size <= most:
            raise UsageError(
                f"feature {self.name!r} has {self.size:,} {unit}, more than the {most:,} that a "
                f"column can hold. Leave --feature {self.name} out."
            )

    def __str__(self) -> str:
        """As ``--feature`` takes it."""
        if self.kind is FeatureKind.TENSOR:
            return self.name
        return f"{self.name}:{self.kind}[{self.size}]:{self.scope}"

    @property
    def width(self) -> int:
        """Values per row."""
        return 1 if self.kind.is_text else self.size

    @property
    def is_list(self) -> bool:
        """Whether a row holds a list."""
        return self.kind is FeatureKind.TENSOR or self.width > 1

    @property
    def row_bytes(self) -> int:
        """Most bytes of a row's values."""
        return self.size if self.kind.is_text else self.size * _ITEMS[self.kind].bit_width // 8

    @property
    def column(self) -> Column:
        """Its column; null if a record lacks the feature."""
        item = _ITEMS[self.kind]
        items = pa.list_(pa.field("element", item, nullable=False), self.size)
        return Column(
            self.name,
            items if self.is_list else item,
            _MEANINGS[self.scope].format(self.name),
            None if self.kind.is_text else "the model's own",
        )


def feature_bytes(features: tuple[Feature, ...]) -> int:
    """Most bytes of a window's values of all features."""
    return sum(feature.row_bytes for feature in features)


def text_bytes(features: tuple[Feature, ...]) -> int:
    """Most bytes of a text feature; 0 without texts."""
    return max((feature.size for feature in features if feature.kind.is_text), default=0)


def columns(
    dims: int, features: tuple[Feature, ...] = (), store: Store = Store.FLOAT32
) -> tuple[Column, ...]:
    """All columns of a dataset with ``dims`` floats an embedding."""
    embedding = Column(
        EMBEDDING,
        pa.list_(pa.field("element", store.type, nullable=False), dims),
        "the model's embedding of the window",
        "the model's own, without dimension",
        nullable=False,
    )
    return (embedding, *METADATA, *(feature.column for feature in features))


def file_columns(
    dims: int, features: tuple[Feature, ...], store: Store, keys: tuple[str, ...]
) -> tuple[Column, ...]:
    """All columns of the files of a dataset, which may repeat some Hive ``keys``."""
    return (*columns(dims, features, store), *key_columns(keys))


@lru_cache
def file_schema(
    dims: int, features: tuple[Feature, ...], store: Store, keys: tuple[str, ...]
) -> Any:
    """The Arrow schema of the files of a dataset; see ``file_columns``."""
    return pa.schema([column.field for column in file_columns(dims, features, store, keys)])


@lru_cache
def metadata_schema(features: tuple[Feature, ...] = ()) -> Any:
    """The Arrow schema of all columns except the embedding."""
    return pa.schema([*(column.field for column in METADATA), *(f.column.field for f in features)])


@lru_cache
def window_schema(
    dims: int, features: tuple[Feature, ...] = (), store: Store = Store.FLOAT32
) -> Any:
    """The Arrow schema of windows with ``dims`` floats an embedding."""
    return pa.schema([column.field for column in columns(dims, features, store)])

"""What a dataset says of itself: model, windows, columns with units, and who wrote it."""

from dataclasses import dataclass
from pathlib import Path

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.manifest_content import existing_id
from a20_parquet.windows.schema import KEYS, Column, file_columns


@dataclass(frozen=True, slots=True)
class ColumnDescription:
    """One column, or one Hive key."""

    name: str
    type: str
    """Its Arrow type."""
    unit: str | None
    """None for names, counts and calendar days."""
    meaning: str
    nullable: bool

    @classmethod
    def of(cls, column: Column) -> "ColumnDescription":
        """Describe a column."""
        return cls(column.name, str(column.type), column.unit, column.meaning, column.nullable)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDescription:
    """Result of ``describe``; each data file says the same of itself, but for ``versions``."""

    id: str
    """16 hexadecimal digits, which follow from the shards and options of the first conversion."""
    model: str | None
    """Name and version of the model that made the embeddings; None if nothing tells them."""
    dims: int
    """Floats per embedding."""
    window_seconds: float | None
    """Seconds of audio of a window; None if nothing tells them."""
    hop_seconds: float
    """Seconds from one window's start to the next."""
    versions: tuple[str, ...]
    """Versions of this program that converted, in order of time; empty if they did not say."""
    columns: tuple[ColumnDescription, ...]
    """The columns in the files."""
    keys: tuple[ColumnDescription, ...]
    """The Hive keys, which are in folders' names."""


def describe(dataset: str | Path) -> DatasetDescription:
    """Say what the values of a dataset mean, and how they were made.

    Args:
        dataset: its folder, or any fsspec URL of it.

    Raises:
        DatasetError: the path is not a complete dataset, or its manifest is damaged.
    """
    return catalog_description(Catalog.open(dataset))


def catalog_description(catalog: Catalog) -> DatasetDescription:
    """Describe an opened dataset; see ``describe``."""
    head, by = catalog.head, catalog.partition_by
    stored = file_columns(catalog.dims, catalog.features, catalog.store, catalog.file_keys)
    versions = [each.version for each in head.conversions if each.version]
    keys = [KEYS["site"], *([KEYS[by.period]] if by.period else [])]
    return DatasetDescription(
        id=head.id or existing_id(catalog.manifest),
        model=head.options.model,
        dims=catalog.dims,
        window_seconds=head.options.window_size_seconds,
        hop_seconds=head.options.window_seconds,
        versions=tuple(dict.fromkeys(versions)),
        columns=tuple(map(ColumnDescription.of, stored)),
        keys=tuple(map(ColumnDescription.of, keys)),
    )

"""An existing dataset, as a conversion that appends to it needs it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest import Manifest, QuarantinedShard, QuarantineFile
from a20_parquet.dataset.quarantine import DAMAGED, LIST, RECORDS, Entry, read_entries
from a20_parquet.dataset.summaries import FileSummary, ShardSummary
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.storage.files import has_sum
from a20_parquet.windows.partition import PartitionKey

if TYPE_CHECKING:
    from a20_parquet.dataset.catalog import Catalog
    from a20_parquet.dataset.sites import KeptSites


@dataclass(frozen=True, slots=True)
class Retry:
    """Records in quarantine that are a source of the conversion, to be tried again."""

    shard: ShardSummary
    """The shard that they came from."""
    records: tuple[Entry, ...]
    """In the order of ``quarantine/LABEL.tfrecord``."""
    damaged: tuple[Entry, ...]
    """Damaged ranges of the same shard, which stay in quarantine."""
    files: tuple[QuarantineFile, ...]
    """The file of these ranges, if there are any."""


@dataclass(frozen=True, slots=True)
class ExistingDataset:
    """A complete dataset."""

    catalog: "Catalog"
    files: tuple[FileSummary, ...]
    """In the dataset's order."""
    sites: "KeptSites | None"
    layout: DatasetLayout

    @classmethod
    def open(cls, layout: DatasetLayout) -> Self:
        """Read a dataset's manifest, list of files and sites table.

        Raises:
            DatasetError: it is damaged, or its manifest has fields that this version would lose.
        """
        from a20_parquet.dataset.catalog import Catalog
        from a20_parquet.dataset.sites import KeptSites

        catalog = Catalog.open(str(layout.root))
        if unknown := catalog.unknown_fields:
            raise DatasetError(
                f"{catalog.url('manifest.json')} has fields that this version of a20-parquet does "
                f"not know and would lose: {', '.join(unknown)}. The dataset can be read, but only "
                "a newer version can add to it."
            )
        files = tuple(catalog.data_files())
        return cls(catalog, files, KeptSites.read(catalog), layout)

    def check_appendable(self) -> None:
        """Raise UsageError if shards cannot be added: a part of a dataset would be mixed."""
        if origins := self.manifest.origins:
            raise UsageError(
                f"{self.layout.root} is a part of {origins[0].dataset}, made by a20-parquet "
                "export: shards cannot be added to it. Name another folder, or add them to the "
                "whole dataset and export again."
            )

    @property
    def manifest(self) -> Manifest:
        """The dataset's manifest."""
        return self.catalog.manifest

    @property
    def labels(self) -> dict[str, str]:
        """URL of each shard by its label."""
        return {shard.label: shard.url for shard in self.manifest.shards}

    @property
    def sizes(self) -> set[int]:
        """Stored sizes of all shards in the dataset, in bytes."""
        shards = {shard.bytes for shard in self.manifest.shards}
        return shards | {file.bytes for _, file in self._quarantined_records()}

    @property
    def contents(self) -> dict[tuple[int, str], list[ShardSummary]]:
        """Shards by stored size and content checksum."""
        shards: dict[tuple[int, str], list[ShardSummary]] = {}
        for shard in self.manifest.shards:
            shards.setdefault((shard.bytes, shard.checksum), []).append(shard)
        return shards

    def find_retry(self, name: str, size: int, checksum: str) -> Retry | None:
        """Find the records in quarantine of which a shard consists; None if there are none.

        If several files have the same stored size in bytes and content checksum, the one of this
        name is preferred.

        Raises:
            DatasetError: their list in quarantine cannot be read, or was changed.
        """
        same = [
            (file.name != name, quarantined)
            for quarantined, file in self._quarantined_records()
            if (size, checksum) == (file.bytes, quarantined.checksum)
        ]
        return self._make_retry(min(same, key=lambda each: each[0])[1]) if same else None

    def _quarantined_records(self) -> Sequence[tuple[QuarantinedShard, QuarantineFile]]:
        return [
            (shard, file)
            for shard in self.manifest.quarantine
            for file in shard.files
            if file.name == f"{shard.label}{RECORDS}"
        ]

    def _make_retry(self, quarantined: QuarantinedShard) -> Retry:
        label = quarantined.label
        for file in quarantined.files:
            path = self.layout.quarantine / file.name
            if file.name == f"{label}{LIST}" and not has_sum(path, file.bytes, file.checksum):
                raise DatasetError(
                    f"{path}: its size or checksum is not the one in manifest.json. Was the file "
                    "edited or cut? Convert the shards again."
                )
        entries = list(read_entries(self.layout.quarantine, label))
        if Counter(entry.reason for entry in entries) != quarantined.reasons:
            raise DatasetError(
                f"{self.layout.quarantine / label}{LIST}: its reasons are not those in "
                "manifest.json. Was the file edited or cut? Convert the shards again."
            )
        return Retry(
            shard=next(shard for shard in self.manifest.shards if shard.label == label),
            records=tuple(entry for entry in entries if not entry.reason.is_damage),
            damaged=tuple(entry for entry in entries if entry.reason.is_damage),
            files=tuple(f for f in quarantined.files if f.name == f"{label}{DAMAGED}"),
        )

    def next_parts(self) -> dict[PartitionKey, int]:
        """Number of the next file of each partition."""
        parts: dict[PartitionKey, int] = {}
        for file in self.files:
            number = int(file.path.rpartition("-")[2].removesuffix(".parquet"))
            parts[file.key] = max(parts.get(file.key, 0), number + 1)
        return parts

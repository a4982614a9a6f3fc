"""The manifest of a dataset: its options, shards, conversions, files and quarantine."""

from collections import Counter
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from a20_parquet.dataset.layout import FORMAT, FileName
from a20_parquet.dataset.models import Count, FrozenModel
from a20_parquet.dataset.options import TableOptions
from a20_parquet.dataset.summaries import Assumption, ConversionSummary, Origin, ShardSummary
from a20_parquet.windows.rejection import Reason

VERSION: Final = 1


class QuarantineFile(FrozenModel):
    """One file in ``quarantine/``."""

    name: FileName
    bytes: Count
    checksum: str
    """CRC32C of the whole file, eight hexadecimal digits."""


class QuarantinedShard(FrozenModel):
    """Records and damaged ranges of one shard in ``quarantine/``."""

    label: FileName
    reasons: dict[Reason, Count]
    """Number of records and damaged ranges by reason."""
    files: tuple[QuarantineFile, ...]
    checksum: str | None
    """Checksum of ``LABEL.tfrecord`` as in ``ShardSummary``; None if there are no records."""


class Totals(FrozenModel):
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


class ManifestHead(FrozenModel):
    """A manifest without its shards and quarantine: the part that queries read."""

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
    conversions: tuple[ConversionSummary, ...] = ()
    """In order of time."""
    origins: tuple[Origin, ...] = ()
    """The dataset that this one is a part of, then the one which that is a part of, and so on;
    empty if it was made from shards. A part lists no shards, and the conversions of the whole."""
    checksum: str | None = None
    """CRC32C, eight hexadecimal digits, of all other fields as compact ASCII JSON with sorted keys:
    ``json.dumps(fields, sort_keys=True, separators=(",", ":"))`` in Python. None in manifests of
    earlier versions."""

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """Assumptions of all conversions, each once."""
        made = (each for conversion in self.conversions for each in conversion.assumptions)
        return tuple(dict.fromkeys(made))


class Manifest(ManifestHead):
    """Marks a dataset as complete; depends only on inputs and table options."""

    shards: tuple[ShardSummary, ...]
    quarantine: tuple[QuarantinedShard, ...] = ()

    @model_validator(mode="after")
    def _check_numbers(self) -> Self:
        # Manifests of the first versions list no conversions, and their shards have number 0.
        known = max(1, len(self.conversions))
        for shard in self.shards:
            if max((shard.conversion, *shard.retried)) >= known:
                raise ValueError(f"{shard.label} is of a conversion that is not listed")
        return self

    def count_reasons(self) -> dict[str, int]:
        """Count records and damaged ranges in quarantine by reason, most frequent first."""
        counts: Counter[str] = Counter()
        for shard in self.quarantine:
            counts.update({reason.value: count for reason, count in shard.reasons.items()})
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

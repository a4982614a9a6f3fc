"""What a finished conversion did."""

from dataclasses import dataclass, field
from pathlib import Path

from a20_parquet.dataset.manifest import Assumption, DuplicateCounts, Totals
from a20_parquet.shards.discover import PassedOver


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What a finished conversion did."""

    dataset: Path | str
    """Its folder, or its URL where it lies in a store."""
    totals: Totals
    """Of the dataset, what it held before included."""
    new_shards: int = 0
    """That were converted, those in quarantine that were tried again left out."""
    retried_shards: int = 0
    """Shards in quarantine that were tried again."""
    held_shards: int = 0
    """Of the sources, that the dataset had already."""
    other_options: tuple[str, ...] = ()
    """Which options differ from those that shards of the dataset were converted with before."""
    new_windows: int = 0
    """That were written."""
    left_out: int = 0
    """Windows of the new shards outside of what was asked for: other sites, dates, channels."""
    missing_sites: tuple[str, ...] = ()
    """Of the wanted sites, those of which the new shards have no recording at all."""
    quarantine: dict[str, int]
    """What lies in quarantine, counted by reason, the most frequent first."""
    duplicates: DuplicateCounts = field(default_factory=DuplicateCounts)
    """Among the new windows, and between these and what the dataset held."""
    dropped_duplicates: bool = False
    """Whether the identical ones were left out."""
    shape_disagreements: int = 0
    """Records whose ``embedding_shape`` is not their tensor's."""
    other_features: tuple[str, ...] = ()
    """Names of features that the records have and the dataset has not."""
    assumptions: tuple[Assumption, ...] = ()
    """What no input told."""
    hop_remark: str | None = None
    """Why the hop looks wrong, and which would fit."""
    widths: tuple[tuple[int, int], ...] = ()
    """Where the records' embeddings differ in their number of floats: each number, the dataset's
    first, and how many records have it."""
    copies: tuple[tuple[str, ...], ...] = ()
    """URLs of shards that hold the same records, a group each, of which at least one is new."""
    is_resumed: bool = False
    """Whether it went on with an unfinished conversion."""
    source_bytes: int = 0
    """Stored size of all new shards."""
    retries: int = 0
    """Requests to stores that failed for a moment and were repeated."""
    seconds: float = 0.0
    """Wall time."""
    runs_on_disk: int = 0
    """Runs that went to scratch disk; 0 where all windows fitted the memory budget."""
    passed_over: tuple[PassedOver, ...] = ()
    """Files of the sources that are no shards."""
    warnings: tuple[str, ...] = ()
    """Shards that seem to be missing, options that contradict Perch's ``config.json``, and columns
    of the sites table that are not used."""
    hint: str | None = None
    """Advice on the Hive keys."""
    npy_json: Path | None = None
    """Folder of the notebook's files, where they were asked for."""

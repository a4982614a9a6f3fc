"""Counts the numbers of floats that embeddings of sampled records have."""

from collections import Counter
from collections.abc import Sequence

from a20_parquet.errors import UsageError
from a20_parquet.formatting import format_count
from a20_parquet.tfrecord.shard import Shard


class WidthCounter:
    """Counts the sampled records by the number of floats of their embeddings."""

    def __init__(self) -> None:
        self._records: Counter[int] = Counter()
        self._shards: dict[int, list[Shard]] = {}

    def add(self, shard: Shard, dims: Sequence[int]) -> None:
        """Count some of a shard's records, by the floats of their embeddings."""
        self._records.update(dims)
        for width in sorted(set(dims)):
            shards = self._shards.setdefault(width, [])
            if not shards or shards[-1].position != shard.position:
                shards.append(shard)

    def __contains__(self, width: int) -> bool:
        """Whether the embedding of a record has so many floats."""
        return width in self._records

    def check(self) -> None:
        """Raise UsageError if the records have several widths."""
        if len(self._records) < 2:  # noqa: PLR2004 - several
            return
        raise UsageError(
            f"the embeddings of the shards differ in their number of floats, as their first "
            f"records show: {self._found}. Give {self._options}: records of other widths then go "
            "to quarantine. Convert them into another dataset, with their own --dims. Nothing was "
            "written."
        )

    def check_some(self, dims: int) -> None:
        """Raise UsageError if the records have other widths than ``dims``."""
        if self._records and dims not in self:
            raise UsageError(
                f"--dims is {dims}, and no sampled record has so many floats. They have "
                f"{self._found}. Give {self._options}, or name the shards that have {dims}. If a "
                "dataset of another width was made of them, name its quarantine. Nothing was "
                "written or deleted."
            )

    @property
    def _order(self) -> list[int]:
        """The widths, the most frequent first."""
        return sorted(self._records, key=lambda width: (-self._records[width], width))

    @property
    def _found(self) -> str:
        return "; ".join(map(self._format_width, self._order))

    @property
    def _options(self) -> str:
        return " or ".join(f"--dims {width}" for width in self._order)

    def _format_width(self, width: int) -> str:
        records = format_count(self._records[width], "record")
        shards = self._shards[width]
        more = " and others" if len(shards) > 1 else ""
        of = format_count(len(shards), "shard")
        return f"{width} in {records} of {of} ({shards[0].url}{more})"

"""How many floats embeddings have, counted: shards of two models may lie in one folder."""

from collections import Counter
from collections.abc import Sequence

from a20_parquet.errors import UsageError
from a20_parquet.formatting import format_count
from a20_parquet.tfrecord.shard import Shard


class WidthCounter:
    """Counts the records that were looked at by the number of their floats."""

    def __init__(self) -> None:
        self._records: Counter[int] = Counter()
        self._shards: dict[int, list[Shard]] = {}

    def add(self, shard: Shard, dims: Sequence[int]) -> None:
        """Count some of a shard's records.

        Args:
            shard: that they are from; one shard's come one after another.
            dims: floats of each one's embedding.
        """
        self._records.update(dims)
        for width in sorted(set(dims)):
            shards = self._shards.setdefault(width, [])
            if not shards or shards[-1].position != shard.position:
                shards.append(shard)

    def __contains__(self, width: int) -> bool:
        """Whether a record has so many floats."""
        return width in self._records

    def check(self) -> None:
        """Refuse to choose among several.

        Raises:
            UsageError: there are several; it names each with its counts.
        """
        if len(self._records) < 2:  # noqa: PLR2004 - several
            return
        raise UsageError(
            f"the shards' embeddings differ in their number of floats, as their first records "
            f"show: {self._found}. Give {self._options}: records of other widths go to quarantine "
            "then, and make a dataset of their own when they are converted with theirs. Nothing "
            "was written."
        )

    def check_some(self, dims: int) -> None:
        """Refuse a width that none of the records has.

        Raises:
            UsageError: the records that were looked at have others; it names each.
        """
        if self._records and dims not in self:
            raise UsageError(
                f"--dims is {dims}, and no record that was looked at has so many floats. They have "
                f"{self._found}. Give {self._options}, or name the shards that have {dims}; what "
                "has another width than a dataset lies in its quarantine, which can be named too. "
                "Nothing was written or deleted."
            )

    @property
    def _order(self) -> list[int]:
        """The most frequent first."""
        return sorted(self._records, key=lambda width: (-self._records[width], width))

    @property
    def _found(self) -> str:
        return "; ".join(map(self._told, self._order))

    @property
    def _options(self) -> str:
        return " or ".join(f"--dims {width}" for width in self._order)

    def _told(self, width: int) -> str:
        records = format_count(self._records[width], "record")
        shards = self._shards[width]
        more = " and others" if len(shards) > 1 else ""
        of = format_count(len(shards), "shard")
        return f"{width} in {records} of {of} ({shards[0].url}{more})"

"""How many floats embeddings have, counted: shards of two models may lie in one folder."""

from collections import Counter
from collections.abc import Sequence

from a20_parquet.amounts import format_count
from a20_parquet.errors import UsageError
from a20_parquet.source.shard import Shard


class WidthCounter:
    """Counts the records that were looked at by the number of their floats."""

    def __init__(self) -> None:
        self._records: Counter[int] = Counter()
        self._shards: dict[int, list[Shard]] = {}

    def add(self, shard: Shard, dims: Sequence[int]) -> None:
        """Count a shard's first records.

        Args:
            shard: that they are from.
            dims: floats of each one's embedding.
        """
        self._records.update(dims)
        for width in sorted(set(dims)):
            self._shards.setdefault(width, []).append(shard)

    def check(self) -> None:
        """Refuse to choose among several.

        Raises:
            UsageError: there are several; it names each with its counts.
        """
        if len(self._records) < 2:  # noqa: PLR2004 - several
            return
        order = sorted(self._records, key=lambda width: (-self._records[width], width))
        found = "; ".join(map(self._told, order))
        raise UsageError(
            f"the shards' embeddings differ in their number of floats, as their first records "
            f"show: {found}. Give {' or '.join(f'--dims {width}' for width in order)}: records of "
            "other widths go to quarantine then, and make a dataset of their own when they are "
            "converted with theirs. Nothing was written."
        )

    def _told(self, width: int) -> str:
        records = format_count(self._records[width], "record")
        shards = self._shards[width]
        more = " and others" if len(shards) > 1 else ""
        of = format_count(len(shards), "shard")
        return f"{width} in {records} of {of} ({shards[0].url}{more})"

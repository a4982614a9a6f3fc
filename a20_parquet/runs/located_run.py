"""Runs whose embeddings stay in the shards: only their locations and metadata are sorted.

An embedding is read where it is stored when its file is written.
"""

from typing import Any

import pyarrow as pa

from a20_parquet.runs.run import Rows
from a20_parquet.runs.shard_reader import Locations, ShardFiles, ShardReader
from a20_parquet.windows.order import find_partitions, sort_order


class LocatedRun:
    """Windows whose embeddings are in the shards; any number of threads may read it.

    Attributes:
        partitions: the partitions, in order.
        dims: floats per embedding.
    """

    on_disk = False
    is_remote = False

    def __init__(self, files: ShardFiles, locations: Locations, keyed: Any, dims: int) -> None:
        """Sort windows.

        Args:
            files: the shards.
            locations: of the windows' embeddings.
            keyed: the windows' metadata, a table of ``keyed_schema()`` with at least one row.
            dims: floats per embedding.
        """
        order = sort_order(keyed)
        self._reader = ShardReader(files, dims)
        self._locations = locations[order]
        self._metadata = keyed.take(pa.array(order)).combine_chunks().to_batches()[0]
        self.partitions = find_partitions(self._metadata)
        self.dims = dims

    def __len__(self) -> int:
        """Count the windows."""
        return len(self._locations)

    def read_metadata(self, start: int, stop: int) -> Any:
        """See ``Run``."""
        return self._metadata.slice(start, stop - start)

    def read_embeddings(self, start: int, out: Rows) -> None:
        """See ``Run``, and ``ShardReader.read``."""
        self._reader.read(
            self.locations(start, start + len(out) + self._reader.ahead_rows), out, start
        )

    def locations(self, start: int, stop: int) -> Locations:
        """Return where the embeddings of rows ``start`` to before ``stop`` are."""
        return self._locations[start:stop]

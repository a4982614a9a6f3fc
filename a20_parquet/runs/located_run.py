"""Runs whose embeddings stay in the shards: only their locations and metadata are sorted.

An embedding is read where it is stored when its file is written.
"""

from a20_parquet.runs.locations import Locations, Pieces
from a20_parquet.runs.run import Rows, SortedMetadata
from a20_parquet.runs.shard_reader import ShardFiles, ShardReader
from a20_parquet.windows.window_table import WindowTable


class LocatedRun(SortedMetadata):
    """Windows whose embeddings are in the shards; any number of threads may read it.

    Attributes:
        dims: floats per embedding.
    """

    def __init__(
        self, files: ShardFiles, locations: Locations, windows: WindowTable, dims: int
    ) -> None:
        """Sort windows.

        Args:
            files: the shards.
            locations: of the windows' embeddings.
            windows: their metadata, of one window or more.
            dims: floats per embedding.
        """
        self._reader = ShardReader(files, dims)
        self._locations = locations[self._sort(windows)]
        self._pieces = Pieces.of(self._locations, dims)
        self.dims = dims

    def read_embeddings(self, start: int, out: Rows) -> None:
        """See ``Run``, and ``ShardReader.read``."""
        self._reader.read(self._pieces, out, start)

    def locations(self, start: int, stop: int) -> Locations:
        """Return where the embeddings of rows ``start`` to before ``stop`` are."""
        return self._locations[start:stop]

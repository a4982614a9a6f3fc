"""The windows of shards, as a comparison with their dataset needs them: again and again."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from a20_parquet.dataset.manifest import TableOptions
from a20_parquet.errors import RecordError, SourceError
from a20_parquet.source.decode import TensorFlowDecoder
from a20_parquet.source.discover import Listing
from a20_parquet.source.frames import FrameReader, tell_progress
from a20_parquet.source.shard import Shard, open_content
from a20_parquet.table.fingerprint import BlockSink, WindowBlock
from a20_parquet.table.windows import keyed_metadata

_BATCH_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardAccount:
    """What became of a shard's records when they were read."""

    label: str
    bytes: int
    """Stored size."""
    checksum: str
    """See ``ShardSummary``; empty where the shard could not be read to its end."""
    records: int
    windows: int
    problem: str | None = None
    """Why it could not be read to its end."""


class SourceWindows:
    """Shards that are read as a dataset's conversion read them; may be shared by threads."""

    def __init__(self, listing: Listing, options: TableOptions) -> None:
        """Prepare to read.

        Args:
            listing: the shards.
            options: of the dataset.
        """
        self.shards = listing.shards
        self._options = options
        self._decoder = TensorFlowDecoder()

    def read(self, shard: Shard, sink: BlockSink, advance: Callable[[int], None]) -> ShardAccount:
        """Read one shard.

        Args:
            shard: one of ``shards``.
            sink: gets its windows, with the shard's label.
            advance: called with the number of stored bytes that were read.
        """
        windows = 0
        problem = None
        try:
            with open_content(shard) as content:
                reader = FrameReader(shard, content, _BATCH_BYTES)
                for records in tell_progress(reader.batches(), content, advance):
                    decoded = self._decoder.decode(records)
                    decoded.check_dims(self._options.dims)
                    metadata = keyed_metadata(
                        [decoded.heads], self._options.window_seconds, self._options.partition_by
                    )
                    if len(metadata):
                        tensors = [
                            tensor.reshape(-1, self._options.dims) for tensor in decoded.embeddings
                        ]
                        embeddings = np.concatenate(tensors).astype(np.float32, copy=False)
                        sink(shard.label, WindowBlock(metadata, embeddings))
                    windows += len(metadata)
            checksum, count = reader.checksum, reader.records
        except (RecordError, SourceError) as error:
            problem = str(error)
            checksum, count = "", 0
        return ShardAccount(
            label=shard.label,
            bytes=shard.size,
            checksum=checksum,
            records=count,
            windows=windows,
            problem=problem,
        )

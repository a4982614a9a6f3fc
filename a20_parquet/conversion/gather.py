"""Gathers the windows of one unit: embeddings are copied to a buffer, or their locations noted."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from a20_parquet.runs.located_run import LocatedRun
from a20_parquet.runs.locations import LOCATION, Locations
from a20_parquet.runs.run import InMemoryRun, Rows
from a20_parquet.runs.shard_reader import MOST_LOCATED_BYTES, ShardFiles
from a20_parquet.tfrecord.records import Records
from a20_parquet.tfrecord.shard import HEADER_BYTES, unmasked_crc
from a20_parquet.windows.build import WindowRules, sort_table
from a20_parquet.windows.records import DecodedRecords, Embedding, FeatureValues, RecordMetadata
from a20_parquet.windows.selection import LeftOut
from a20_parquet.windows.window_table import WindowTable


class Gatherer:
    """Gathers records until their windows are sorted.

    Attributes:
        windows: number of windows of each shard, by its position.
        left_out: number of its windows outside the selection.
        noticed: what these are, of all shards.
    """

    def __init__(self, rules: WindowRules) -> None:
        """Begin without records.

        Args:
            rules: how records become windows.
        """
        self.windows: Counter[int] = Counter()
        self.left_out: Counter[int] = Counter()
        self.noticed = LeftOut()
        self._rules = rules
        self._records: list[RecordMetadata] = []
        self._features: dict[str, list[FeatureValues | None]] = {
            feature.name: [] for feature in rules.features
        }

    def leave_out(self, windows: Mapping[int, int], noticed: LeftOut) -> None:
        """Count windows outside the selection.

        Args:
            windows: their number, by the position of their shard.
            noticed: what these are.
        """
        self.left_out.update(windows)
        self.noticed = LeftOut.merged([self.noticed, noticed])

    def _note(self, taken: DecodedRecords, start: int, stop: int) -> None:
        whole = stop - start == len(taken.metadata)
        self._records.append(taken.metadata if whole else taken.metadata.take(range(start, stop)))
        for name, tensors in self._features.items():
            tensors.extend(taken.features[name][start:stop])

    def _take_table(self) -> tuple[WindowTable, npt.NDArray[np.int64]]:
        """Return the windows of the records gathered, and forget these.

        Windows outside the selection are counted and left out.

        Returns:
            Their metadata, unsorted; and for each window its number among all windows of the
            records.
        """
        windows = sort_table(self._records, self._rules, self._features)
        rows = np.arange(len(windows))
        if self._rules.selects:
            takes, noticed = self._rules.select(windows)
            self.leave_out(_count_by_shard(windows.filter(~takes)), noticed)
            windows, rows = windows.filter(takes), rows[takes]
        self.windows.update(_count_by_shard(windows))
        self._records.clear()
        for tensors in self._features.values():
            tensors.clear()
        return windows, rows


class WindowGatherer(Gatherer):
    """Copies the embeddings of one unit of work, a full buffer at a time."""

    def __init__(self, buffer: Rows, rules: WindowRules) -> None:
        """Prepare to gather.

        Args:
            buffer: for embeddings, shape ``(rows, dims)``.
            rules: how records become windows.
        """
        super().__init__(rules)
        self._buffer = buffer
        self._used = 0

    def add(self, taken: DecodedRecords) -> Iterator[InMemoryRun]:
        """Copy a batch of records into the buffer.

        Yields:
            A run each time the buffer is full. Write it before the next step, which overwrites the
            buffer. A record that is larger than the buffer becomes several runs.
        """
        picked = [self._rules.pick(embedding) for embedding in taken.embeddings]
        first = 0
        while first < len(picked):
            count, rows = self._fitting(picked[first:])
            if count:
                into = self._buffer[self._used : self._used + rows]
                np.concatenate(picked[first : first + count], out=into, casting="same_kind")
                self._used += rows
                self._note(taken, first, first + count)
                first += count
            elif self._used:
                yield from self.rest()
            else:
                self._used = len(picked[first])
                self._note(taken, first, first + 1)
                yield from self._sort_in_parts(picked[first])
                first += 1

    def _fitting(self, picked: Sequence[Embedding]) -> tuple[int, int]:
        """How many records the buffer still has room for, and their rows."""
        rows = list(accumulate(map(len, picked)))
        count = bisect_right(rows, len(self._buffer) - self._used)
        return count, rows[count - 1] if count else 0

    def rest(self) -> Iterator[InMemoryRun]:
        """Sort the windows in the buffer into a run; none if the buffer is empty."""
        if not self._records:
            return
        windows, rows = self.take()
        if len(windows):
            yield InMemoryRun(self._buffer, rows, windows)

    def take(self) -> tuple[WindowTable, npt.NDArray[np.int64]]:
        """Return the windows in the buffer, and begin an empty one.

        Returns:
            Their metadata, unsorted; and for each its buffer row.
        """
        self._used = 0
        return self._take_table()

    def _sort_in_parts(self, picked: Embedding) -> Iterator[InMemoryRun]:
        """Sort the rows of one record, which is larger than the buffer, a full buffer at a time."""
        windows, rows = self.take()
        most = len(self._buffer)
        for start in range(0, len(windows), most):
            part = rows[start : start + most]
            self._buffer[: len(part)] = picked[part]
            yield InMemoryRun(
                self._buffer, np.arange(len(part)), windows.slice(start, start + most)
            )


class LocationGatherer(Gatherer):
    """Notes where the embeddings of one unit of work are in their shards."""

    def __init__(self, files: ShardFiles, most_rows: int, rules: WindowRules) -> None:
        """Begin without records.

        Args:
            files: of the shards.
            most_rows: windows of one run.
            rules: how records become windows.
        """
        super().__init__(rules)
        self._files = files
        self._most_rows = most_rows
        self._rows = 0
        self._places: list[Locations] = []

    def add(self, taken: DecodedRecords, records: Records) -> Iterator[LocatedRun]:
        """Note records that have ``floats_at``.

        Args:
            taken: some of ``records``.
            records: of an uncompressed shard.

        Yields:
            A run as soon as there are ``most_rows`` windows or more.
        """
        metadata = taken.metadata
        places = np.empty(len(metadata), LOCATION)
        numbers = metadata.numbers - records.first
        places["shard"] = metadata.position
        places["payload"] = np.array(metadata.offsets, np.int64) + HEADER_BYTES
        places["payload_bytes"] = [len(records.payloads[number]) for number in numbers]
        places["checksum"] = [unmasked_crc(records.checksums[number]) for number in numbers]
        places["at"] = taken.floats_at
        places["item_bytes"] = [embedding.itemsize for embedding in taken.embeddings]
        self._places.append(places)
        self._note(taken, 0, len(metadata))
        self._rows += sum(windows * channels for windows, channels, _ in metadata.shapes)
        if self._rows >= self._most_rows:
            yield from self.rest()

    def rest(self) -> Iterator[LocatedRun]:
        """Sort the windows gathered into a run; none if there are no windows."""
        if not self._records:
            return
        windows, places = self.take()
        if len(windows):
            yield LocatedRun(self._files, places, windows, self._rules.dims)

    def take(self) -> tuple[WindowTable, Locations]:
        """Return the windows of the records gathered, and forget these.

        Returns:
            Their metadata, unsorted; and for each the location of its embedding.
        """
        places = np.concatenate([np.empty(0, LOCATION), *self._places])
        shapes = [shape for batch in self._records for shape in batch.shapes]
        counts, channels, dims = np.array(shapes, np.int64).reshape(-1, 3).T
        self._places.clear()
        self._rows = 0
        record, window, channel = self._rules.rows(counts, channels)
        windows, rows = self._take_table()
        located = places[record]
        located["at"] += (
            (window * channels[record] + channel) * dims[record] * located["item_bytes"]
        ).astype(np.int32)
        return windows, located[rows]


def are_locatable(decoded: DecodedRecords, records: Records) -> list[bool]:
    """Say for each record whether its embedding may stay in an uncompressed shard.

    Args:
        decoded: some of ``records``.
        records: a batch of the shard.
    """
    numbers = (decoded.metadata.numbers - records.first).tolist()
    return [
        at is not None and len(records.payloads[number]) <= MOST_LOCATED_BYTES
        for at, number in zip(decoded.floats_at, numbers, strict=True)
    ]


def _count_by_shard(windows: WindowTable) -> dict[int, int]:
    positions, times = np.unique(windows.column("shard").to_numpy(), return_counts=True)
    return dict(zip(positions.tolist(), times.tolist(), strict=True))

"""Reads shards again as the dataset's conversions did, for the comparison."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from a20_parquet.dataset.manifest import Manifest, QuarantinedShard
from a20_parquet.dataset.options import ListedFile, ReadingOptions
from a20_parquet.dataset.quarantine import QuarantineWriter
from a20_parquet.dataset.sites import KeptSites
from a20_parquet.dataset.summaries import ShardSummary
from a20_parquet.dataset.window_rules import make_exclusion, window_rules
from a20_parquet.decoding.decoder import Decoder, DecoderName, make_decoder
from a20_parquet.errors import SourceError, UsageError
from a20_parquet.tfrecord.compression import open_content
from a20_parquet.tfrecord.frames import BATCH_BYTES, FrameReader
from a20_parquet.tfrecord.records import Damage, Records
from a20_parquet.tfrecord.shard import Shard
from a20_parquet.windows.build import WindowRules, sort_table
from a20_parquet.windows.filter import RecordFilter
from a20_parquet.windows.fingerprint import BlockSink, WindowBlock
from a20_parquet.windows.half import round_to_halves
from a20_parquet.windows.records import DecodedRecords
from a20_parquet.windows.rejection import Rejection
from a20_parquet.windows.schema import Store
from a20_parquet.windows.window_list import WindowList

Lists: TypeAlias = Mapping[ListedFile, WindowList]

_MOST_FLOATS = 1 << 23
"""Most floats of a block; a record with more is one block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardAccount:
    """Result of reading one shard."""

    summary: ShardSummary
    """As a conversion stores it, with the shard's label in the dataset if it has one; without
    checksum and counts if the shard could not be read to its end."""
    quarantined: QuarantinedShard | None = None
    """The records and bytes that belong in quarantine."""
    listed: str | None = None
    """``list_sum`` of ``quarantined``."""
    problem: str | None = None
    """Why the shard could not be read to its end."""


class SourceWindows:
    """Reads shards of one dataset; thread-safe."""

    def __init__(
        self,
        manifest: Manifest,
        sites: KeptSites | None,
        decoder: DecoderName | str,
        lists: Lists | None = None,
    ) -> None:
        """Prepare to read.

        Args:
            manifest: of the dataset.
            sites: its sites table.
            decoder: of the shards' records.
            lists: what conversions left out.

        Raises:
            UsageError: there is no such decoder, or a list is missing.
        """
        self._decoder = make_decoder(decoder, manifest.options.features)
        # Manifests of the first versions list no conversions.
        self._read = [each.reading for each in manifest.conversions] or [ReadingOptions()]
        options = manifest.options
        self._rules = [
            window_rules(
                options,
                each,
                sites.until(n) if sites and each.sites else None,
                make_exclusion(
                    options, each, find_list(each.exclude, lists or {}) if each.exclude else None
                ),
            )
            for n, each in enumerate(self._read)
        ]

    def read(
        self,
        shard: Shard,
        known: ShardSummary | None,
        sink: BlockSink,
        advance: Callable[[int], None],
    ) -> ShardAccount:
        """Read one shard.

        Args:
            shard: to read.
            known: the dataset's record of it, None if the dataset was not made from it.
            sink: gets its windows, with the shard's label.
            advance: called with the number of stored bytes read.
        """
        summary = ShardSummary(
            label=known.label if known else shard.label,
            url=shard.url,
            bytes=shard.size,
            checksum="",
            records=0,
            windows=0,
        )
        try:
            reading = _Reading(summary.label, self._decoder, self._tries(known), sink)
            with open_content(shard) as content:
                reader = FrameReader(shard, content, BATCH_BYTES)
                for item in reader.read(advance):
                    if isinstance(item, Damage):
                        reading.quarantine.keep_damage(item.rejection, item.offset, item.content)
                        continue
                    for rejection in reading.add(item):
                        number = rejection.number
                        reading.quarantine.keep_record(
                            rejection, item.offset(number), *item.frame(number)
                        )
        except SourceError as error:
            return ShardAccount(summary=summary, problem=error.console_text)
        read = {
            "checksum": reader.checksum,
            "records": reader.records,
            "windows": reading.windows,
            "left_out": reading.left_out,
            "shape_disagreements": reading.shape_disagreements,
        }
        return ShardAccount(
            summary=summary.model_copy(update=read),
            quarantined=reading.quarantine.finish(),
            listed=reading.quarantine.listed,
        )

    def _tries(self, known: ShardSummary | None) -> list[tuple[RecordFilter, float | None]]:
        """Return filter and sample rate of the shard's conversion, then those of each retry."""
        numbers = (known.conversion, *known.retried) if known else (len(self._rules) - 1,)
        rate_hz = known.sample_rate_hz if known else None
        return [
            (RecordFilter(self._rules[number]), self._read[number].sample_rate or rate_hz)
            for number in numbers
        ]


def find_list(file: ListedFile, lists: Lists) -> WindowList:
    """Return one of the lists; raise UsageError if it is missing."""
    if file not in lists:
        raise UsageError(
            f"the dataset leaves out what {file} lists: give --exclude with that file, as it was "
            "then, to compare the dataset with its shards."
        )
    return lists[file]


class _Reading:
    """Counters and quarantine of one shard that is being read."""

    def __init__(
        self,
        label: str,
        decoder: Decoder,
        tries: Sequence[tuple[RecordFilter, float | None]],
        sink: BlockSink,
    ) -> None:
        self.windows = self.left_out = self.shape_disagreements = 0
        self.quarantine = QuarantineWriter(None, label)
        self._label = label
        self._decoder = decoder
        self._tries = tries
        self._sink = sink

    def add(self, records: Records) -> tuple[Rejection, ...]:
        """Pass a batch's windows to the sink, and return the records for quarantine."""
        left = set(range(records.first, records.first + len(records.payloads)))
        still: tuple[Rejection, ...] = ()
        # Retries with the same sample rate decode to the same records.
        decoded: dict[float | None, DecodedRecords] = {}
        for record_filter, rate_hz in self._tries:
            if rate_hz not in decoded:
                shard = replace(records.shard, sample_rate_hz=rate_hz)
                decoded[rate_hz] = self._decoder.decode(replace(records, shard=shard))
            intake = record_filter.sort_out(_numbered(decoded[rate_hz], left))
            self.left_out += intake.left_out
            for part in _parts(intake.taken):
                block, left_out = _select(part, record_filter.rules)
                self.left_out += left_out
                if len(block.metadata):
                    self.windows += len(block.metadata)
                    self._sink(self._label, block)
            still = intake.rejected
            left = {rejection.number for rejection in still}
        # Retries do not count them again.
        self.shape_disagreements += decoded[self._tries[0][1]].shape_disagreements
        return still


def _numbered(decoded: DecodedRecords, numbers: set[int]) -> DecodedRecords:
    """Select a batch's records by number, rejected ones included."""
    indexes = [i for i, n in enumerate(decoded.metadata.numbers.tolist()) if n in numbers]
    rejected = tuple(each for each in decoded.rejected if each.number in numbers)
    return replace(decoded.take(indexes), rejected=rejected)


def _parts(taken: DecodedRecords) -> Iterator[DecodedRecords]:
    """Divide a batch: records of a few bytes may have any number of windows."""
    start = size = 0
    for index, embedding in enumerate(taken.embeddings):
        if size and size + embedding.size > _MOST_FLOATS:
            yield taken.take(range(start, index))
            start, size = index, 0
        size += embedding.size
    yield taken.take(range(start, len(taken.embeddings))) if start else taken


def _select(taken: DecodedRecords, rules: WindowRules) -> tuple[WindowBlock, int]:
    """Return the selected windows, and the number of others."""
    windows = sort_table([taken.metadata], rules, taken.features)
    rows = [*map(rules.pick, taken.embeddings)] or [np.empty((0, rules.dims), np.float32)]
    embeddings = np.concatenate(rows).astype(np.float32, copy=False)
    if rules.store is Store.FLOAT16:
        embeddings = round_to_halves(embeddings)
    if not rules.selects:
        return WindowBlock(windows.to_batch(), embeddings), 0
    takes, _ = rules.select(windows)
    block = WindowBlock(windows.filter(takes).to_batch(), embeddings[takes])
    return block, len(windows) - len(block.metadata)

"""Shards read once more, as the conversions of their dataset read them, to be compared with it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from a20_parquet.dataset.manifest import Manifest, QuarantinedShard, ShardSummary
from a20_parquet.dataset.quarantine import QuarantineTally
from a20_parquet.dataset.sites import KeptSites
from a20_parquet.errors import SourceError
from a20_parquet.rules import window_rules
from a20_parquet.source.content import open_content
from a20_parquet.source.decode import DecoderName, make_decoder
from a20_parquet.source.frames import BATCH_BYTES, FrameReader, tell_progress
from a20_parquet.source.records import Damage
from a20_parquet.source.shard import Shard
from a20_parquet.table.decoded import DecodedRecords
from a20_parquet.table.fingerprint import BlockSink, WindowBlock
from a20_parquet.table.intake import RecordFilter
from a20_parquet.table.rejection import Rejection
from a20_parquet.table.windows import WindowRules, keyed_metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardAccount:
    """What became of a shard's records when they were read."""

    label: str
    """As the dataset calls the shard; of another shard its name."""
    bytes: int
    """Stored size."""
    checksum: str
    """See ``ShardSummary``; empty where the shard could not be read to its end."""
    records: int
    windows: int
    quarantined: QuarantinedShard | None = None
    """What of it belongs into quarantine."""
    listed: str | None = None
    """``list_sum`` of that."""
    problem: str | None = None
    """Why it could not be read to its end."""


class SourceWindows:
    """Reads shards of one dataset; may be shared by threads."""

    def __init__(
        self, manifest: Manifest, sites: KeptSites | None, decoder: DecoderName | str
    ) -> None:
        """Prepare to read.

        Args:
            manifest: of the dataset.
            sites: its sites table.
            decoder: what decodes records.

        Raises:
            UsageError: there is no such decoder.
        """
        self._manifest = manifest
        self._decoder = make_decoder(decoder, manifest.options.features)
        self._rules = [
            _rules(manifest, sites, number) for number in range(len(manifest.conversions))
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
            known: what the dataset says of it; none where the dataset was not made of it.
            sink: gets its windows, with the shard's label.
            advance: called with the number of stored bytes that were read.
        """
        label = known.label if known else shard.label
        try:
            reading = _Reading(label, self._chain(known), sink)
            with open_content(shard) as content:
                reader = FrameReader(shard, content, BATCH_BYTES)
                for item in tell_progress(reader.read(), content, advance):
                    if isinstance(item, Damage):
                        reading.quarantine.keep_damage(item.rejection, item.offset, item.content)
                        continue
                    for rejection in reading.add(self._decoder.decode(item)):
                        number = rejection.number
                        reading.quarantine.keep_record(
                            rejection, item.offset(number), item.frame(number)
                        )
        except SourceError as error:
            return ShardAccount(
                label=label,
                bytes=shard.size,
                checksum="",
                records=0,
                windows=0,
                problem=error.console_text,
            )
        return ShardAccount(
            label=label,
            bytes=shard.size,
            checksum=reader.checksum,
            records=reader.records,
            windows=reading.windows,
            quarantined=reading.quarantine.finish(),
            listed=reading.quarantine.listed,
        )

    def _chain(self, known: ShardSummary | None) -> list[RecordFilter]:
        """How the shard's records were read: at first, and when they were tried again."""
        numbers = (known.conversion, *known.retried) if known else (len(self._rules) - 1,)
        return [RecordFilter(self._rules[number]) for number in numbers]


class _Reading:
    """What is found in one shard."""

    def __init__(self, label: str, chain: Sequence[RecordFilter], sink: BlockSink) -> None:
        self.windows = 0
        self.quarantine = QuarantineTally(label)
        self._label = label
        self._chain = chain
        self._sink = sink

    def add(self, decoded: DecodedRecords) -> list[Rejection]:
        """Hand on the windows of a batch of records; those that belong into quarantine."""
        rejected = list(decoded.rejected)
        left = decoded.take(range(len(decoded.heads)))
        still: tuple[Rejection, ...] = ()
        for record_filter in self._chain:
            intake = record_filter.sort_out(left)
            for block in _blocks(intake.taken, record_filter.rules):
                self.windows += len(block.metadata)
                self._sink(self._label, block)
            still = intake.rejected
            numbers = {rejection.number for rejection in still}
            left = left.take([i for i, n in enumerate(left.heads.numbers.tolist()) if n in numbers])
        return sorted([*rejected, *still], key=lambda rejection: rejection.number)


def _blocks(taken: DecodedRecords, rules: WindowRules) -> Iterator[WindowBlock]:
    metadata = keyed_metadata([taken.heads], rules, taken.features)
    rows = [rules.pick(tensor) for tensor in taken.embeddings]
    if not len(metadata):
        return
    embeddings = np.concatenate(rows).astype(np.float32, copy=False)
    if rules.selection.is_limited:
        takes = rules.selection.takes(
            metadata.column("site"), metadata.column("window_start_local")
        )
        metadata, embeddings = metadata.filter(pa.array(takes)), embeddings[takes]
    if len(metadata):
        yield WindowBlock(metadata, embeddings)


def _rules(manifest: Manifest, sites: KeptSites | None, number: int) -> WindowRules:
    """How a conversion read records."""
    reading = manifest.conversions[number].reading
    known = sites.until(number) if sites and reading.sites else None
    return window_rules(manifest.options, reading, known)

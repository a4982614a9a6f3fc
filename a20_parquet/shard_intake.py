"""Reading one shard: its good records go on, all else to quarantine, and everything is counted."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from a20_parquet.dataset.manifest import QuarantinedShard, ShardSummary
from a20_parquet.dataset.observations import Observations
from a20_parquet.dataset.quarantine import QuarantineWriter
from a20_parquet.error_limit import ErrorLimit
from a20_parquet.errors import DatasetError
from a20_parquet.job import Job
from a20_parquet.source.content import Content
from a20_parquet.source.frames import FrameReader, tell_progress
from a20_parquet.source.records import Damage, Records
from a20_parquet.source.shard import Shard
from a20_parquet.table.decoded import DecodedRecords
from a20_parquet.table.intake import RecordFilter
from a20_parquet.table.left_out import LeftOut
from a20_parquet.table.name_sketch import NameSketch
from a20_parquet.table.rejection import Rejection
from a20_parquet.table.spacing import SpacingSampler


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTally:
    """What was found in a shard."""

    shard: Shard
    label: str
    """Under which its quarantine lies: a retried shard has that of the one it is from."""
    checksum: str
    records: int
    """Whole frames."""
    left_out: int
    """Windows that lie outside of what was asked for, as far as that is known yet."""
    rejected: int
    """Records."""
    damaged: int
    """Ranges of damaged bytes."""
    shape_disagreements: int
    observations: Observations
    quarantined: QuarantinedShard | None

    def summary(self, windows: int, left_out: int) -> ShardSummary:
        """Sum up.

        Args:
            windows: that the shard brought.
            left_out: further ones that lie outside of the selection.
        """
        return ShardSummary(
            label=self.label,
            url=self.shard.url,
            bytes=self.shard.size,
            checksum=self.checksum,
            records=self.records,
            windows=windows,
            left_out=self.left_out + left_out,
            quarantined=self.rejected,
            damaged=self.damaged,
            shape_disagreements=self.shape_disagreements,
            sample_rate_hz=self.shard.sample_rate_hz,
        )


class ShardIntake:
    """Reads one shard, once."""

    def __init__(
        self,
        job: Job,
        shard: Shard,
        record_filter: RecordFilter,
        quarantine: QuarantineWriter,
        errors: ErrorLimit,
    ) -> None:
        """Prepare to read.

        Args:
            job: what to convert.
            shard: one of its shards.
            record_filter: knows the job's rules; may have served for other shards.
            quarantine: gets what can't be converted.
            errors: counts it.
        """
        self._job = job
        self._shard = shard
        self._filter = record_filter
        self._quarantine = quarantine
        self._errors = errors
        self._reader: FrameReader | None = None
        self._left_out = 0
        self._rejected = 0
        self._disagreements = 0
        self._other_features: frozenset[str] = frozenset()
        self._widths: Counter[int] = Counter()
        self._taken_for_utc = NameSketch()
        self._spacing = SpacingSampler()
        self._noticed = LeftOut()

    def read(
        self, content: Content, advance: Callable[[int], None]
    ) -> Iterator[tuple[DecodedRecords, DecodedRecords]]:
        """Read the shard.

        Args:
            content: of the shard, not yet read.
            advance: told how many stored bytes are done.

        Yields:
            For each batch the decoded records, and those of them that become windows.

        Raises:
            SourceError: the shard can't be read, or has changed.
            RecordError: something can't be converted, and more than is allowed.
            OSError: the quarantine can't be written.
        """
        self._reader = FrameReader(self._shard, content, self._job.memory.batch_bytes)
        for item in tell_progress(self._reader.read(), content, advance):
            if isinstance(item, Damage):
                self._keep_damage(item)
                continue
            decoded = self._job.decoder.decode(item)
            intake = self._filter.sort_out(decoded)
            for rejection in intake.rejected:
                self._keep_record(item, rejection)
            self._left_out += intake.left_out
            self._noticed = LeftOut.merged([self._noticed, intake.noticed])
            self._disagreements += decoded.shape_disagreements
            self._other_features |= decoded.other_features
            self._widths.update(dims for _, _, dims in decoded.heads.shapes)
            if intake.taken_for_utc:
                found = NameSketch.of(intake.taken_for_utc)
                self._taken_for_utc = NameSketch.merged([self._taken_for_utc, found])
            self._spacing.add(intake.taken.heads)
            yield decoded, intake.taken

    def _keep_damage(self, damage: Damage) -> None:
        if not damage.more:
            self._errors.add(damage.error())
        self._quarantine.keep_damage(damage.rejection, damage.offset, damage.content)

    def _keep_record(self, records: Records, rejection: Rejection) -> None:
        self._rejected += 1
        number = rejection.number
        self._errors.add(records.error(rejection))
        offset = records.offset(number)
        retry = self._job.retries.get(self._shard.position)
        if retry is not None:
            if number >= len(retry.records):
                raise DatasetError(
                    f"{retry.shard.label} has more records in quarantine than the list of them "
                    "tells. Was it edited or cut? Convert the shards again."
                )
            origin = retry.records[number]
            rejection = replace(rejection, number=origin.record)
            offset = origin.offset
        self._quarantine.keep_record(rejection, offset, *records.frame(number))

    def finish(self) -> ShardTally:
        """Close the quarantine and say what was found, once all is read.

        Raises:
            OSError: the quarantine can't be written.
        """
        if self._reader is None:
            raise ValueError("the shard has not been read")
        retry = self._job.retries.get(self._shard.position)
        return ShardTally(
            shard=self._shard,
            label=retry.shard.label if retry else self._shard.label,
            checksum=self._reader.checksum,
            records=self._reader.records,
            left_out=self._left_out,
            rejected=self._rejected,
            damaged=self._reader.damaged_ranges,
            shape_disagreements=self._disagreements,
            observations=Observations(
                other_features=tuple(sorted(self._other_features)),
                spacing=self._spacing.sample(),
                left_out=self._noticed,
                widths=tuple(sorted(self._widths.items())),
                taken_for_utc=self._taken_for_utc,
            ),
            quarantined=self._quarantine.finish(),
        )

"""Looking at shards' first records: what must be known before any window is written."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Self

from a20_parquet.conversion.feature_search import FeatureSearch
from a20_parquet.dataset.manifest import Assumption
from a20_parquet.decoding.decoder import Decoder
from a20_parquet.decoding.large import LARGE_BYTES
from a20_parquet.errors import SourceError, UsageError
from a20_parquet.execution.threads import map_in_order
from a20_parquet.formatting import format_count
from a20_parquet.storage.concurrent import MOST_AT_ONCE
from a20_parquet.tfrecord.compression import LOOK, Content, open_content
from a20_parquet.tfrecord.frames import FrameReader
from a20_parquet.tfrecord.records import Records
from a20_parquet.tfrecord.shard import Codec, Shard, some_in_store
from a20_parquet.windows.build import WindowRules
from a20_parquet.windows.feature_forms import FeatureRequest
from a20_parquet.windows.filenames.parse import FilenameRules
from a20_parquet.windows.filter import Intake, RecordFilter
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.records import DecodedRecords
from a20_parquet.windows.rejection import Rejection
from a20_parquet.windows.schema import Feature

_PROBE_BYTES = 1 << 16
_MOST_RECORDS = 4096
"""So many records are looked at in all for the floats that are asked for."""
_FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class ShardStart:
    """What the first records of a shard that can be decoded tell of its size."""

    item_bytes: int = _FLOAT32_BYTES
    """Bytes of a float."""
    payload_bytes: float = 0.0
    """Bytes of payload a window; 0 where no record tells."""

    @classmethod
    def of(cls, records: Records, decoded: DecodedRecords) -> Self:
        """Look at a batch, of which at least one record could be decoded."""
        places = (number - records.first for number in decoded.metadata.numbers.tolist())
        size = sum(len(records.payloads[place]) for place in places)
        windows = sum(windows * channels for windows, channels, _ in decoded.metadata.shapes)
        return cls(decoded.embeddings[0].dtype.itemsize, size / windows if windows else 0.0)

    def window_bytes(self, dims: int) -> float:
        """How many bytes a window takes at the least, so that most shards hold fewer of them.

        Embeddings take nearly all of most records; where features take most, no record is reckoned
        to be less than half as long.

        Args:
            dims: floats an embedding.
        """
        return max(dims * self.item_bytes, self.payload_bytes / 2)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectedSchema:
    """What the first records tell."""

    dims: int
    """Floats an embedding."""
    features: tuple[Feature, ...]
    """The further features that were looked for."""
    assumptions: tuple[Assumption, ...]
    """What of them no record told."""
    starts: tuple["ShardStart", ...]
    """For each shard what its first records tell."""
    codecs: tuple[Codec, ...]
    """For each shard its compression."""
    widths: WidthCounter
    """How many floats the records have that were looked at."""


def detect_schema(
    shards: Sequence[Shard],
    make: Callable[[Sequence[Feature]], Decoder],
    filenames: FilenameRules,
    *,
    dims: int | None,
    features: Sequence[FeatureRequest],
) -> DetectedSchema:
    """Look at the first records of all shards, and at more where these do not tell enough.

    Args:
        shards: in shard order.
        make: makes what decodes their records.
        filenames: how filenames are read.
        dims: floats an embedding; none for those that the records have, if it is one number.
        features: those whose form is to be found.

    Raises:
        SourceError: a shard cannot be read, or no record can be converted.
        UsageError: the records' embeddings have several widths and none is chosen; none of them has
            a feature, or it fits no column.
    """
    further = FeatureSearch(make, features, len(shards))
    quota = -(-_MOST_RECORDS // max(len(shards), 1))
    search = _Search(make(()), filenames, dims, further, quota=quota)
    threads = MOST_AT_ONCE if some_in_store(shards) else 1
    looked_at, codecs = [], []
    for start in map_in_order(threads, _start, shards, ahead=threads):
        looked_at.append(search.look_at(start))
        codecs.append(start.codec)
    if dims is None:
        search.widths.check()
    if search.dims is None:
        raise SourceError(_why_none(shards, search.problem))
    found, assumptions = further.found()
    return DetectedSchema(
        dims=search.dims,
        features=found,
        assumptions=assumptions,
        starts=tuple(looked_at),
        codecs=tuple(codecs),
        widths=search.widths,
    )


def _why_none(shards: Sequence[Shard], problem: Rejection | None) -> str:
    """Say that no record can be converted; a problem is that of the first whole one."""
    first = shards[0].url
    is_one = len(shards) == 1
    none = f"{first} holds no" if is_one else f"none of the {len(shards):,} shards holds a"
    if problem is None:
        which = "" if is_one else f", {first} the first of them"
        return (
            f"{none} record that is whole{which}. Name others; with --dims what is damaged goes to "
            "quarantine."
        )
    return (
        f"{none} record that can be converted, the first one because {problem.message}. "
        f"{problem.reason.fix}"
    )


class _Search:
    """Goes through shards until dims are known, then only looks at their starts."""

    def __init__(
        self,
        decoder: Decoder,
        filenames: FilenameRules,
        dims: int | None,
        features: FeatureSearch,
        *,
        quota: int,
    ) -> None:
        self.dims = dims
        self._wanted = dims
        self._quota = quota
        self.widths = WidthCounter()
        self._features = features
        self.problem: Rejection | None = None
        self._decoder = decoder
        self._rules = WindowRules(
            window_s=1, by=PartitionBy.SITE, dims=dims or 1, filenames=filenames
        )

    def look_at(self, start: "_Start") -> ShardStart:
        """Look at a shard's first records."""
        found = None
        looked = 0
        self._features.begin_shard()
        for records in start.batches():
            decoded = self._decoder.decode(records)
            looked += len(records.payloads)
            if decoded.embeddings and (found is None or self._is_missing):
                found = found or ShardStart.of(records, decoded)
                self.widths.add(start.shard, [dims for _, _, dims in decoded.metadata.shapes])
            if self.dims is None:
                self._learn(decoded)
            if self.dims is not None:
                self._features.look_at(records, self._take(decoded, self.dims))
                is_sought = self._is_missing and looked < self._quota
                if not self._features.wants_more and not is_sought:
                    break
        return found or ShardStart()

    @property
    def _is_missing(self) -> bool:
        """Whether no record has the floats that are asked for."""
        return self._wanted is not None and self._wanted not in self.widths

    def _learn(self, decoded: DecodedRecords) -> None:
        for index, (_, _, dims) in enumerate(decoded.metadata.shapes):
            intake = self._sort_out(decoded.take([index]), dims)
            if intake.taken.embeddings:
                self.dims = dims
                return
            self._note(intake.rejected)
        self._note(decoded.rejected)

    def _take(self, decoded: DecodedRecords, dims: int) -> DecodedRecords:
        return self._sort_out(decoded, dims).taken if self._features.wants_more else decoded

    def _sort_out(self, decoded: DecodedRecords, dims: int) -> Intake:
        return RecordFilter(replace(self._rules, dims=dims)).sort_out(decoded)

    def _note(self, rejected: Sequence[Rejection]) -> None:
        if self.problem is None and rejected:
            self.problem = rejected[0]


@dataclass(frozen=True, slots=True)
class _Start:
    """How a shard begins."""

    shard: Shard
    codec: Codec
    first: Records | None
    """Its first batch of whole records; None if it has no whole record, or a large one."""
    is_large: bool
    """Whether that is so large that it is rather read again than kept."""

    def batches(self) -> Iterator[Records]:
        """Yield all batches of the shard; behind the first it is read once more."""
        if self.first is not None:
            yield self.first
        elif not self.is_large:
            return
        with open_content(self.shard, LOOK) as content:
            yield from islice(_records(self.shard, content), int(not self.is_large), None)


def _start(shard: Shard) -> _Start:
    """Read how a shard begins: a single request where that holds a record."""
    with open_content(shard, LOOK) as content:
        first = next(_records(shard, content), None)
        is_large = first is not None and first.payload_bytes > LARGE_BYTES
        return _Start(shard, content.codec, None if is_large else first, is_large)


def _records(shard: Shard, content: Content) -> Iterator[Records]:
    for item in FrameReader(shard, content, _PROBE_BYTES).read():
        if isinstance(item, Records):
            yield item

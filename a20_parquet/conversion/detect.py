"""Detecting the schema from the first records of the shards, before any window is written."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from a20_parquet.conversion.feature_search import FeatureSearch
from a20_parquet.conversion.gather import are_locatable
from a20_parquet.conversion.widths import WidthCounter
from a20_parquet.dataset.summaries import Assumption
from a20_parquet.decoding.decoder import Decoder
from a20_parquet.decoding.large import LARGE_BYTES
from a20_parquet.errors import SourceError
from a20_parquet.execution.threads import map_in_order
from a20_parquet.storage.concurrent import MOST_AT_ONCE
from a20_parquet.tfrecord.compression import LOOK, open_content
from a20_parquet.tfrecord.frames import FrameReader
from a20_parquet.tfrecord.records import Damage, Records
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
"""Most records, of all shards together, that are searched for one with ``--dims`` floats."""
_FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectedSchema:
    """Result of looking at the first records of all shards."""

    dims: int
    """Floats of an embedding."""
    features: tuple[Feature, ...]
    """The requested features, with their form."""
    assumptions: tuple[Assumption, ...]
    """Details of their form that no record shows."""
    window_bytes: tuple[float, ...]
    """For each shard an estimate of the bytes of a window, uncompressed; usually too low."""
    codecs: tuple[Codec, ...]
    """For each shard its compression."""
    are_long: bool
    """Whether most first records are so long that their embeddings are copied from the shards."""
    record_bytes: int
    """Mean bytes of the first records' payloads."""
    widths: WidthCounter
    """Widths of the sampled records."""


def detect_schema(
    shards: Sequence[Shard],
    make: Callable[[Sequence[Feature]], Decoder],
    filenames: FilenameRules,
    *,
    dims: int | None,
    features: Sequence[FeatureRequest],
) -> DetectedSchema:
    """Look at the first records of all shards, and at more if these are not enough.

    Args:
        shards: in shard order.
        make: makes a decoder of the given features.
        filenames: how filenames are read.
        dims: floats of an embedding; None to take the one number that the records have.
        features: features whose form is to be found.

    Raises:
        SourceError: a shard cannot be read, or no record can be converted.
        UsageError: the embeddings have several widths and ``dims`` is None; a feature is in no
            record, or cannot become a column.
    """
    further = FeatureSearch(make, features, len(shards))
    quota = -(-_MOST_RECORDS // max(len(shards), 1))
    search = _Search(make(()), filenames, dims, further, quota=quota)
    threads = MOST_AT_ONCE if some_in_store(shards) else 1
    sizes, codecs, damage = [], [], None
    for start in map_in_order(threads, _start, shards, ahead=threads):
        sizes.append(search.look_at(start))
        codecs.append(start.codec)
        damage = damage or start.damage
    if dims is None:
        search.widths.check()
    if search.dims is None:
        raise SourceError(_why_none(shards, search.problem, damage))
    found, assumptions = further.found()
    return DetectedSchema(
        dims=search.dims,
        features=found,
        assumptions=assumptions,
        # Embeddings are nearly all of most records. If features are, assume that no record of the
        # shard is less than half as long as the first ones.
        window_bytes=tuple(
            max(search.dims * item_bytes, payload_bytes / 2) for item_bytes, payload_bytes in sizes
        ),
        codecs=tuple(codecs),
        are_long=search.are_long,
        record_bytes=search.payload_bytes // max(search.payloads, 1),
        widths=search.widths,
    )


def _why_none(shards: Sequence[Shard], problem: Rejection | None, damage: Damage | None) -> str:
    """Explain that no record can be converted; ``problem`` is that of the first whole one."""
    first = shards[0].url
    is_one = len(shards) == 1
    none = f"{first} holds no" if is_one else f"none of the {len(shards):,} shards holds a"
    if problem is None:
        which = "" if is_one else f", {first} the first of them"
        found = f" ({damage.shard.url} at byte {damage.offset}: {damage.message})" if damage else ""
        return (
            f"{none} record that is whole{which}{found}. Name others; with --dims what is damaged "
            "goes to quarantine."
        )
    return (
        f"{none} record that can be converted, the first one because {problem.message}. "
        f"{problem.reason.fix}"
    )


class _Search:
    """Reads shards until the width is known, then only their first records."""

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
        self.payloads = 0
        self.payload_bytes = 0
        self._locatable: Counter[bool] = Counter()
        self._wanted = dims
        self._quota = quota
        self.widths = WidthCounter()
        self._features = features
        self.problem: Rejection | None = None
        self._decoder = decoder
        self._rules = WindowRules(
            window_s=1, by=PartitionBy.SITE, dims=dims or 1, filenames=filenames
        )

    def look_at(self, start: "_Start") -> tuple[int, float]:
        """Look at a shard's first records.

        Returns:
            Bytes of a float, and payload bytes of a window; the latter is 0 if unknown.
        """
        found = None
        looked = 0
        self._features.begin_shard()
        for records in start.batches():
            decoded = self._decoder.decode(records)
            looked += len(records.payloads)
            if decoded.embeddings and (found is None or self._is_missing):
                found = found or _sizes(records, decoded)
                self._locatable.update(are_locatable(decoded, records))
                self.payloads += len(records.payloads)
                self.payload_bytes += records.payload_bytes
                self.widths.add(start.shard, [dims for _, _, dims in decoded.metadata.shapes])
            if self.dims is None:
                self._learn(decoded)
            if self.dims is not None:
                wants_more = self._features.wants_more
                taken = self._sort_out(decoded, self.dims).taken if wants_more else decoded
                self._features.look_at(records, taken)
                is_sought = self._is_missing and looked < self._quota
                if not self._features.wants_more and not is_sought:
                    break
        return found or (_FLOAT32_BYTES, 0.0)

    @property
    def are_long(self) -> bool:
        """Whether embeddings of most sampled records cannot stay in their shards."""
        return self._locatable[True] <= self._locatable[False]

    @property
    def _is_missing(self) -> bool:
        """Whether no record so far has the requested width."""
        return self._wanted is not None and self._wanted not in self.widths

    def _learn(self, decoded: DecodedRecords) -> None:
        for index, (_, _, dims) in enumerate(decoded.metadata.shapes):
            intake = self._sort_out(decoded.take([index]), dims)
            if intake.taken.embeddings:
                self.dims = dims
                return
            self.problem = self.problem or next(iter(intake.rejected), None)
        self.problem = self.problem or next(iter(decoded.rejected), None)

    def _sort_out(self, decoded: DecodedRecords, dims: int) -> Intake:
        return RecordFilter(replace(self._rules, dims=dims)).sort_out(decoded)


def _sizes(records: Records, decoded: DecodedRecords) -> tuple[int, float]:
    """See ``_Search.look_at``; at least one record of the batch could be decoded."""
    indexes = (number - records.first for number in decoded.metadata.numbers.tolist())
    size = sum(len(records.payloads[index]) for index in indexes)
    windows = sum(windows * channels for windows, channels, _ in decoded.metadata.shapes)
    return decoded.embeddings[0].dtype.itemsize, size / windows if windows else 0.0


@dataclass(frozen=True, slots=True)
class _Start:
    """The first bytes of a shard."""

    shard: Shard
    codec: Codec
    first: Records | None
    """Its first batch of whole records; None if it has none, or ``is_large``."""
    is_large: bool
    """Whether that batch is so large that it is read again instead of kept."""
    damage: Damage | None
    """The first damaged range, if the shard has no whole record."""

    def batches(self) -> Iterator[Records]:
        """Yield all batches of the shard, which is opened again after the first."""
        if self.first is not None:
            yield self.first
        elif not self.is_large:
            return
        with open_content(self.shard, LOOK) as content:
            reader = FrameReader(self.shard, content, _PROBE_BYTES)
            batches = (item for item in reader.read() if isinstance(item, Records))
            yield from islice(batches, int(not self.is_large), None)


def _start(shard: Shard) -> _Start:
    """Read the first batch of a shard, with a single request if its first bytes have a record."""
    with open_content(shard, LOOK) as content:
        damage, first = None, None
        for item in FrameReader(shard, content, _PROBE_BYTES).read():
            if isinstance(item, Records):
                damage, first = None, item
                break
            damage = damage or item
        is_large = first is not None and first.payload_bytes > LARGE_BYTES
        return _Start(shard, content.codec, None if is_large else first, is_large, damage)

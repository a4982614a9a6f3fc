"""Planning a conversion: everything that is decided before the first byte is written."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from a20_parquet.conversion.detect import detect_schema
from a20_parquet.conversion.embeddings import EmbeddingsChoice, choose_embeddings
from a20_parquet.conversion.memory import MemoryPlan, plan_memory
from a20_parquet.conversion.new_shards import NewShards
from a20_parquet.conversion.options import ConvertOptions, OnError
from a20_parquet.conversion.reading import Reading
from a20_parquet.conversion.table_options import (
    choose_hop,
    choose_model,
    choose_table,
    feature_requests,
)
from a20_parquet.conversion.transaction.checkpoints import PlannedShard
from a20_parquet.dataset.existing import Retry
from a20_parquet.dataset.options import ReadingOptions, TableOptions
from a20_parquet.dataset.summaries import Assumption
from a20_parquet.dataset.window_rules import make_exclusion, window_rules
from a20_parquet.decoding.decoder import Decoder, make_decoder
from a20_parquet.execution.protocols import Executor
from a20_parquet.formatting import format_bytes, format_count
from a20_parquet.notebook.npy_json import NotebookOutput
from a20_parquet.runs.merge_plan import divide_shards
from a20_parquet.storage.read_ahead import READ_AHEAD
from a20_parquet.tfrecord.shard import Codec, Shard, some_in_store
from a20_parquet.windows.build import WindowRules
from a20_parquet.windows.schema import Store, feature_bytes, text_bytes

if TYPE_CHECKING:
    from a20_parquet.windows.filenames.site_table import SiteTable

_LOGGER = logging.getLogger(__name__)
# Real embeddings shrink to about 0.85; a shard that shrinks more just spills more runs.
_INFLATED_RATIO = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionSetup:
    """A planned conversion."""

    shards: tuple[Shard, ...]
    """In shard order."""
    retries: Mapping[int, Retry]
    """Those of them, by position, that are records in the dataset's quarantine."""
    windows: tuple[int, ...]
    """For each shard an estimate of its windows, usually too high. It has no effect on the
    dataset."""
    window_bytes: tuple[float, ...]
    """For each shard an estimate of the bytes of a window, uncompressed."""
    codecs: tuple[Codec, ...]
    """For each shard how it is compressed."""
    are_long: bool
    """Whether most records are so long that their embeddings are copied from the shards."""
    table: TableOptions
    reading: ReadingOptions
    assumptions: tuple[Assumption, ...]
    """Values that no input gives."""
    rules: WindowRules
    sites: "SiteTable | None"
    """The dataset's new sites table; None if it gets none, or keeps its own."""
    memory: MemoryPlan
    embeddings: EmbeddingsChoice
    decoder: Decoder
    most_errors: int | None
    """Records and damaged ranges that may go to quarantine; None for any number."""
    slots: int
    """Units that the first pass should have at least, if it writes runs."""
    notebook: NotebookOutput | None
    """The notebook's files to write, or None."""

    @property
    def are_locatable(self) -> bool:
        """Whether no shard is compressed or has long records."""
        return not self.are_long and all(codec is Codec.NONE for codec in self.codecs)

    @property
    def planned_shards(self) -> tuple[PlannedShard, ...]:
        """The shards as the plan of an unfinished conversion has them."""
        return tuple(
            PlannedShard(
                label=s.label,
                url=s.url,
                bytes=s.size,
                version=s.version,
                sample_rate_hz=s.sample_rate_hz,
            )
            for s in self.shards
        )

    def units(self, done: Collection[int] = ()) -> list[tuple[int, ...]]:
        """Divide the shards into units of the first pass, by their positions.

        The windows of a unit fill one run. If all are copied to memory, a unit is one shard.

        Args:
            done: positions of shards that are already sorted.
        """
        left = [position for position in range(len(self.shards)) if position not in done]
        if self.memory.holds_all and not self.memory.locates:
            return [(position,) for position in left]
        windows = [self.windows[position] for position in left]
        most = self.memory.unit_rows_of(sum(self.windows), self.slots)
        bounds = divide_shards(windows, most)
        return [tuple(left[first:end]) for first, end in bounds]


def plan_conversion(
    new: NewShards,
    options: ConvertOptions,
    reading: Reading,
    executor: Executor,
    notebook: NotebookOutput | None = None,
) -> ConversionSetup:
    """Look at the shards' first records and plan their conversion.

    Raises:
        SourceError: a shard cannot be read, or no shard holds a record that can be converted.
        UsageError: the memory budget does not suffice, or an option's value cannot be used.
    """
    existing, retries = reading.existing, new.retries
    # Records in quarantine have the sample rate of the shard that they are from.
    shards = tuple(
        replace(shard, sample_rate_hz=options.sample_rate or retry.shard.sample_rate_hz)
        if (retry := retries.get(shard.position))
        else shard
        for shard in new.shards
    )
    new_shards = [s for s in shards if s.position not in retries]
    hop = choose_hop(new_shards, options, existing)
    model = choose_model(new_shards, options, existing)
    wanted = choose_table(hop, model, options, existing)
    unknown = {feature.name for feature in wanted.features if not feature.size}
    detected = detect_schema(
        # A record without a known time goes to quarantine, but shows how many floats it has.
        [replace(shard, sample_rate_hz=shard.sample_rate_hz or 1.0) for shard in shards],
        partial(make_decoder, options.decoder),
        reading.filenames,
        dims=wanted.dims or None,
        features=[each for each in feature_requests(options) if each.name in unknown],
    )
    if existing is None and options.dims is not None:
        # Find a typo before anything is written or deleted.
        detected.widths.check_some(options.dims)
    learnt = {feature.name: feature for feature in detected.features}
    features = tuple(learnt.get(feature.name, feature) for feature in wanted.features)
    table = wanted.model_copy(update={"dims": detected.dims, "features": features})
    sizes = zip(shards, detected.codecs, detected.window_bytes, strict=True)
    windows = tuple(
        ceil(shard.size * (1 if codec is Codec.NONE else _INFLATED_RATIO) / window_bytes)
        for shard, codec, window_bytes in sizes
    )
    budget = options.memory if "memory" in options.model_fields_set else executor.budget
    choice = choose_embeddings(
        options.embeddings,
        shards,
        record_bytes=detected.record_bytes,
        are_locatable=not detected.are_long
        and all(codec is Codec.NONE for codec in detected.codecs),
        on_cluster=not executor.is_local,
    )
    memory = divide_memory(
        options.model_copy(update={"memory": budget, "workers": executor.threads}),
        table,
        sum(windows),
        from_store=some_in_store(shards),
        locates=choice.located,
    )
    memory = replace(memory, holds_all=memory.holds_all and executor.is_local)
    _log_memory(memory, budget, sum(windows), table)
    return ConversionSetup(
        shards=shards,
        retries=retries,
        windows=windows,
        window_bytes=detected.window_bytes,
        codecs=detected.codecs,
        are_long=detected.are_long,
        table=table,
        reading=reading.options,
        assumptions=(
            *([Assumption(about="hop", text=hop.assumed)] if hop.assumed else ()),
            *([Assumption(about="model", text=model.assumed)] if model.assumed else ()),
            *detected.assumptions,
        ),
        rules=window_rules(
            table,
            reading.options,
            reading.sites,
            make_exclusion(table, reading.options, reading.listed),
        ),
        sites=reading.new_sites,
        memory=memory,
        embeddings=choice.within(located=memory.locates),
        decoder=make_decoder(options.decoder, table.features),
        most_errors=0 if options.on_error is OnError.FAIL else options.max_errors,
        slots=executor.slots,
        notebook=notebook,
    )


def _log_memory(memory: MemoryPlan, budget: int, windows: int, table: TableOptions) -> None:
    where = "all stay in memory" if memory.holds_all else "sorted through runs on scratch disk"
    if memory.locates and memory.holds_all:
        where = "all but their embeddings stay in memory"
    _LOGGER.info(
        "%s for %s: batches of %s; up to %s windows of %s floats, %s",
        format_bytes(budget),
        format_count(memory.workers, "worker"),
        format_bytes(memory.batch_bytes),
        f"{windows:,}",
        f"{table.dims:,}",
        where,
    )


def divide_memory(
    options: ConvertOptions,
    table: TableOptions,
    windows: int,
    *,
    from_store: bool,
    locates: bool = False,
) -> MemoryPlan:
    """Divide the memory budget of a conversion of at most ``windows`` windows.

    Raises:
        UsageError: it does not suffice.
    """
    return plan_memory(
        budget=options.memory,
        workers=options.workers,
        dims=table.dims,
        row_group_rows=options.row_group_rows,
        windows=windows,
        half_bytes=2 * table.dims if table.store is Store.FLOAT16 else 0,
        feature_bytes=feature_bytes(table.features),
        text_bytes=text_bytes(table.features),
        read_ahead=READ_AHEAD if from_store else 0,
        locates=locates,
    )

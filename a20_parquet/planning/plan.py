"""What a conversion would take, before one is started."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from a20_parquet.checks import check_count, check_positive
from a20_parquet.conversion.memory import check_budget
from a20_parquet.conversion.option_help import with_options
from a20_parquet.conversion.options import ConvertOptions, OptionValues
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.planning.advice import Advice, advise
from a20_parquet.planning.archive import look_at
from a20_parquet.planning.forecast import Forecast, forecast

SAMPLED_RECORDS = 4000
"""So many records are read where no other number is asked for."""


@dataclass(frozen=True, slots=True)
class ConversionPlan:
    """A conversion that could be started."""

    forecast: Forecast
    """What it would take with the options that were given."""
    advice: tuple[Advice, ...]
    """Which ones it should have: the Hive keys, memory, workers."""
    assumptions: tuple[str, ...] = ()
    """What no input told, such as the hop."""


@with_options(decoder=DecoderName.WIRE.value)
def plan(
    sources: str | Path | Sequence[str | Path],
    *,
    sample: int = SAMPLED_RECORDS,
    cluster: bool = False,
    rate: float | None = None,
    **options: Unpack[OptionValues],
) -> ConversionPlan:
    """Forecast what a conversion would take, from a listing and the first records of some shards.

    Perch's writer shuffles records over shards, so these are taken for a random sample. Nothing is
    written.

    Args:
        sources: folders, files, globs or fsspec URLs.
        sample: how many records to read.
        cluster: whether workers are processes of a cluster, each with the memory for itself.
        rate: millions of bytes of shards that one worker converts in a second; by default what
            reading the sample took, and what benchmarks of the other stages did.
        options: of the conversion that is planned, each a keyword:

    Raises:
        UsageError: an option makes no sense, or the memory does not suffice.
        SourceError: shards can't be found or read, or of the sample nothing can be converted.
    """
    sample = check_count("sample", sample)
    if rate is not None:
        rate = check_positive("rate", rate, "MB/s")
    chosen = ConvertOptions.parse({"decoder": DecoderName.WIRE, **options})
    check_budget(chosen.memory)
    archive = look_at(sources, chosen, sample)
    found = forecast(archive, chosen, cluster=cluster, rate=rate)
    assumptions = tuple(f"{each.about}: {each.text}" for each in archive.assumptions)
    return ConversionPlan(found, tuple(advise(archive, chosen, found)), assumptions)

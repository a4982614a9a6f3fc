"""``plan``: forecasts a conversion."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from a20_parquet.checks import check_count, check_positive
from a20_parquet.conversion.memory import check_budget
from a20_parquet.conversion.option_help import with_options
from a20_parquet.conversion.options import ConvertOptions, OptionValues
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.formatting import format_bytes
from a20_parquet.planning.advice import Advice, advise
from a20_parquet.planning.archive import look_at
from a20_parquet.planning.forecast import Forecast, forecast, memory_plans
from a20_parquet.planning.measure import load_decoder, measure_speeds
from a20_parquet.planning.speeds import Speeds

SAMPLED_RECORDS = 4000
"""Default number of records to read."""


@dataclass(frozen=True, slots=True)
class ConversionPlan:
    """Result of ``plan``."""

    forecast: Forecast
    """With the options that were given."""
    advice: tuple[Advice, ...]
    """Recommended Hive keys, memory and workers."""
    assumptions: tuple[str, ...] = ()
    """Values that were assumed because the input does not have them, such as the hop."""


@with_options(decoder=DecoderName.WIRE.value)
def plan(
    sources: str | Path | Sequence[str | Path],
    *,
    sample: int = SAMPLED_RECORDS,
    cluster: bool = False,
    rate: float | None = None,
    **options: Unpack[OptionValues],
) -> ConversionPlan:
    """Forecast a conversion from a listing and the first records of some shards.

    Perch's writer shuffles records over shards, so these records serve as a random sample. Without
    ``rate`` up to 64 MB of them are converted for each place of embeddings in the temporary folder,
    and writing to ``scratch`` or that folder is timed. All of it is deleted.

    Args:
        sources: folders, files, globs or fsspec URLs.
        sample: number of records to read.
        cluster: whether workers are processes of a cluster, each with its own ``memory``.
        rate: MB/s of shards that one worker converts; measured by default.
        options: of the planned conversion, each a keyword:

    Raises:
        UsageError: an option is invalid, or the memory is not enough.
        SourceError: shards cannot be found or read, or no record of the sample can be converted.
        DatasetError: what is measured cannot be written.
    """
    sample = check_count("sample", sample)
    if rate is not None:
        rate = check_positive("rate", rate, "MB/s")
    chosen = ConvertOptions.parse({"decoder": DecoderName.WIRE, **options})
    check_budget(chosen.memory)
    start_s = load_decoder(chosen.decoder)
    archive = look_at(sources, chosen, sample, cluster=cluster)
    speeds = (
        measure_speeds(
            archive, chosen, memory_plans(archive, chosen, cluster=cluster), start_s=start_s
        )
        if rate is None
        else Speeds.of_rate(rate * 1e6)
    )
    found = forecast(archive, chosen, speeds, cluster=cluster)
    assumptions = [f"{each.about}: {each.text}" for each in archive.assumptions]
    if found.free_memory is not None:
        free = format_bytes(found.free_memory)
        assumptions.append(f"embeddings: {free} of memory are free, as on this machine now")
    return ConversionPlan(found, tuple(advise(archive, chosen, found)), tuple(assumptions))

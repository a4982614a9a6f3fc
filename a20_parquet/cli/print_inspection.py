"""Results of ``inspect``."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from a20_parquet.cli.console import show, show_json
from a20_parquet.errors import A20ParquetError
from a20_parquet.formatting import format_bytes, format_count, write_line
from a20_parquet.windows.filenames.patterns import EXPECTED

if TYPE_CHECKING:
    from a20_parquet.decoding.inspect_shards import FirstRecord, Inspection

_MAX_SHAPES = 3


def print_inspections(
    inspections: Iterable["Inspection | A20ParquetError"], *, as_json: bool
) -> bool:
    """Print one block per shard, and one line per shard that cannot be read.

    Returns:
        Whether all shards could be read.
    """
    found: list[Inspection] = []
    are_all_good = True
    for inspection in inspections:
        if isinstance(inspection, A20ParquetError):
            write_line(f"a20-parquet: {inspection.console_text}")
            are_all_good = False
            continue
        if not as_json:
            show(*[""] * bool(found), *_inspection_lines(inspection))
        found.append(inspection)
    if as_json and (found or are_all_good):
        show_json([asdict(each) for each in found])
    return are_all_good


def _inspection_lines(inspection: "Inspection") -> list[str]:
    compression = inspection.compression or "uncompressed"
    lines = [
        f"{inspection.url}",
        f"  {format_bytes(inspection.bytes)}, {compression}",
        f"  records    {inspection.records:,}",
        f"  windows    {inspection.windows:,}",
        f"  checksums  {'bad: ' + inspection.damage if inspection.damage else 'good'}",
        *_bad_lines(inspection),
        "  features",
    ]
    width = max((len(feature.name) for feature in inspection.features), default=0)
    for feature in inspection.features:
        shapes = " ".join(str(list(shape)) for shape in feature.shapes[:_MAX_SHAPES])
        varies = f", varies: {len(feature.shapes)} shapes" if len(feature.shapes) > 1 else ""
        lines.append(
            f"    {feature.name:{width}}  {feature.kind:10}  {feature.dtype:8}  {shapes}{varies}"
        )
    if inspection.first:
        lines += _first_record_lines(inspection.first)
    return lines


def _bad_lines(inspection: "Inspection") -> Iterator[str]:
    if inspection.damaged_ranges:
        ranges = format_count(inspection.damaged_ranges, "range")
        yield f"  damaged    {ranges}, {inspection.damaged_bytes:,} bytes"
    if inspection.rejected:
        reasons = (f"{count:,} {reason}" for reason, count in inspection.rejected.items())
        yield f"  unusable   {', '.join(reasons)}"


def _timestamp(first: "FirstRecord") -> str:
    if first.timestamp_offset is None:
        return f"timestamp_s  {first.timestamp_s}"
    samples, rate_hz = first.timestamp_offset, first.sample_rate_hz
    if rate_hz is None:
        known = "their rate is unknown: no config.json has it, give --sample-rate"
    else:
        known = f"at {rate_hz:g} Hz {samples / rate_hz:.6g} s"
    return f"timestamp_offset  {samples:,} audio samples, {known}"


def _first_record_lines(first: "FirstRecord") -> list[str]:
    parts = first.recording or {"": f"not of the form {EXPECTED}"}
    return [
        "  first record",
        f"    filename     {first.filename}",
        *(f"      {name:28} {value}" for name, value in parts.items() if value is not None),
        f"    {_timestamp(first)}",
        f"    embedding    {' '.join(f'{value:.6g}' for value in first.values)} …",
    ]

"""Says what the conversions of a dataset selected, left out and assumed."""

from collections.abc import Iterator

from a20_parquet.dataset.manifest import Manifest
from a20_parquet.dataset.taken import EVERYTHING, taken, taken_lines
from a20_parquet.formatting import format_count

_MOST_NAMES = 3


def provenance(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield kinds of decisions, such as ``Assumed``, and what was decided; equal kinds together."""
    for origin in manifest.origins:
        yield "Part of", f"{origin.dataset}: {origin}"
    for which, selected, left_out in taken_lines(taken(manifest)):
        what = "everything that can be converted" if selected == EVERYTHING else selected
        yield "Selected", f"{which}: {what}{left_out and f'; {left_out}'}"
    yield from (("Left out", text) for text in _left_out(manifest))
    for assumption in manifest.assumptions:
        yield "Assumed", f"{assumption.about}: {assumption.text}"
    yield from (("Duplicates", text) for text in _duplicates(manifest))
    for remark in dict.fromkeys(each.hop_remark for each in manifest.conversions):
        if remark:
            yield "Noticed", remark
    if records := sum(shard.shape_disagreements for shard in manifest.shards):
        shapes = "whose embedding_shape differs from the tensor's own shape, which counts"
        yield "Noticed", f"{format_count(records, 'record')} {shapes}"


def _left_out(manifest: Manifest) -> Iterator[str]:
    for conversion in manifest.conversions:
        excluded, reading = conversion.excluded, conversion.reading
        if excluded and reading.exclude:
            unused = format_count(excluded.unused_rows, "row")
            also = f"; {unused} of it named none" if excluded.unused_rows else ""
            yield f"{format_count(excluded.listed, 'window')} named in {reading.exclude.name}{also}"
        if excluded and reading.where:
            yield f"{format_count(excluded.where, 'window')} without {reading.where}"


def _duplicates(manifest: Manifest) -> Iterator[str]:
    for conversion in manifest.conversions:
        counts = conversion.duplicates
        names = ", ".join(counts.names[:_MOST_NAMES])
        such = f", such as of {names}" if names else ""
        if counts.identical:
            done = "dropped" if conversion.reading.drop_duplicates else "kept"
            yield (
                f"{format_count(counts.identical, 'window')} equal to others of the same recording "
                f"and time: {done}{such}"
            )
        if counts.different:
            yield (
                f"{format_count(counts.different, 'window')} of the same recording and time as "
                f"others, but different: kept{such}"
            )

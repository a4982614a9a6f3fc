"""Streams windows from shards as Arrow record batches, without writing."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from a20_parquet.checks import check_count, check_positive
from a20_parquet.decoding.decoder import DecoderName, decode_strictly, make_decoder
from a20_parquet.errors import SourceError, in_python
from a20_parquet.shards.discover import find_shards
from a20_parquet.shards.perch_config import check_sample_rate, find_hop, read_configs
from a20_parquet.tfrecord.frames import BATCH_BYTES, read_records
from a20_parquet.windows.build import WindowRules, sort_table, with_embeddings
from a20_parquet.windows.filter import RecordFilter
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.records import DecodedRecords
from a20_parquet.windows.schema import window_schema

_MOST_BATCH_BYTES = 1 << 30


def read_windows(
    sources: str | Path | Sequence[str | Path],
    *,
    window_seconds: float | None = None,
    sample_rate: float | None = None,
    batch_bytes: int = BATCH_BYTES,
    decoder: DecoderName | str = DecoderName.TENSORFLOW,
) -> Any:
    """Stream the windows of shards in shard, then record order.

    Args:
        sources: folders, files, globs or fsspec URLs.
        window_seconds: from one window's start to the next; by default from Perch's
            ``config.json`` beside the shards, else 5 with a ``UserWarning``.
        sample_rate: of the recordings in Hz, for records with a ``timestamp_offset`` in samples; by
            default from ``config.json``.
        batch_bytes: approximate bytes of records per record batch.
        decoder: ``tensorflow``, or the faster ``wire`` with the same results.

    Returns:
        A ``pyarrow.RecordBatchReader`` with the columns of a dataset. Reading it may raise the same
        errors.

    Raises:
        UsageError: an argument is invalid, or the shards' windows differ.
        SourceError: no shard is found, or one cannot be read.
        RecordError: a shard is damaged, or a record cannot be converted.
    """
    if window_seconds is not None:
        window_seconds = check_positive("window_seconds", window_seconds, "seconds")
    batch_bytes = check_count("batch_bytes", batch_bytes, most=_MOST_BATCH_BYTES)
    check_sample_rate(sample_rate)
    listing = read_configs(find_shards(sources), sample_rate, window_seconds)
    hop = find_hop(listing.shards, window_seconds)
    for remark in listing.remarks:
        warnings.warn(in_python(remark), stacklevel=2)
    if hop.assumed:
        warnings.warn(f"hop assumed: {in_python(hop.assumed)}", stacklevel=2)
    made = make_decoder(decoder)
    decoded = (
        decode_strictly(made, records)
        for shard in listing.shards
        for records in read_records(shard, batch_bytes)
    )
    first = next(decoded, None)
    if first is None:
        none = f"none of the {len(listing.shards):,} shards holds a"
        if len(listing.shards) == 1:
            none = f"{listing.shards[0].url} holds no"
        raise SourceError(f"{none} record")
    dims = first.metadata.shapes[0][2]
    batches = _windows(chain([first], decoded), dims, hop.seconds)
    return pa.RecordBatchReader.from_batches(window_schema(dims), batches)


def _windows(decoded: Iterable[DecodedRecords], dims: int, window_s: float) -> Iterator[Any]:
    rules = WindowRules(window_s=window_s, by=PartitionBy.SITE, dims=dims)
    record_filter = RecordFilter(rules)
    for batch in decoded:
        record_filter.check(batch)
        metadata = sort_table([batch.metadata], rules).to_batch()
        embeddings = [rules.pick(tensor) for tensor in batch.embeddings]
        if len(metadata):
            yield with_embeddings(
                metadata, np.concatenate(embeddings).astype(np.float32, copy=False)
            )

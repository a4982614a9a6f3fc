"""Datasets of one's own files, for tests that need no conversion."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import crc32c
import pyarrow as pa
import pyarrow.parquet as pq

from a20_parquet.conversion.transaction.commit import clean_up, commit
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.dataset.manifest_content import make_manifest
from a20_parquet.dataset.options import TableOptions
from a20_parquet.dataset.summaries import FileSummary, ShardSummary
from a20_parquet.dataset.write_file_list import files_content
from a20_parquet.parquet import Compression
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.schema import Feature, window_schema
from tests.helpers.layout import LocalLayout


def encode_with_pyarrow(table: Any, **options: Any) -> bytes:
    """The same rows, as pyarrow writes them."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.cast(window_schema(table.schema.field(0).type.list_size)), sink, **options)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def complete(
    layout: LocalLayout,
    options: TableOptions,
    shards: Sequence[ShardSummary],
    files: Sequence[FileSummary],
    sites_content: bytes | None = None,
) -> Manifest:
    """Make data files that are there a complete dataset."""
    layout.conversion.mkdir(parents=True, exist_ok=True)
    listed = files_content(files, options.partition_by)
    manifest = make_manifest(options, files=files, files_content=listed, shards=shards)
    commit(layout, manifest, files, sites_content)
    clean_up(layout, [])
    if not any(layout.conversion.iterdir()):
        layout.conversion.rmdir()
    return manifest


def make_dataset(  # noqa: PLR0913 - what a dataset is made of
    root: Path,
    contents: Sequence[bytes],
    rows: Sequence[int],
    *,
    dims: int,
    compression: Compression = Compression.NONE,
    row_group_rows: int = 2048,
    features: tuple[Feature, ...] = (),
) -> Path:
    """A complete dataset by site whose data files have these contents, one site each."""
    files = []
    for number, (content, count) in enumerate(zip(contents, rows, strict=True)):
        path = root / "data" / f"site=site_{number:04d}" / "part-0000.parquet"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        file = FileSummary(
            path=path.relative_to(root).as_posix(),
            site=f"site_{number:04d}",
            period=0,
            rows=count,
            bytes=len(content),
            checksum=f"{crc32c.crc32c(content):08x}",
            first_window_us=None,
            last_window_us=None,
        )
        files.append(file)
    options = TableOptions(
        partition_by=PartitionBy.SITE,
        compression=compression,
        max_file_size=10**9,
        row_group_rows=row_group_rows,
        window_seconds=5.0,
        dims=dims,
        features=features,
    )
    complete(LocalLayout.at(root), options, [], files)
    return root

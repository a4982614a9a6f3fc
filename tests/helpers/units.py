"""Units of the merge, planned and written as a conversion does it, for tests."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from a20_parquet.conversion.transaction.checkpoints import Plan, PlannedShard
from a20_parquet.conversion.write_files import UnitWriter
from a20_parquet.dataset.options import ReadingOptions, TableOptions
from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.parquet import Compression, ParquetLayout
from a20_parquet.runs.cursor import MergeCursor
from a20_parquet.runs.merge_cut import unit_slices
from a20_parquet.runs.merge_plan import MergePlan, plan_merge
from a20_parquet.runs.run import Run
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.schema import window_schema
from tests.helpers.layout import LocalLayout
from tests.helpers.runs import DIMS, Row, held

OPTIONS = TableOptions(
    partition_by=PartitionBy.SITE_DATE,
    compression=Compression.NONE,
    max_file_size=512_000_000,
    row_group_rows=2048,
    window_seconds=5.0,
    dims=DIMS,
)
SHARD = PlannedShard(label="shard", url="file:///shard", bytes=10, version="1")


def make_plan(**other: Any) -> Plan:
    """What a conversion into a dataset was asked to do, its runs beside its plan."""
    values = {
        "options": OPTIONS,
        "reading": ReadingOptions(),
        "shards": (SHARD,),
        "npy_json": None,
        "base": None,
        "scratch": ("runs",),
    }
    return Plan.model_validate(values | other)


def buffer(rows: int) -> Any:
    """An embedding buffer full of what no test expects."""
    return np.full((rows, DIMS), np.nan, np.float32)


def write_all(
    layout: LocalLayout, rows: list[list[Row]], row_group_rows: int = 3, by: str = "site,date"
) -> tuple[MergePlan, list[FileSummary], list[int]]:
    """Merge rows into a claimed dataset, with files of 7 rows and units of 20."""
    return write_runs(layout, [held(mine) for mine in rows], row_group_rows, by)


def write_runs(
    layout: LocalLayout,
    runs: Sequence[Run],
    row_group_rows: int = 3,
    by: str = "site,date",
    first_part: int = 0,
) -> tuple[MergePlan, list[FileSummary], list[int]]:
    """Merge runs likewise; the first file of each partition gets the number ``first_part``."""
    units = plan_merge(runs, rows_per_file=7, rows_per_unit=20)
    parquet = ParquetLayout(window_schema(DIMS), Compression.NONE)
    writer = UnitWriter(
        layout,
        parquet,
        PartitionBy(by),
        row_group_rows=row_group_rows,
        turn=threading.Lock(),
    )
    advanced: list[int] = []
    files = []
    for plan in units:
        renumbered = (replace(file, part=file.part + first_part) for file in plan.files)
        unit = replace(plan, files=tuple(renumbered))
        slices = unit_slices(runs, unit, batch_rows=2)
        cursor = MergeCursor(runs, slices, batch_rows=2, staging=buffer(2))
        files += writer.write(unit, cursor, advanced.append)
    return units, files, advanced

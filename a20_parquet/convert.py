"""The conversion: shards in, a Hive-partitioned Parquet dataset out."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest import Totals, committed_files, finalise
from a20_parquet.dataset.npy_json import NpyJsonFolder
from a20_parquet.errors import DatasetError
from a20_parquet.job import Job, check_free_space, plan_job
from a20_parquet.merge_pass import merge_runs
from a20_parquet.npy_json import NotebookOutput
from a20_parquet.options import ConvertOptions, OptionValues
from a20_parquet.progress import NoProgress, Progress
from a20_parquet.sort_pass import sort_shards
from a20_parquet.source.discover import Listing, PassedOver, find_shards
from a20_parquet.table.sparse import sparse_partitions_hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What a finished conversion did."""

    dataset: Path
    totals: Totals
    source_bytes: int
    """Stored size of all shards."""
    seconds: float
    """Wall time."""
    runs_on_disk: int
    """Runs that went to scratch disk; 0 where all windows fitted the memory budget."""
    passed_over: tuple[PassedOver, ...]
    """Files of the sources that are no shards."""
    warnings: tuple[str, ...]
    """Shards that seem to be missing."""
    hint: str | None
    """Advice on the Hive keys."""
    npy_json: Path | None
    """Folder of the notebook's files, where they were asked for."""


def convert(
    sources: str | Path | Sequence[str | Path],
    dataset: str | Path,
    *,
    progress: Progress | None = None,
    **options: Unpack[OptionValues],
) -> Conversion:
    """Convert shards to a dataset.

    Args:
        sources: folders, files, globs or fsspec URLs.
        dataset: folder to write; must be empty or not there, unless ``overwrite`` is given.
        progress: told how far it is.
        options: see ``ConvertOptions``.

    Raises:
        UsageError: an option, or the place of the dataset, makes no sense.
        SourceError: shards can't be found or read.
        RecordError: a shard is damaged, or a record can't be converted.
        DatasetError: the dataset, the scratch folder or the notebook's files can't be written.
    """
    started = time.monotonic()
    progress = progress or NoProgress()
    chosen = ConvertOptions.parse(options)
    layout = DatasetLayout.at(dataset)
    layout.check(overwrite=chosen.overwrite)
    folder = _notebook_folder(chosen, layout)

    listing = find_shards(sources)
    for warning in listing.missing:
        progress.say(warning)
    notebook = _notebook_output(folder, listing, progress)
    job = plan_job(listing, chosen)
    with _conversion(layout, job, chosen) as scratch:
        runs, shards = sort_shards(job, scratch, progress, notebook)
        units = merge_runs(job, runs, layout, progress)
        files = committed_files(layout, units)
        manifest = finalise(layout, job.table, shards, files)
    return Conversion(
        dataset=layout.root,
        totals=manifest.totals,
        source_bytes=listing.bytes,
        seconds=time.monotonic() - started,
        runs_on_disk=sum(run.on_disk for run in runs),
        passed_over=listing.passed_over,
        warnings=listing.missing,
        hint=sparse_partitions_hint(
            ((file.site, file.period, file.bytes) for file in files), job.table.partition_by
        ),
        npy_json=None if folder is None else folder.root,
    )


def _notebook_folder(options: ConvertOptions, layout: DatasetLayout) -> NpyJsonFolder | None:
    if options.npy_json is None:
        return None
    folder = NpyJsonFolder.at(options.npy_json)
    folder.check_outside(layout.root)
    return folder


def _notebook_output(
    folder: NpyJsonFolder | None, listing: Listing, progress: Progress
) -> NotebookOutput | None:
    if folder is None:
        return None
    output = NotebookOutput.plan(folder, listing.shards)
    for line in output.renamed:
        progress.say(line)
    return output


@contextmanager
def _conversion(layout: DatasetLayout, job: Job, options: ConvertOptions) -> Iterator[Path]:
    """Claim the dataset's folder and lend a scratch folder; after a failure nothing is left."""
    layout.claim(job.plan, overwrite=options.overwrite)
    try:
        parent = options.scratch or layout.conversion
        parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="a20-parquet-runs-", dir=parent))
        try:
            check_free_space(job, layout.root, scratch)
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        layout.abandon()
        raise DatasetError(f"{error}. Nothing was kept: mend the cause, convert again.") from error
    except BaseException:
        layout.abandon()
        raise
    layout.release()

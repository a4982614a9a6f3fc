"""The conversion: shards in, a Hive-partitioned Parquet dataset out."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from a20_parquet.conversion.duplicates_pass import without_duplicates
from a20_parquet.conversion.finish import check_some_kept, excluded_counts, finish, missing_sites
from a20_parquet.conversion.job import ConversionSetup, plan_conversion
from a20_parquet.conversion.memory import check_budget
from a20_parquet.conversion.merge_pass import merge_runs, plan_files
from a20_parquet.conversion.new_shards import NewShards, find_copies, find_new
from a20_parquet.conversion.option_help import with_options
from a20_parquet.conversion.options import ConvertOptions, OptionValues
from a20_parquet.conversion.reading import Reading
from a20_parquet.conversion.result import Conversion, Remarks, conversion_remarks
from a20_parquet.conversion.sort_pass import sort_shards
from a20_parquet.conversion.start import started
from a20_parquet.conversion.table_options import check_options
from a20_parquet.conversion.transaction.begin import ConversionState, find_existing, make_way
from a20_parquet.conversion.transaction.lock import locked
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest_content import dataset_id, existing_id
from a20_parquet.errors import UsageError
from a20_parquet.execution.fencing import FencingToken
from a20_parquet.execution.open import open_executor
from a20_parquet.execution.protocols import Executor
from a20_parquet.execution.threads import ThreadPool
from a20_parquet.notebook.files import NpyJsonFolder
from a20_parquet.notebook.npy_json import NotebookOutput, hop_remarks
from a20_parquet.progress import Progress, ProgressOption, open_progress
from a20_parquet.runs.shard_reader import ShardFiles
from a20_parquet.shards.discover import Listing, find_shards
from a20_parquet.shards.perch_config import read_configs
from a20_parquet.storage.path import is_inside
from a20_parquet.storage.retries import counted_retries
from a20_parquet.windows.partition import sparse_partitions_hint


@with_options()
def convert(
    sources: str | Path | Sequence[str | Path],
    dataset: str | Path,
    *,
    progress: ProgressOption = None,
    **options: Unpack[OptionValues],
) -> Conversion:
    """Convert shards to a dataset, or append them to it.

    Call it again with the same sources and options to resume a conversion that was stopped. Shards
    that the dataset has already are not converted again.

    Args:
        sources: folders, files, globs or fsspec URLs.
        dataset: folder to write, or its URL; what is there must be a dataset, or nothing.
        progress: ``True`` shows bars in a terminal or a notebook, and elsewhere a line every 30 s;
            or an object with the methods of ``a20_parquet.progress.Progress``.
        options: of the conversion, each a keyword; sizes may be ``500MB``, ``64MiB`` or bytes:

    Raises:
        UsageError: an option, or the path of the dataset, is not valid.
        SourceError: shards cannot be found or read.
        RecordError: more records than allowed cannot be converted.
        DatasetError: the dataset, the scratch folder or the notebook's files cannot be written.
        ClusterError: the Dask cluster cannot be reached, or was lost.
    """
    with open_progress(progress) as shown:
        remarks = Remarks(shown)
        conversion = _convert(sources, dataset, options, shown, remarks)
        lines = conversion_remarks(conversion, str(conversion.dataset))
        remarks.log((*conversion.warnings, *lines))
        return conversion


def _convert(
    sources: str | Path | Sequence[str | Path],
    dataset: str | Path,
    options: OptionValues,
    progress: Progress,
    remarks: Remarks,
) -> Conversion:
    start = time.monotonic()
    chosen = ConvertOptions.parse(options)
    check_budget(chosen.memory)
    layout = DatasetLayout.at(dataset)
    folder = _notebook_folder(chosen, layout)
    with counted_retries() as retries, locked(layout, progress.say) as layout:
        existing = find_existing(layout, overwrite=chosen.overwrite)
        if existing is not None:
            existing.check_appendable()
        reading = Reading.of(chosen, existing)
        listing = _find_shards(sources, chosen, layout, existing)
        new = find_new(listing, existing, ThreadPool(chosen.workers), progress)
        notebook = None if folder is None else NotebookOutput.plan(folder, listing.shards)
        warnings = (*listing.missing, *listing.remarks, *reading.remarks)
        remarks.say(*warnings, *_notebook_remarks(notebook, new))
        if existing is not None and not new.shards and not layout.plan.exists():
            other_options = reading.check_existing(new.summaries)
            result = Conversion(
                dataset=layout.location,
                totals=existing.manifest.totals,
                quarantine=existing.manifest.count_reasons(),
            )
        else:
            other_options = reading.compare_existing(is_retry=len(new.retries) == len(new.shards))
            remarks.say(*other_options)
            with open_executor(chosen.dask, chosen.workers, progress) as executor:
                setup = plan_conversion(new, chosen, reading, executor, notebook)
                hops = () if notebook is None else hop_remarks([setup.table.window_seconds])
                remarks.say(*map(str, setup.assumptions), *hops, *setup.embeddings.remarks)
                with (
                    started(layout, setup, chosen, existing, progress) as state,
                    ShardFiles({shard.position: shard.path for shard in setup.shards}) as shards,
                ):
                    result = convert_new(layout, setup, state, reading, executor, shards)
            result = replace(result, retries=retries.count + result.retries)
    return replace(
        result,
        held_shards=new.existing,
        other_options=other_options,
        seconds=time.monotonic() - start,
        passed_over=listing.passed_over,
        warnings=warnings,
    )


def convert_new(  # noqa: PLR0913, PLR0917 - what converts, from where to where
    layout: DatasetLayout,
    setup: ConversionSetup,
    state: ConversionState,
    reading: Reading,
    executor: Executor,
    shards: ShardFiles,
) -> Conversion:
    """Sort the windows of new shards, merge them into files and commit these."""
    existing = reading.existing
    npy_json = None if setup.notebook is None else setup.notebook.folder.root
    token = FencingToken.of(layout, state.scratch, *([] if npy_json is None else [npy_json]))
    executor.check_access(token, setup.shards[:1])
    sorted_runs, sorted_shards = sort_shards(layout, setup, state, executor, shards)
    if not reading.has_kept:
        overwrites = existing is None and layout.manifest.exists()
        check_some_kept(setup, sorted_shards, overwrites=overwrites)
    runs, duplicates = without_duplicates(setup, sorted_runs, existing, executor)
    units = plan_files(setup, runs, existing)
    make_way(layout, state)
    dataset = (
        existing_id(existing.manifest)
        if existing
        else dataset_id(setup.table, sorted_shards.shards, units.partitions)
    )
    files = merge_runs(setup, runs, units, layout, executor, dataset_id=dataset, existing=existing)
    observations = sorted_shards.observations
    missing = missing_sites(setup, observations.left_out, sorted_runs, files)
    manifest = finish(
        layout,
        setup,
        state,
        existing,
        dataset_id=dataset,
        sorted_shards=sorted_shards,
        duplicates=duplicates,
        files=files,
    )
    summaries = enumerate(sorted_shards.shards)
    first_read = [shard for position, shard in summaries if position not in setup.retries]
    return Conversion(
        dataset=layout.location,
        totals=manifest.totals,
        new_shards=len(setup.shards) - len(setup.retries),
        retried_shards=len(setup.retries),
        new_windows=sum(file.rows for file in files),
        left_out=sorted_shards.left_out,
        excluded=excluded_counts(setup.reading, observations.left_out),
        exclude=setup.reading.exclude,
        missing_sites=missing,
        quarantine=manifest.count_reasons(),
        duplicates=duplicates,
        dropped_duplicates=setup.reading.drop_duplicates,
        shape_disagreements=sum(shard.shape_disagreements for shard in sorted_shards.shards),
        other_features=observations.other_features,
        widths=observations.other_widths(setup.table.dims),
        copies=find_copies(existing.manifest.shards if existing else (), first_read),
        assumptions=manifest.conversions[-1].assumptions,
        hop_remark=manifest.conversions[-1].hop_remark,
        rounding=manifest.conversions[-1].rounding,
        is_resumed=state.is_resumed,
        retries=executor.retries,
        source_bytes=sum(shard.size for shard in setup.shards),
        runs_on_disk=sum(run.on_disk for run in runs),
        hint=sparse_partitions_hint(
            ((file.site, file.period, file.bytes) for file in files), setup.table.partition_by
        ),
        npy_json=npy_json,
    )


def _find_shards(
    sources: str | Path | Sequence[str | Path],
    options: ConvertOptions,
    layout: DatasetLayout,
    existing: ExistingDataset | None,
) -> Listing:
    """Find the shards; raise UsageError if one would be deleted, or options do not fit."""
    found = find_shards(sources, layout.root)
    listing = read_configs(found, options.sample_rate, options.window_seconds)
    for shard in listing.shards if options.overwrite else ():
        if is_inside(shard.filesystem, shard.path, layout.root):
            raise UsageError(
                f"{shard.url} is in {layout.root}, which --overwrite would delete first. Leave "
                "the option out, or copy the shard elsewhere."
            )
    if existing is not None:
        check_options(listing, options, existing)
    return listing


def _notebook_folder(options: ConvertOptions, layout: DatasetLayout) -> NpyJsonFolder | None:
    if options.npy_json is None:
        return None
    folder = NpyJsonFolder.at(options.npy_json)
    folder.check_outside(layout.root)
    return folder


def _notebook_remarks(notebook: NotebookOutput | None, new: NewShards) -> Iterator[str]:
    """Yield a line for each of the notebook's files that differs from what a user may expect."""
    if notebook is not None:
        yield from notebook.renamed
        if new.existing:
            yield (
                f"--npy-json writes no files of shards that are already in the dataset, "
                f"{new.existing} here; a20-parquet npy-json does"
            )

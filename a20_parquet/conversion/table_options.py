"""Chooses the options of a dataset's table: hop, model, columns, keys and how files are written."""

from collections.abc import Sequence

from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.conversion.transaction.checkpoints import option_differences
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.options import TableOptions
from a20_parquet.errors import UsageError
from a20_parquet.shards.discover import Listing
from a20_parquet.shards.perch_config import Hop, find_hop
from a20_parquet.shards.perch_model import Model, find_model
from a20_parquet.tfrecord.shard import Shard
from a20_parquet.windows.feature_forms import FeatureRequest
from a20_parquet.windows.filenames.site_token import DISTINCT_TOKENS
from a20_parquet.windows.schema import Feature, key_columns


def check_options(listing: Listing, options: ConvertOptions, existing: ExistingDataset) -> None:
    """Raise UsageError if the options of the table differ from those of the dataset."""
    hop = choose_hop(listing.shards, options, existing)
    model = choose_model(listing.shards, options, existing)
    table = choose_table(hop, model, options, existing)
    if differences := "; ".join(option_differences(existing.manifest.options, table)):
        raise UsageError(
            f"{existing.layout.root} was made with other options: {differences}. Give the same "
            "ones, name another folder, or replace the dataset with --overwrite."
        )


def choose_table(
    hop: Hop, model: Model, options: ConvertOptions, existing: ExistingDataset | None
) -> TableOptions:
    """Return the options of the table; unknown dims and sizes of features are 0."""
    known = existing.manifest.options if existing else None
    _check_key_names(options)
    features = {feature.name: feature for feature in (known.features if known else ())}
    return TableOptions(
        partition_by=options.partition_by,
        compression=options.compression,
        store=options.store,
        max_file_size=options.max_file_size,
        row_group_rows=options.row_group_rows,
        window_seconds=hop.seconds,
        dims=options.dims or (known.dims if known else 0),
        channels=options.channels,
        features=tuple(
            request.of(features[request.name])
            if request.name in features
            else request.whole() or Feature(request.name, 0)
            for request in feature_requests(options)
        ),
        site_tokens=known.site_tokens if known else DISTINCT_TOKENS,
        model=model.name,
        window_size_seconds=model.window_size_s,
        keys_in_files=options.keys_in_files,
    )


def _check_key_names(options: ConvertOptions) -> None:
    """Raise UsageError if a feature has the name of a column that repeats a Hive key."""
    taken = {column.name for column in key_columns(options.partition_by.keys)}
    for request in feature_requests(options) if options.keys_in_files else ():
        if request.name.casefold() in taken:
            raise UsageError(
                f"--feature {request.name} cannot be carried along with --keys-in-files, which "
                "adds a column of this name. Leave one of the two out."
            )


def feature_requests(options: ConvertOptions) -> list[FeatureRequest]:
    """Parse what ``--feature`` asks for."""
    return [FeatureRequest.parse(text) for text in options.feature]


def choose_hop(
    shards: Sequence[Shard], options: ConvertOptions, existing: ExistingDataset | None
) -> Hop:
    """Return the hop that the user gives, that of the dataset or that of the shards.

    Raises:
        UsageError: they disagree.
    """
    # Records in quarantine have the dataset's hop.
    dataset_s = existing.manifest.options.window_seconds if existing else None
    return find_hop(shards, options.window_seconds, dataset_s)


def choose_model(
    shards: Sequence[Shard], options: ConvertOptions, existing: ExistingDataset | None
) -> Model:
    """Return the model that the user gives, that of the dataset or that of the shards.

    Raises:
        UsageError: they disagree.
    """
    known = existing.manifest.options if existing else None
    return find_model(
        shards,
        options.model,
        Model(known.model, known.window_size_seconds) if known else None,
        takes_any_hop=options.window_seconds is not None,
    )

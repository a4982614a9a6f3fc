"""The options of a conversion, validated once for the command line and for Python."""

import enum
from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    ValidationError,
)

from a20_parquet.checks import check_unicode
from a20_parquet.conversion.option_types import (
    Channels,
    Cluster,
    Day,
    Features,
    Model,
    Sites,
    Size,
)
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.errors import UsageError, flag
from a20_parquet.parquet import Compression
from a20_parquet.resources import MOST_WORKERS, default_budget, default_workers
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.schema import MAX_DIMS, Store
from a20_parquet.windows.selection import Selection

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_DAY_S = 86_400


class OnError(enum.StrEnum):
    """What to do with records and bytes that cannot be converted."""

    QUARANTINE = "quarantine"
    FAIL = "fail"


class EmbeddingsIn(enum.StrEnum):
    """Where embeddings are while windows are sorted."""

    AUTO = "auto"
    """``LOCATED`` if all shards are local, and the second read is fast; else copied."""
    LOCATED = "located"
    """They stay in the shards, and are read a second time when they are written."""
    COPIED = "copied"
    """They are copied to memory or to scratch disk."""


class OptionValues(TypedDict, total=False):
    """The options of ``convert`` as keywords, not yet validated; see ``ConvertOptions``."""

    partition_by: PartitionBy | str
    workers: int
    memory: int | str
    scratch: Path | str | None
    compression: Compression | str
    store: Store | str
    max_file_size: int | str
    row_group_rows: int
    window_seconds: float | None
    sample_rate: float | None
    model: str | None
    keys_in_files: bool
    overwrite: bool
    dims: int | None
    feature: str | Sequence[str]
    channels: Sequence[int] | str | None
    sites: Path | str | None
    filename_pattern: str | None
    unknown_site: str | None
    site: str | int | Sequence[str | int]
    from_date: date | str | None
    until_date: date | str | None
    exclude: Path | str | None
    where: str | None
    drop_duplicates: bool
    on_error: OnError | str
    max_errors: int | None
    npy_json: Path | str | None
    decoder: DecoderName | str
    embeddings: EmbeddingsIn | str
    dask: str | None


def _option(words: str, default: object = ..., **bounds: Any) -> Any:
    """Declare an option. Docstrings would make pydantic read the source of every module."""
    return Field(default, description=words, **bounds)


class ConvertOptions(BaseModel):
    """What ``convert`` can be told; sizes may be given as ``500MB``, ``64MiB`` or bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition_by: PartitionBy = _option("The Hive keys.", PartitionBy.SITE_DATE)
    workers: int = _option(
        "Threads; by default the cores that this process may use.",
        ge=1,
        le=MOST_WORKERS,
        default_factory=default_workers,
    )
    memory: Size = _option(
        "All buffers together, of each process; by default a quarter of what it may use.",
        default_factory=lambda: ByteSize(default_budget()),
    )
    scratch: Path | str | None = _option(
        "Folder for runs, or a URL of one, which every process sees; by default inside the "
        "dataset.",
        None,
    )
    compression: Compression = _option("Of the Parquet files.", Compression.NONE)
    store: Store = _option(
        "How files store the floats of embeddings: ``float16`` takes half the bytes, exactly if "
        "shards hold float16, else rounded to the nearest.",
        Store.FLOAT32,
    )
    max_file_size: Size = _option(
        "A file ends before its uncompressed rows exceed this.", ByteSize(512_000_000)
    )
    row_group_rows: int = _option("Rows of a row group.", 2048, ge=1)
    window_seconds: float | None = _option(
        "From one window's start to the next; by default Perch's ``config.json`` says it, else 5.",
        None,
        gt=0,
        le=_DAY_S,
        allow_inf_nan=False,
    )
    sample_rate: float | None = _option(
        "Of the recordings, in Hz: divides the older ``timestamp_offset``, which counts samples; "
        "by default Perch's ``config.json`` says it.",
        None,
        ge=1,
        le=1e9,
        allow_inf_nan=False,
    )
    model: Model = _option(
        "Name and version of the model that made the embeddings; by default Perch's "
        "``config.json`` says it. All files of the dataset carry it.",
        None,
    )
    keys_in_files: bool = _option(
        "Whether the files repeat the Hive keys as columns ``site_key``, ``date_key`` and so on, "
        "for readers that take no columns from folders' names.",
        False,
    )
    overwrite: bool = _option("Whether to delete a dataset that is already there.", False)
    dims: int | None = _option(
        "Floats an embedding; by default the one number that the first records have.",
        None,
        ge=1,
        le=MAX_DIMS,
    )
    feature: Features = _option(
        "Further features, one or more, that windows carry along as columns: each ``NAME``, or "
        "more of its form as ``NAME:KIND[SIZE]:SCOPE``, see ``FeatureKind`` and ``FeatureScope``.",
        (),
    )
    channels: Channels = _option(
        "Numbers of the channels to take, also as a text such as ``0,2``; by default all.", None
    )
    sites: Path | str | None = _option(
        "Table of recorders with their site ids and time zones: CSV, JSON or Parquet.", None
    )
    filename_pattern: str | None = _option(
        "Regular expression for filenames of another form, with named groups: ``site_id``, "
        "``site_name``, ``subsite_name``, ``file_seq_id``, ``date``, ``time``, ``offset``.",
        None,
    )
    unknown_site: str | None = _option(
        "Site of recordings whose names tell none; by default they go to quarantine.", None
    )
    site: Sites = _option(
        "Take only these sites: as the key ``site`` has them, numbers, or recorders' names where "
        "these have no id.",
        (),
    )
    from_date: Day = _option("Take only windows from this local date on.", None)
    until_date: Day = _option("Take only windows until this local date, inclusive.", None)
    exclude: Path | str | None = _option(
        "CSV file of what to leave out, by ``filename`` and ``timestamp_s`` (whole records), "
        "``start_s`` and ``end_s`` (windows that overlap), or ``recording_offset_in_file`` (and "
        "``channel``; single windows).",
        None,
    )
    where: str | None = _option(
        "SQL condition on metadata, features and Hive keys: only windows for which it is true are "
        "taken.",
        None,
    )
    drop_duplicates: bool = _option(
        "Whether to leave out windows that equal another one bit for bit, name and time included.",
        False,
    )
    on_error: OnError = _option("What to do with what cannot be converted.", OnError.QUARANTINE)
    max_errors: int | None = _option(
        "Give up when more records and damaged places than this go to quarantine.", None, ge=0
    )
    npy_json: Path | str | None = _option(
        "Folder for the notebook's ``.npy`` and ``.json`` files; by default none are written.", None
    )
    decoder: DecoderName = _option(
        "What decodes records; the result is the same.", DecoderName.TENSORFLOW
    )
    embeddings: EmbeddingsIn = _option(
        "Where embeddings are while windows are sorted; the result is the same.", EmbeddingsIn.AUTO
    )
    dask: Cluster = _option(
        "Where a Dask cluster does the work: its scheduler's address, or ``local:N`` for N "
        "processes on this machine; by default threads of this process do it.",
        None,
    )

    @classmethod
    def parse(cls, values: OptionValues) -> Self:
        """Validate options.

        Raises:
            UsageError: an option is unknown or its value is not valid.
        """
        if values.get("dask") is not None and "workers" in values:
            raise UsageError(
                "--workers counts threads of this process; with --dask the cluster decides how "
                "many work. Leave one of the two out."
            )
        for name, value in values.items():
            check_unicode(flag(name), value)
        try:
            chosen = cls.model_validate(values)
        except ValidationError as error:
            raise UsageError("; ".join(map(_format_problem, error.errors()))) from error
        # Raises if the dates are in the wrong order.
        Selection(first=chosen.from_date, last=chosen.until_date)
        return chosen


_BOUNDS = {
    "greater_than_equal": ("ge", "expected {:,.15g} or more"),
    "greater_than": ("gt", "expected more than {:,.15g}"),
    "less_than_equal": ("le", "expected {:,.15g} or less"),
}


def _format_problem(problem: "ErrorDetails") -> str:
    option, kind = str(problem["loc"][0]), problem["type"]
    what = problem["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    # Unknown options are not flags: the command line refuses them itself.
    name = option if kind == "extra_forbidden" else flag(option)
    if kind == "extra_forbidden":
        alike = get_close_matches(option, ConvertOptions.model_fields, n=1)
        what = f"there is no such option{', did you mean ' * bool(alike)}{''.join(alike)}"
    elif kind == "byte_size":
        what = "expected a size such as 500MB, 64MiB or a number of bytes"
    elif kind in _BOUNDS:
        bound, expected = _BOUNDS[kind]
        what = expected.format(problem["ctx"][bound])
    return f"{name}: {what}, got {problem['input']!r}"

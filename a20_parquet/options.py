"""The options of a conversion, validated once for the command line and for Python."""

from pathlib import Path
from typing import Annotated, Self, TypedDict

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from a20_parquet.dataset.parquet import Compression
from a20_parquet.errors import UsageError
from a20_parquet.memory import default_budget, default_workers
from a20_parquet.table.partition import PartitionBy

_Size = Annotated[ByteSize, Field(gt=0)]


class OptionValues(TypedDict, total=False):
    """The options of ``convert`` as keywords, not yet validated; see ``ConvertOptions``."""

    partition_by: PartitionBy | str
    workers: int
    memory: int | str
    scratch: Path | str | None
    compression: Compression | str
    max_file_size: int | str
    row_group_rows: int
    window_seconds: float | None
    overwrite: bool
    dims: int | None


class ConvertOptions(BaseModel):
    """What ``convert`` can be told; sizes may be given as ``500MB``, ``64MiB`` or bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition_by: PartitionBy = PartitionBy.SITE_DATE
    """The Hive keys."""
    workers: Annotated[int, Field(ge=1, default_factory=default_workers)]
    """Threads; by default the cores that this process may use."""
    memory: Annotated[ByteSize, Field(gt=0, default_factory=lambda: ByteSize(default_budget()))]
    """All buffers together; by default a quarter of what this process may use."""
    scratch: Path | None = None
    """Folder for runs; by default inside the dataset."""
    compression: Compression = Compression.NONE
    """Of the Parquet files."""
    max_file_size: _Size = ByteSize(512_000_000)
    """A file ends before its uncompressed rows exceed this."""
    row_group_rows: Annotated[int, Field(ge=1)] = 2048
    """Rows of a row group."""
    window_seconds: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    """From one window's start to the next; by default Perch's ``config.json`` says it, else 5."""
    overwrite: bool = False
    """Whether to delete a dataset that is already there."""
    dims: Annotated[int | None, Field(ge=1)] = None
    """Floats an embedding; by default those of the first record."""

    @classmethod
    def parse(cls, values: OptionValues) -> Self:
        """Validate options.

        Raises:
            UsageError: an option is unknown or its value makes no sense.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = "; ".join(
                f"--{'.'.join(map(str, problem['loc'])).replace('_', '-')}: "
                f"{problem['msg']}, got {problem['input']!r}"
                for problem in error.errors()
            )
            raise UsageError(problems) from error

"""The options of a conversion, validated once for the command line and for Python."""

import re
from pathlib import Path
from typing import Annotated, Self, TypedDict

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from a20_parquet.dataset.parquet import Compression
from a20_parquet.errors import UsageError
from a20_parquet.memory import default_budget, default_workers
from a20_parquet.table.partition import PartitionBy

_SIZE = re.compile(r"\s*\d+(\.\d+)?\s*[A-Za-z]*\s*")
_DAY_S = 86_400


def _whole_size(value: object) -> object:
    # ByteSize reads the beginning of a text and ignores the rest.
    if isinstance(value, str) and not _SIZE.fullmatch(value):
        raise ValueError("expected a size such as 500MB, 64MiB or a number of bytes")
    return value


_Size = Annotated[ByteSize, BeforeValidator(_whole_size), Field(gt=0)]


def parse_size(text: str) -> int:
    """Read a size such as ``500MB``, ``64MiB`` or a number of bytes.

    Raises:
        UsageError: it is none.
    """
    try:
        return int(TypeAdapter(_Size).validate_python(text))
    except ValidationError as error:
        problem = error.errors()[0]
        raise UsageError(f"{text!r} is no size: {problem['msg']}") from error


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
    npy_json: Path | str | None


class ConvertOptions(BaseModel):
    """What ``convert`` can be told; sizes may be given as ``500MB``, ``64MiB`` or bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition_by: PartitionBy = PartitionBy.SITE_DATE
    """The Hive keys."""
    workers: Annotated[int, Field(ge=1, default_factory=default_workers)]
    """Threads; by default the cores that this process may use."""
    memory: Annotated[_Size, Field(default_factory=lambda: ByteSize(default_budget()))]
    """All buffers together; by default a quarter of what this process may use."""
    scratch: Path | None = None
    """Folder for runs; by default inside the dataset."""
    compression: Compression = Compression.NONE
    """Of the Parquet files."""
    max_file_size: _Size = ByteSize(512_000_000)
    """A file ends before its uncompressed rows exceed this."""
    row_group_rows: Annotated[int, Field(ge=1)] = 2048
    """Rows of a row group."""
    window_seconds: Annotated[float | None, Field(gt=0, le=_DAY_S, allow_inf_nan=False)] = None
    """From one window's start to the next; by default Perch's ``config.json`` says it, else 5."""
    overwrite: bool = False
    """Whether to delete a dataset that is already there."""
    dims: Annotated[int | None, Field(ge=1)] = None
    """Floats an embedding; by default those of the first record."""
    npy_json: Path | str | None = None
    """Folder for the notebook's ``.npy`` and ``.json`` files; by default none are written."""

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

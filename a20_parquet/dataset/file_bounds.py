"""Least and greatest values of a data file's columns, so that queries open fewer files."""

from typing import Annotated, Final

import pyarrow as pa
from pydantic import Field

from a20_parquet.dataset.models import Count, FrozenModel

BOUNDS: Final = {
    "first_filename": pa.string(),
    "last_filename": pa.string(),
    "first_file_seq_id": pa.int64(),
    "last_file_seq_id": pa.int64(),
    "null_file_seq_ids": pa.int64(),
    "null_site_ids": pa.int64(),
}
"""Columns of ``files.parquet`` with the fields of ``FileBounds``, all null if they are unknown."""

_SeqId = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]


class FileBounds(FrozenModel):
    """Bounds of some columns of a data file. Texts are compared by their UTF-8 bytes."""

    first_filename: str
    """No filename is before it. It may be shortened."""
    last_filename: str | None
    """No filename is after it. It may be shortened, then its last character is raised; None if that
    is impossible."""
    first_file_seq_id: _SeqId | None
    """Least ``file_seq_id``; None if all are null."""
    last_file_seq_id: _SeqId | None
    """Greatest ``file_seq_id``; None if all are null."""
    null_file_seq_ids: Count
    """Rows without a ``file_seq_id``."""
    null_site_ids: Count
    """Rows without a ``site_id``."""

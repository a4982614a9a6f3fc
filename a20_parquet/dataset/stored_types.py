"""Tables of data files that another writer may have stored, as this program's types."""

from typing import Any

import pyarrow as pa

from a20_parquet.dataset.reading_errors import MEND
from a20_parquet.errors import DatasetError

# Types that other writers may use for the same values.
_LARGE = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}


def as_ours(table: Any, schema: Any, url: str, *, from_here: bool) -> Any:
    """Cast a ``pyarrow.Table`` to this program's schema.

    Args:
        table: columns of a data file.
        schema: the types that they must have, or have under another name.
        url: of the file, for errors.
        from_here: whether this program wrote the file.

    Raises:
        DatasetError: a column is missing or has another type.
        ArrowException: values are damaged.
    """
    if missing := set(schema.names).difference(table.column_names):
        raise DatasetError(f"{url} has no column {', '.join(sorted(missing))}. {MEND}")
    table = table.select(schema.names)
    for field, wanted in zip(table.schema, schema, strict=True):
        is_same = field.type == wanted.type or _LARGE.get(field.type) == wanted.type
        # A damaged footer that changes nullability would change the values.
        if not is_same or (from_here and field.nullable != wanted.nullable):
            raise DatasetError(
                f"{url}: its column {field.name} is {field.type}"
                f"{'' if field.nullable else ' not null'}, expected {wanted.type}"
                f"{'' if wanted.nullable else ' not null'}. {MEND}"
            )
    if from_here:
        return table
    # Arrow cannot cast lists that are null, even to their own type.
    arrays = [
        column if column.type == wanted.type else column.cast(wanted.type)
        for wanted, column in zip(schema, table.columns, strict=True)
    ]
    return pa.table(arrays, schema=schema)

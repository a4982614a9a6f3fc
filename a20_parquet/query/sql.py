"""Writes the DuckDB SQL of the columns of the relation ``windows``."""

from collections.abc import Iterator, Mapping
from typing import Final

import pyarrow as pa

from a20_parquet.errors import UsageError
from a20_parquet.windows.partition import HIVE_NULL, PartitionBy
from a20_parquet.windows.schema import KEYS, Column, Feature, columns

RELATION: Final = "windows"

_TYPES: Final = {
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
    pa.timestamp("us"): "TIMESTAMP",
    pa.date32(): "DATE",
}
_PATH_COLUMN: Final = "a20_data_file"
_GLOB_CHARACTERS: Final = "*?["


def identifier(name: str) -> str:
    """Quote the name of a column or relation."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def literal(text: str) -> str:
    """Quote a string."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


def column_types(dims: int, by: PartitionBy, features: tuple[Feature, ...] = ()) -> dict[str, str]:
    """Return the SQL type of each column: those of the files, then the Hive keys."""
    every = (*columns(dims, features), *(KEYS[key] for key in by.keys))
    return {column.name: _type(column) for column in every}


def create_table(dims: int, by: PartitionBy, features: tuple[Feature, ...] = ()) -> str:
    """Write the DDL of ``windows`` as an empty table."""
    required = {column.name for column in columns(dims, features) if not column.nullable}
    lines = [
        f"    {identifier(name)} {type_}{' NOT NULL' if name in required else ''}"
        for name, type_ in column_types(dims, by, features).items()
    ]
    return f"CREATE TABLE {RELATION} (\n" + ",\n".join(lines) + "\n)"


def select_from(root: str, paths: str, types: Mapping[str, str], by: PartitionBy) -> str:
    """Write a ``SELECT`` without ``WHERE`` of all windows in data files.

    Args:
        root: absolute path or URL of the dataset.
        paths: an expression for a list of one or more absolute paths.
        types: columns in the wanted order, with their types: see ``column_types``.
        by: the Hive keys.
    """
    # DuckDB takes the first ``key=value`` of a path, which may be in a folder above the dataset.
    names = {name.casefold() for name in types}
    misled = any(
        part.partition("=")[0].casefold() in names for part in root.split("/") if "=" in part
    )
    if misled:
        options = f"hive_partitioning = false, filename = {literal(_PATH_COLUMN)}"
        keys_of = {key: _key_of_path(key, by) for key in by.keys}
    else:
        # A type that is not quoted would be taken for the macro's parameter of that name.
        hive_types = ", ".join(f"{literal(key)}: {literal(types[key])}" for key in by.keys)
        options = f"hive_partitioning = true, hive_types = {{{hive_types}}}"
        keys_of = {}
    selected = ", ".join(_selected(name, types[name], keys_of) for name in types)
    return f"SELECT {selected} FROM read_parquet({paths}, {options}) AS w"  # noqa: S608 - all quoted


def no_windows(types: Mapping[str, str]) -> str:
    """Write a ``SELECT`` of columns of these types without rows."""
    nulls = ", ".join(f"CAST(NULL AS {t}) AS {identifier(n)}" for n, t in types.items())
    return f"SELECT {nulls} WHERE false"


def root_prefix(root: str) -> str:
    """Write what precedes the path of a file in a dataset, as ``read_parquet`` takes it."""
    return literal(_escape_glob(root.rstrip("/")) + "/")


def comments(dims: int, by: PartitionBy, features: tuple[Feature, ...] = ()) -> Iterator[str]:
    """Write a statement for each column with its meaning, for the table or the view."""
    for column in (*columns(dims, features), *(KEYS[key] for key in by.keys)):
        text = column.meaning if column.unit is None else f"{column.meaning}; {column.unit}"
        yield f"COMMENT ON COLUMN {RELATION}.{identifier(column.name)} IS {literal(text)}"


def _type(column: Column) -> str:
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        return f"{_TYPES[kind.value_type]}[{kind.list_size}]"
    return _TYPES[kind]


def _selected(name: str, type_: str, keys_of: dict[str, str]) -> str:
    if name in keys_of:
        return f"{keys_of[name]} AS {identifier(name)}"
    if type_.endswith("]"):
        return f"CAST(w.{identifier(name)} AS {type_}) AS {identifier(name)}"
    return f"w.{identifier(name)}"


def _key_of_path(key: str, by: PartitionBy) -> str:
    from_end = len(by.keys) - by.keys.index(key) + 1
    folder = f"split_part(w.{identifier(_PATH_COLUMN)}, '/', -{from_end})"
    value = f"nullif(split_part({folder}, '=', 2), {literal(HIVE_NULL)})"
    return f"CAST({value} AS {_TYPES[KEYS[key].type]})"


def is_readable(root: str) -> bool:
    """Whether DuckDB can read files from this path: it has no escape for a backslash in a glob."""
    return "\\" not in root or not any(char in root for char in _GLOB_CHARACTERS)


def _escape_glob(path: str) -> str:
    if not is_readable(path):
        raise UsageError(
            f"{path}: DuckDB cannot read a path with a backslash and one of {_GLOB_CHARACTERS}. "
            "Rename the folder, or make a table with a20-parquet duckdb --as table."
        )
    return "".join(f"[{char}]" if char in _GLOB_CHARACTERS else char for char in path)

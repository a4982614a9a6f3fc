"""Writes the DuckDB SQL of the relation ``windows``, as a table and as a view."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa

from a20_parquet.dataset.layout import DATA
from a20_parquet.errors import UsageError
from a20_parquet.storage.locate import is_url
from a20_parquet.windows.partition import HIVE_NULL, PartitionBy
from a20_parquet.windows.schema import KEYS, Column, Feature, columns

RELATION: Final = "windows"
MACRO: Final = "windows_of"

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
_CHECKSUM_END: Final = 9
"""Position of what follows a checksum in a line, counted from 1."""
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


def create_view(
    root: str,
    files: Mapping[str, str],
    dims: int,
    by: PartitionBy,
    features: tuple[Feature, ...] = (),
) -> str:
    """Write the DDL of ``windows`` as a view over a dataset's files.

    Queries of a local dataset fail after it was replaced, which they see by the checksums in
    ``files.parquet``. In a store that would take one more request per query.

    Args:
        root: absolute path or URL of the dataset.
        files: checksums of its data files by their paths relative to ``root``; if empty, the view
            has no rows.
        dims: floats per embedding.
        by: the Hive keys.
        features: further columns.

    Raises:
        UsageError: DuckDB cannot read from this path.
    """
    types = column_types(dims, by, features)
    if not files:
        return f"CREATE VIEW {RELATION} AS {no_windows(types)}"
    listed = f"f.checksum IN (SELECT unnest({_split(files.values())}))"
    unchanged = "true" if is_url(root) else _unchanged(root, listed, str(len(files)))
    windows = select_windows(root, list(files), types, by)
    return f"CREATE VIEW {RELATION} AS {windows} WHERE {unchanged}"


def create_macro(
    root: str,
    files: Mapping[str, str],
    dims: int,
    by: PartitionBy,
    features: tuple[Feature, ...] = (),
) -> str:
    """Write the DDL of ``windows_of``, a function that returns windows of one site.

    Its second parameter is the key after ``site``; null, the default, means all. DuckDB looks at
    each path of a view's list before it applies filters; this function looks at the paths of its
    site alone. Queries fail as those of ``create_view`` do.

    Args:
        root: absolute path of the dataset.
        files: as for ``create_view``.
        dims: floats per embedding.
        by: the Hive keys.
        features: further columns.

    Raises:
        UsageError: DuckDB cannot read from this path.
    """
    types = column_types(dims, by, features)
    period = by.period
    name = f"{MACRO}(site)" if period is None else f"{MACRO}(site, {period} := NULL)"
    if not files:
        return f"CREATE MACRO {name} AS TABLE {no_windows(types)}"
    # The parameters are ``site`` and the period; ``w`` tells the columns of these names apart.
    chosen, passes = f"string_split({_files_by_site(files)}, chr(10))", "w.site = site"
    if period is not None:
        value = f"CAST({period} AS {types[period]})"
        is_chosen = f"{period} IS NULL OR contains(line, '{period}=' || {value} || '/')"
        chosen = f"list_filter({chosen}, lambda line: {is_chosen})"
        passes += f" AND ({period} IS NULL OR w.{period} = {value})"
    # read_parquet refuses an empty list; then it gets a file of which no window passes.
    none = f"[{_prefix(root)} || {literal(next(iter(files)))}]"
    path = f"{_prefix(root)} || '{DATA}/site=' || site || '/' || substr(line, {_CHECKSUM_END + 1})"
    found = f"list_filter({chosen}, lambda line: line <> '')"
    paths = f"coalesce(nullif(list_transform({found}, lambda line: {path}), []), {none})"
    checksums = f"list_transform({found}, lambda line: left(line, {_CHECKSUM_END - 1}))"
    # DuckDB confuses a column ``site`` with the parameter here.
    of_site = f"starts_with(f.path, '{DATA}/site=' || site || '/')"
    listed = f"{of_site} AND list_contains({checksums}, f.checksum)"
    unchanged = _unchanged(root, listed, f"len({found})")
    windows = f"SELECT * FROM ({_select(root, paths, types, by)}) AS w"  # noqa: S608 - all quoted
    return f"CREATE MACRO {name} AS TABLE {windows} WHERE {passes} AND {unchanged}"


def _files_by_site(files: Mapping[str, str]) -> str:
    """Write an expression for the files of the site ``site``: a line for each, or no text.

    A line is a checksum, a space, and the path below the site's folder.
    """
    lines: dict[str, list[str]] = {}
    for path, checksum in files.items():
        site, _, rest = path.removeprefix(f"{DATA}/site=").partition("/")
        lines.setdefault(site, []).append(f"{checksum} {rest}")
    by_site = ", ".join(f"{literal(site)}: {_lines(of_site)}" for site, of_site in lines.items())
    return f"coalesce(map_extract_value(MAP {{{by_site}}}, site), '')"


def select_windows(
    root: str, paths: Sequence[str], types: Mapping[str, str], by: PartitionBy
) -> str:
    """Write a ``SELECT`` without ``WHERE`` of all windows in a dataset's files.

    Args:
        root: absolute path or URL of the dataset.
        paths: data files, at least one, relative to ``root``.
        types: columns in the wanted order, with their types: see ``column_types``.
        by: the Hive keys.

    Raises:
        UsageError: DuckDB cannot read from this path.
    """
    listed = f"list_transform({_split(paths)}, lambda path: {_prefix(root)} || path)"
    return _select(root, listed, types, by)


def _select(root: str, paths: str, types: Mapping[str, str], by: PartitionBy) -> str:
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


def _prefix(root: str) -> str:
    return literal(_escape_glob(root.rstrip("/")) + "/")


def _lines(texts: Iterable[str]) -> str:
    """Quote texts as one string: DuckDB takes 20 microseconds for each string of a list."""
    return literal("\n".join(texts))


def _split(texts: Iterable[str]) -> str:
    return f"string_split({_lines(texts)}, chr(10))"


def _unchanged(root: str, listed: str, count: str) -> str:
    """Write a condition that is true, or raises an error if the dataset was replaced.

    It was if fewer than ``count`` rows ``f`` of its list of files meet the condition ``listed``.
    """
    problem = f"{root} was replaced since it was opened. Connect again, or make the view again."
    return (
        f"(SELECT CASE WHEN count(*) >= {count} THEN true "  # noqa: S608 - all quoted
        f"ELSE error({literal(problem)}) END "
        f"FROM read_parquet({_prefix(root)} || 'files.parquet', hive_partitioning = false) AS f "
        f"WHERE {listed})"
    )


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

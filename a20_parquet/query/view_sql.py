"""Writes the DuckDB SQL of the view ``windows`` and of the function ``windows_of``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from a20_parquet.dataset.layout import DATA
from a20_parquet.query.packed_files import PackedSite, pack_files, unpack_files
from a20_parquet.query.sql import (
    RELATION,
    column_types,
    literal,
    no_windows,
    root_prefix,
    select_from,
)
from a20_parquet.storage.locate import is_url
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.schema import Feature

MACRO: Final = "windows_of"

_CHECKSUM: Final = "TRY_CAST('0x' || f.checksum AS BIGINT)"


@dataclass(frozen=True, kw_only=True)
class FilesInSql:
    """A dataset's files, as the statements of this module name them."""

    root: str
    """Absolute path or URL of the dataset."""
    files: Mapping[str, str]
    """Checksums of its data files by their paths relative to ``root``."""
    dims: int
    """Floats per embedding."""
    by: PartitionBy
    """The Hive keys."""
    features: tuple[Feature, ...] = ()
    """Further columns."""

    @cached_property
    def types(self) -> dict[str, str]:
        """The SQL type of each column."""
        return column_types(self.dims, self.by, self.features)

    @cached_property
    def sites(self) -> dict[str, PackedSite]:
        """The files of each site."""
        return pack_files(self.files, self.by)


def create_view(files: FilesInSql) -> str:
    """Write the DDL of ``windows`` as a view over a dataset's files; without any, it has no rows.

    Queries of a local dataset fail after it was replaced, which they see by the checksums in
    ``files.parquet``. In a store that would take one more request per query.

    Raises:
        UsageError: DuckDB cannot read from this path.
    """
    if not files.files:
        return f"CREATE VIEW {RELATION} AS {no_windows(files.types)}"
    packed = _by_site(files, lambda site: literal(site.files))
    # In the arguments of a table function, DuckDB takes ``a20_site.value`` for a string.
    name, packed_files = (f"struct_extract(a20_site, '{each}')" for each in ("key", "value"))
    below = unpack_files(packed_files, files.by)

    def paths(prefix: str) -> str:
        path = f"{prefix} || {name} || '/' || a20_path"
        of_site = f"list_transform({below}, lambda a20_path: {path})"
        return f"flatten(list_transform(map_entries({packed}), lambda a20_site: {of_site}))"

    windows = select_from(
        files.root, paths(f"{root_prefix(files.root)} || '{DATA}/site='"), files.types, files.by
    )
    checksums = str(sum(site.checksums for site in files.sites.values()))
    unchanged = _unchanged(files.root, paths(f"'{DATA}/site='"), str(len(files.files)), checksums)
    return f"CREATE VIEW {RELATION} AS {windows} WHERE {unchanged}"


def create_macro(files: FilesInSql) -> str:
    """Write the DDL of ``windows_of``, a function that returns windows of one site.

    Its second parameter is the key after ``site``; null, the default, means all. DuckDB looks at
    each path of a view's list before it applies filters; this function looks at the paths of its
    site alone. Queries fail as those of ``create_view`` do.

    Raises:
        UsageError: DuckDB cannot read from this path.
    """
    by, period = files.by, files.by.period
    name = f"{MACRO}(site)" if period is None else f"{MACRO}(site, {period} := NULL)"
    if not files.files:
        return f"CREATE MACRO {name} AS TABLE {no_windows(files.types)}"
    packed = _of_site(files, lambda site: literal(site.files))
    folder, passes, wanted = f"'{DATA}/site=' || site || '/'", "w.site = site", None
    # The parameters are ``site`` and the period; ``w`` tells the columns of these names apart.
    if period is not None:
        value = f"CAST({period} AS {files.types[period]})"
        wanted = f"printf('%04d', {value})" if period == "year" else f"CAST({value} AS VARCHAR)"
        passes += f" AND ({period} IS NULL OR w.{period} = {value})"
    # read_parquet refuses an empty list; then it gets a file of which no window passes.
    prefix, first = root_prefix(files.root), literal(next(iter(files.files)))
    paths = f"nullif({unpack_files(packed, by, wanted)}, [])"
    paths = f"list_transform({paths}, lambda a20_path: {prefix} || {folder} || a20_path)"
    paths = f"coalesce({paths}, [{prefix} || {first}])"
    windows = f"SELECT * FROM ({select_from(files.root, paths, files.types, by)}) AS w"  # noqa: S608 - all quoted
    listed = f"list_transform({unpack_files(packed, by)}, lambda a20_path: {folder} || a20_path)"
    count, checksums = (
        f"coalesce({_of_site(files, of_site)}, 0)"
        for of_site in (lambda site: str(site.count), lambda site: str(site.checksums))
    )
    unchanged = _unchanged(files.root, listed, count, checksums)
    return f"CREATE MACRO {name} AS TABLE {windows} WHERE {passes} AND {unchanged}"


def _by_site(files: FilesInSql, value: Callable[[PackedSite], str]) -> str:
    """Write a map of an expression for each site."""
    entries = (f"{literal(name)}: {value(site)}" for name, site in files.sites.items())
    return f"MAP {{{', '.join(entries)}}}"


def _of_site(files: FilesInSql, value: Callable[[PackedSite], str]) -> str:
    """Write an expression for the value of the site ``site``, null if it has no files."""
    return f"map_extract_value({_by_site(files, value)}, site)"


def _unchanged(root: str, paths: str, count: str, checksums: str) -> str:
    """Write a condition that is true, or raises an error if the dataset was replaced.

    It was unless its list of files has ``count`` files with these paths, whose checksums have the
    sum ``checksums``. In a store that would take one more request: then it is always true.
    """
    if is_url(root):
        return "true"
    problem = f"{root} was replaced since it was opened. Connect again, or make the view again."
    is_same = f"count(*) = {count} AND coalesce(sum({_CHECKSUM}), 0) = {checksums}"
    return (
        f"(SELECT CASE WHEN {is_same} THEN true ELSE error({literal(problem)}) END "  # noqa: S608 - all quoted
        f"FROM read_parquet({root_prefix(root)} || 'files.parquet', hive_partitioning = false) "
        f"AS f WHERE f.path IN (SELECT unnest({paths})))"
    )

"""What readers are known not to do, each with the newest version in which that was seen.

A difference that stands nowhere here is a fault of ours until shown otherwise. A limit that a newer
version has no more is told as well: this table and docs/readers.md are to be changed then.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class Limit:
    """A difference that is a reader's own."""

    reader: str
    """Its name, or that of several as a file pattern; so are the next two."""
    seen_in: str
    """Newest version that was tried."""
    datasets: str
    """Those that show it, all of them but where the reader cannot open one."""
    difference: str
    """The line that tells it."""
    always: bool = True
    """False where it depends on the order in which the reader comes upon files."""


OPENED = "opened: "
"""Begins the line that says why a dataset cannot be read at all."""

_HALVES = "list of halffloat"
LIMITS = (
    # Types of keys are inferred from texts, and a day is none of those that are tried.
    Limit("pyarrow", "26.0.1", "*-date*", "date: string instead of date32*"),
    Limit("pandas", "3.1.1", "*-date", "date: string instead of date32*"),
    Limit("pandas", "3.1.1", "*-[dmy]*-undated", "opened: *unify dictionaries with nulls"),
    # They have no half floats; the values fit into others.
    *(
        Limit(reader, version, "*-float16", f"{line}embedding: {kind} instead of {_HALVES}")
        for reader, version, kind in (
            ("DuckDB", "2.0.1", "list of float"),
            ("ClickHouse*", "26.9.0", "list of float"),
            ("hyparquet*", "1.33.0", "list of float"),
            ("fastparquet", "2026.9.0", "list of binary"),
        )
        for line in ("", "filter: ")
    ),
    Limit("fastparquet", "2026.9.0", "*-float16", "embedding: *binary> cannot be compared: *"),
    Limit("fastparquet", "2026.9.0", "*-float16", "filter: embedding: *binary> cannot be *"),
    # JavaScript has one NaN (0x7e00 = 32256).
    *(
        Limit("hyparquet*", "1.33.0", "*-float16", f"{line}embedding: * differ, such as 32256 *")
        for line in ("", "filter: ")
    ),
    Limit("Spark", "4.3.0", "*-float16", "opened: *Illegal Parquet type: *(FLOAT16)*"),
    # NumPy's integers have no null.
    Limit("pandas", "3.1.1", "*", "site_id: double instead of int32"),
    Limit("pandas", "3.1.1", "*", "utc_offset_minutes: double instead of int16"),
    Limit("pandas", "3.1.1", "*-undated", "file_seconds_since_midnight: double instead of int32"),
    Limit("pandas", "3.1.1", "*-undated", "file_seq_id: double instead of int64"),
    Limit("pandas", "3.1.1", "*-undated", "file_seq_id: rounded to float64"),
    Limit("pandas", "3.1.1", "*-features", "counts: list of double instead of list of int64"),
    Limit("pandas", "3.1.1", "*-features", "counts: rounded to float64"),
    # Nor has it a float that is null, but NaN.
    Limit("pandas", "3.1.1", "*-features", "score: null instead of * values"),
    Limit("fastparquet", "2026.9.0", "*-features", "score: null instead of * values"),
    Limit("fastparquet", "2026.9.0", "zstd-*[!6]", "opened: NotImplementedError: Encoding 9"),
    Limit("fastparquet", "2026.9.0", "*-[dmy]*-undated", "opened: ValueError: * is not in list"),
    Limit("fastparquet", "2026.9.0", "*", "file_timestamp: wall clock in us instead of instant*"),
    Limit("fastparquet", "2026.9.0", "*", "window_start: wall clock in us instead of instant*"),
    Limit("fastparquet", "2026.9.0", "*-date", "date: wall clock in us instead of date32*"),
    Limit("fastparquet", "2026.9.0", "*-month", "month: wall clock in us instead of string"),
    Limit("fastparquet", "2026.9.0", "*-month", "month: *-01 00:00:00* instead of ????-??"),
    Limit("DataFusion", "55.0.0", "*-[dy]*-undated", "opened: *cast string '__HIVE_DEFAULT_*"),
    Limit("DataFusion", "55.0.0", "*-month-undated", "month: __HIVE_DEFAULT_* instead of null"),
    # It takes a key's type from one folder, sometimes from that without a date.
    Limit("Daft", "0.7.26", "*-date-undated", "date: string instead of date32*", always=False),
    Limit("Daft", "0.7.26", "*-year-undated", "year: string instead of int64", always=False),
    Limit("Daft", "0.7.26", "*-year-undated", "filter: *create logical plan node.", always=False),
    # Files are read one by one: nothing comes from folders' names.
    Limit("datasets", "5.2.0", "*", "site: no such column"),
    Limit("datasets", "5.2.0", "*-date*", "date: no such column"),
    Limit("datasets", "5.2.0", "*-month*", "month: no such column"),
    Limit("datasets", "5.2.0", "*-year*", "year: no such column"),
    Limit("arro3", "0.9.1", "*", "site: no such column"),
    Limit("arro3", "0.9.1", "*-date*", "date: no such column"),
    Limit("arro3", "0.9.1", "*-month*", "month: no such column"),
    Limit("arro3", "0.9.1", "*-year*", "year: no such column"),
    Limit("hyparquet*", "1.33.0", "*", "site: no such column"),
    Limit("hyparquet*", "1.33.0", "*-date*", "date: no such column"),
    Limit("hyparquet*", "1.33.0", "*-month*", "month: no such column"),
    Limit("hyparquet*", "1.33.0", "*-year*", "year: no such column"),
    # JavaScript's only number is a float64, and its Date counts milliseconds.
    Limit("hyparquet*", "1.33.0", "*[!6]", "embedding: signalling NaN become quiet"),
    Limit("hyparquet*", "1.33.0", "*[!6]", "filter: embedding: signalling NaN become quiet"),
    Limit("hyparquet*", "1.33.0", "*-features", "nuisances: signalling NaN become quiet"),
    Limit("hyparquet", "1.33.0", "*", "window_start: cut to milliseconds"),
    Limit("hyparquet", "1.33.0", "*", "window_start_local: cut to milliseconds"),
    # Its times always have a zone, and its arrays are never null.
    Limit("ClickHouse*", "26.9.0", "*", "window_start_local: instant in us instead of wall clock*"),
    Limit("ClickHouse*", "26.9.0", "*-features", "nuisances: [[]] instead of null"),
    Limit("ClickHouse*", "26.9.0", "*-features", "counts: [[]] instead of null"),
    # Its strings hold any bytes.
    Limit("ClickHouse*", "26.9.0", "*-features", "digest: string instead of binary"),
    Limit("ClickHouse", "26.9.0", "*-[dmy]*-undated", "*: __HIVE_DEFAULT_* instead of null"),
    Limit("ClickHouse", "26.9.0", "*-date-undated", "date: string instead of date32*"),
    Limit("ClickHouse", "26.9.0", "*-year-undated", "year: string instead of int64"),
    Limit("ClickHouse", "26.9.0", "*-[dy]*-undated", "filter: *no supertype for types String, *"),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a reader's differences."""

    known: Mapping[str, Sequence[str]]
    """Datasets by difference."""
    faults: Sequence[str]
    """What stands in no limit, and limits that show no more though the reader is no newer."""
    remarks: Sequence[str]
    """Limits that show no more in a newer reader."""


def judge(reader: str, version: str, found: Mapping[str, Sequence[str]]) -> Verdict:
    """Compare a reader's differences, by dataset, with its limits."""
    limits = [limit for limit in LIMITS if fnmatchcase(reader, limit.reader)]
    known: dict[str, list[str]] = {}
    faults: list[str] = []
    remarks: list[str] = []
    for dataset, lines in found.items():
        due = [limit for limit in limits if fnmatchcase(dataset, limit.datasets)]
        for line in lines:
            if any(fnmatchcase(line, limit.difference) for limit in due):
                known.setdefault(line, []).append(dataset)
            else:
                faults.append(f"{reader} {version}, {dataset}: {line}")
        is_open = not any(line.startswith(OPENED) for line in lines)
        for limit in due:
            shows = any(fnmatchcase(line, limit.difference) for line in lines)
            if limit.always and not shows and (is_open or limit.difference.startswith(OPENED)):
                gone = f"{reader} {version}, {dataset}: no more {limit.difference!r}"
                (remarks if _is_newer(version, limit.seen_in) else faults).append(gone)
    return Verdict(known, faults, remarks)


def _is_newer(version: str, than: str) -> bool:
    return _numbers(version) > _numbers(than)


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)]

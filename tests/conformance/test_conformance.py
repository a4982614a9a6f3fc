"""The conformance test itself: what it says of good files, and that it finds what is wrong."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.conformance.check import check
from tests.conformance.compare import differences
from tests.conformance.datasets import DATASETS, Dataset, make_datasets
from tests.conformance.hyparquet import NODE_MODULES
from tests.conformance.limits import LIMITS, judge
from tests.conformance.readers import READERS
from tests.conformance.recordings import DATED, expected_rows, make_records

pytestmark = pytest.mark.slow

SMALL = (
    Dataset("zstd", "site,date"),
    Dataset("lz4", "site,month", is_undated=True),
    Dataset("none", "site", has_features=True),
    Dataset("zstd", "site", is_half=True),
)
STRICT = ("arro3", "DataFusion")
TABLE = expected_rows(list(make_records(DATED[1:3], dims=16)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four of the datasets, with short embeddings."""
    folder = tmp_path_factory.mktemp("conformance")
    make_datasets(folder, SMALL, dims=16)
    return folder


@pytest.mark.parametrize(
    "name", ["pyarrow", "pyarrow/typed", "polars", "DuckDB", "pandas", "pandas/typed"]
)
def test_readers_that_are_installed(folder: Path, name: str) -> None:
    """They give what was written, but for their known limits."""
    reader = READERS[name]
    found = {each.name: check(reader, folder / each.name, each.keys) for each in SMALL}
    assert not judge(name, reader.version(), found).faults
    if name == "DuckDB":
        # It gives the values as floats.
        assert found.pop(SMALL[-1].name)
    if name in {"pyarrow/typed", "polars", "DuckDB", "pandas/typed"}:
        assert not any(found.values())


def command(*arguments: str) -> tuple[int, str]:
    """Exit code and output of ``python -m tests.conformance``."""
    words = [sys.executable, "-m", "tests.conformance", *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_command(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is missing is named, and a fault where it is required."""
    monkeypatch.setenv(NODE_MODULES, str(tmp_path))
    some = ("--folder", str(folder), "--only", "polars,hyparquet")
    code, said = command(*some)
    assert code == 0, said
    assert "polars            2" in said
    assert f"hyparquet: there is no {tmp_path}/hyparquet" in said
    code, said = command(*some, "--require", "Polars,hyparquet")
    assert code == 1
    assert "hyparquet is required: there is no " in said
    code, said = command("--only", "pollars")
    assert code == 2
    assert "pollars: use arro3, " in said


def test_a_wrong_converted_type_is_found(folder: Path, tmp_path: Path) -> None:
    """Milliseconds in the old annotation beside microseconds in the new: strict readers refuse."""
    for name in STRICT:
        try:
            READERS[name].version()
        except ImportError:
            continue
        break
    else:
        pytest.skip(f"none of {', '.join(STRICT)} is installed")
    good = folder / SMALL[0].name
    bad = tmp_path / good.name
    (tmp_path / f"{bad.name}.arrow").symlink_to(good.with_name(f"{good.name}.arrow"))
    for path in sorted(good.rglob("part-*.parquet")):
        content = path.read_bytes()
        for column in (b"file_timestamp", b"window_start"):
            # Two fields further: the converted type, a zigzag integer.
            assert content.count(column + b"\x25\x14") == 1
            content = content.replace(column + b"\x25\x14", column + b"\x25\x12")
        copy = bad / path.relative_to(good)
        copy.parent.mkdir(parents=True)
        copy.write_bytes(content)
    # What looks through pyarrow sees nothing.
    assert check(READERS["pyarrow/typed"], bad, SMALL[0].keys) == []
    lines = check(READERS[name], bad, SMALL[0].keys)
    assert judge(name, READERS[name].version(), {bad.name: lines}).faults


def changed(column: str, change: Callable[[Any], Any]) -> Any:
    """The table with another column in the place of one."""
    place = TABLE.schema.get_field_index(column)
    return TABLE.set_column(place, column, change(TABLE[column]))


def embeddings(change: Callable[[Any], None]) -> Any:
    """The table with changed bits in its embeddings, shape (rows, 16)."""
    bits = TABLE["embedding"].combine_chunks().flatten().to_numpy().view(np.uint32)
    bits = bits.reshape(-1, 16).copy()
    change(bits)
    floats = pa.array(bits.reshape(-1).view(np.float32))
    return changed("embedding", lambda _: pa.FixedSizeListArray.from_arrays(floats, 16))


def quiet(bits: Any) -> None:
    """As a way through float64 does."""
    is_nan = np.isnan(bits.view(np.float32))
    bits[is_nan] |= 0x00400000


def one_nan(bits: Any) -> None:
    """As JavaScript may do."""
    bits[np.isnan(bits.view(np.float32))] = 0x7FC00000


def one_bit(bits: Any) -> None:
    bits[7, 12] ^= 1


def positive_zero(bits: Any) -> None:
    bits[bits == 0x80000000] = 0


def times(factor: int) -> Callable[[Any], Any]:
    """Times that are taken for another unit."""
    return lambda column: pc.multiply(column.cast(pa.int64()), factor).cast(column.type)


def one_hour_later(column: Any) -> Any:
    return pc.add(column, timedelta(hours=1))


def to_milliseconds(column: Any) -> Any:
    return column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(column.type)


FAULTS: Mapping[str, tuple[Any, str]] = {
    "a row": (TABLE.slice(1), "rows: 95 instead of 96"),
    "a column": (TABLE.drop_columns("channel"), "channel: no such column"),
    "one more": (TABLE.append_column("x", TABLE["channel"]), "x: not expected"),
    "a bit": (embeddings(one_bit), "embedding: 1 values differ, such as "),
    "a sign": (embeddings(positive_zero), "embedding: 4 values differ, such as 0 instead of 2147"),
    "signalling": (embeddings(quiet), "embedding: signalling NaN become quiet"),
    "payloads": (embeddings(one_nan), "embedding: NaN lose their payload"),
    "a unit": (changed("window_start", times(1000)), "window_start: 96 values differ, such as "),
    "an hour": (changed("window_start", one_hour_later), "window_start: 96 values differ"),
    "fractions": (changed("window_start", to_milliseconds), "window_start: cut to milliseconds"),
    "local for instant": (
        changed("window_start", lambda column: column.cast(pa.timestamp("us"))),
        "window_start: wall clock in us instead of instant in us",
    ),
    "a null": (
        changed("site_id", lambda column: pc.fill_null(column, 0)),
        "site_id: 0 instead of null",
    ),
    "a value": (
        changed("file_seq_id", lambda column: pa.nulls(len(column), column.type)),
        "file_seq_id: null instead of 96 values",
    ),
    "a width": (
        changed("channel", lambda column: column.cast(pa.int32())),
        "channel: int32 instead of int16",
    ),
    "doubles": (
        changed("site_id", lambda column: column.cast(pa.float64())),
        "site_id: double instead of int32",
    ),
    "a list": (
        changed("nuisances", lambda column: pc.fill_null(column, [0.0, 0.0, 0.0])),
        "nuisances: [0.0, 0.0, 0.0] instead of null",
    ),
    "a day": (
        changed("date", lambda column: pc.add(column, timedelta(days=1)).cast(pa.date32())),
        "date: 96 values differ, such as ",
    ),
    "text": (
        changed("date", lambda column: column.cast(pa.string())),
        "date: string instead of date32[day]",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_told(name: str) -> None:
    """A table that differs in one point is told to differ in that."""
    table, line = FAULTS[name]
    [found] = differences(table, TABLE)
    assert found.startswith(line)


def test_order_and_layout_do_not_count() -> None:
    """Rows in another order, columns too, and other types that hold the same."""
    table = TABLE.take(pa.array(np.random.default_rng(1).permutation(len(TABLE))))
    table = table.select(sorted(table.column_names))
    columns = [
        column.cast(pa.large_string()).dictionary_encode() if column.type == pa.string() else column
        for column in table.columns
    ]
    assert differences(pa.table(columns, names=table.column_names), TABLE) == []


def test_limits_are_exact() -> None:
    """What is not listed is a fault; so is a limit that does not show, but in a newer reader."""
    line = "date: string instead of date32[day]"
    assert judge("pyarrow", "26.0.1", {"none-site-date": [line]}).known
    for version, remarks in (("26.0.1", 0), ("25.1", 0), ("26.0.2", 1), ("100.0", 1)):
        verdict = judge("pyarrow", version, {"none-site-date": []})
        assert (len(verdict.remarks), len(verdict.faults)) == (remarks, 1 - remarks)
    assert judge("pyarrow", "99", {"none-site-date": [line, "rows: 1"]}).faults
    assert judge("polars", "99", {"none-site-date": [line]}).faults
    # What cannot be opened shows nothing else.
    unopened = ["opened: NotImplementedError: Encoding 9"]
    assert not judge("fastparquet", "2026.9.0", {"zstd-site": unopened}).faults


def test_limits_name_readers_and_datasets() -> None:
    """No limit is for a reader or for datasets that there are not."""
    from fnmatch import fnmatchcase

    for limit in LIMITS:
        assert any(fnmatchcase(name, limit.reader) for name in READERS)
        assert any(fnmatchcase(dataset.name, limit.datasets) for dataset in DATASETS)


def test_datasets_have_several_row_groups_and_pages(tmp_path: Path) -> None:
    """One file has row groups of which one holds more embeddings than a page."""
    make_datasets(tmp_path, [Dataset("zstd", "site,date")])
    path = tmp_path / "zstd-site-date/data/site=site_0285/date=2020-10-14/part-0000.parquet"
    metadata = pq.ParquetFile(path).metadata
    sizes = [
        metadata.row_group(index).column(0).total_uncompressed_size
        for index in range(metadata.num_row_groups)
    ]
    assert len(sizes) == 3
    assert max(sizes) > 1_100_000

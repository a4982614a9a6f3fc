"""Metrics, several queries in one pass, and parts of a dataset, against NumPy in float64."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

import a20_parquet
from tests.helpers.command_line import run
from tests.helpers.progress import Said
from tests.helpers.recordings import DIMS
from tests.helpers.shards import random_tensor

COLUMNS = [
    *("filename", "recording_offset_in_file", "channel", "site"),
    *("window_start", "window_start_local"),
]
VECTORS = random_tensor((20, DIMS), 99)
METRICS = ["cosine", "dot", "euclidean"]


@pytest.fixture(scope="module")
def windows(dataset: Path) -> pl.DataFrame:
    """All windows, in the dataset's order."""
    return pl.read_parquet(dataset / "data", hive_partitioning=True)


def nearest(windows: pl.DataFrame, to: npt.ArrayLike, metric: str, top: int) -> pl.DataFrame:
    """The plain answer."""
    values = windows["embedding"].to_numpy().astype(np.float64)
    query = np.asarray(to, np.float64)
    with np.errstate(all="ignore"):
        key = {
            "dot": lambda: (values * query).sum(1),
            "cosine": lambda: (
                (values * query).sum(1) / np.linalg.norm(values, axis=1) / np.linalg.norm(query)
            ),
            "euclidean": lambda: -np.linalg.norm(values - query, axis=1),
        }[metric]()
    found = windows.select(COLUMNS).with_columns(key=pl.Series(key))
    found = found.filter(pl.col("key").is_finite())
    # Copies of a window may differ in the last bit here.
    found = found.sort(pl.col("key").round(11), descending=True, maintain_order=True).head(top)
    name = "distance" if metric == "euclidean" else "similarity"
    return found.with_columns(pl.col("key").abs() if name == "distance" else "key").rename(
        {"key": name}
    )


def check(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """The same windows in the same order, values as far as float64 tells."""
    assert found.schema == expected.schema
    name = expected.columns[-1]
    assert found.drop(name).equals(expected.drop(name))
    np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-12)


def check_each(found: pl.DataFrame, expected: list[pl.DataFrame]) -> None:
    """The answer to each query."""
    assert found["query"].is_sorted()
    for number, one in enumerate(expected):
        check(found.filter(pl.col("query") == number).drop("query"), one)
    assert len(found) == sum(map(len, expected))


def name_of(window: dict[str, Any]) -> str:
    """As ``to`` takes it."""
    return f"{window['filename']}@{window['recording_offset_in_file']!r}"


def nameable(windows: pl.DataFrame) -> pl.DataFrame:
    """Windows of channel 0 that have a direction, one for each name."""
    usable = windows.filter(
        pl.col("embedding").arr.max() > 0,
        pl.col("embedding").arr.get(3).is_not_nan(),
        pl.col("channel") == 0,
    )
    return usable.unique(
        ["filename", "recording_offset_in_file"], keep="first", maintain_order=True
    )


@pytest.mark.parametrize("case", ["date", "site"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("top", [1, 10, 10_000])
def test_many_vectors(datasets: dict[str, Path], case: str, metric: Any, top: int) -> None:
    """One pass gives what one search each gives."""
    stored = pl.read_parquet(datasets[case] / "data", hive_partitioning=True)
    found = a20_parquet.similar(datasets[case], VECTORS, metric=metric, top=top)
    check_each(found, [nearest(stored, vector, metric, top) for vector in VECTORS])
    for number in (0, 19):
        alone = a20_parquet.similar(datasets[case], VECTORS[number], metric=metric, top=top)
        assert alone.equals(found.filter(pl.col("query") == number).drop("query"))


def test_many_names_in_any_form(dataset: Path, windows: pl.DataFrame, tmp_path: Path) -> None:
    """A list, a CSV file with and without a header, what similar prints, a matrix in a file."""
    some = nameable(windows).gather_every(5)
    names = [name_of(window) for window in some.iter_rows(named=True)]
    expected = [nearest(windows, row, "cosine", 3) for row in some["embedding"].to_numpy()]
    plain, headed, printed = (tmp_path / name for name in ("a.csv", "b.csv", "c.csv"))
    rows = io.StringIO()
    csv.writer(rows).writerows([[name] for name in names])
    plain.write_text(rows.getvalue())
    headed.write_text("\ufeffto\n" + rows.getvalue(), encoding="utf-8")
    some.select(COLUMNS).write_csv(printed)
    np.save(tmp_path / "d.npy", some["embedding"].to_numpy())
    forms: list[Any] = [names, plain, str(headed), printed, tmp_path / "d.npy"]
    for form in forms:
        check_each(a20_parquet.similar(dataset, form, top=3), expected)


def test_channels_of_names(dataset: Path, windows: pl.DataFrame, tmp_path: Path) -> None:
    """A CSV file may tell the channel of each window."""
    some = windows.filter(pl.col("channel") == 2, pl.col("embedding").arr.max() > 0).head(4)
    some.select(COLUMNS[:3]).write_csv(tmp_path / "a.csv")
    expected = [nearest(windows, row, "dot", 3) for row in some["embedding"].to_numpy()]
    found = a20_parquet.similar(dataset, tmp_path / "a.csv", top=3, metric="dot")
    check_each(found, expected)
    names = [name_of(window) for window in some.iter_rows(named=True)]
    found = a20_parquet.similar(dataset, names, top=3, metric="dot", channel=2)
    check_each(found, expected)


@pytest.mark.parametrize("case", ["date", "site"])
@pytest.mark.parametrize("exclude", ["none", "self", "recording"])
@pytest.mark.parametrize("metric", METRICS)
def test_exclude(datasets: dict[str, Path], case: str, exclude: Any, metric: Any) -> None:
    """What is left out takes no place, whatever the metric."""
    stored = pl.read_parquet(datasets[case] / "data", hive_partitioning=True)
    some = nameable(stored).gather_every(9)
    names, expected = [], []
    for window in some.iter_rows(named=True):
        is_named = pl.all_horizontal(
            pl.col(name) == window[name] for name in ("filename", "recording_offset_in_file")
        )
        own = pl.lit(value=False)
        if exclude == "recording":
            own = pl.col("filename") == window["filename"]
        left = stored.filter(~own).with_row_index()
        if exclude == "self":
            # Of windows with the same name the first one is meant.
            first = left.filter(is_named, pl.col("channel") == 0)["index"][0]
            left = left.filter(pl.col("index") != first)
        names.append(name_of(window))
        expected.append(nearest(left, window["embedding"], metric, 4))
    options: dict[str, Any] = {"exclude": exclude, "metric": metric, "top": 4}
    check_each(a20_parquet.similar(datasets[case], names, **options), expected)
    check(a20_parquet.similar(datasets[case], names[0], **options), expected[0])


@pytest.mark.parametrize("case", ["date", "site"])
@pytest.mark.parametrize(
    "options",
    [
        {"where": "site = 'site_0285' and channel = 0"},
        {"where": "month(window_start_local) = 10", "sites": 285},
        {"where": "window_start >= '2020-10-13' and filename like '%Dry%'"},
        {"where": "utc_offset_minutes is null or site_id = 286"},
        {"hours": "1-2"},
        {"hours": "23-1"},
        {"hours": "23:59-24:00"},
        {"hours": "0:00-0:01", "where": "channel < 1"},
        {"hours": "0-24"},
        {"where": "true"},
    ],
    ids=str,
)
def test_a_part_of_the_dataset(
    datasets: dict[str, Path], case: str, options: dict[str, Any]
) -> None:
    """DuckDB selects the same windows."""
    tests = ["true"]
    if "where" in options:
        tests.append(options["where"])
    if "sites" in options:
        tests.append("site_id = 285")
    by_hours = {
        "1-2": "hour(window_start_local) = 1",
        "23-1": "hour(window_start_local) in (23, 0)",
        "23:59-24:00": "hour(window_start_local) = 23 and minute(window_start_local) = 59",
        "0:00-0:01": "hour(window_start_local) = 0 and minute(window_start_local) = 0",
        "0-24": "window_start_local is not null",
    }
    tests.append(by_hours.get(options.get("hours", ""), "true"))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        path = datasets[case] / "data" / "**" / "*.parquet"
        every = connection.sql(
            f"select * from read_parquet('{path}', hive_partitioning=true, file_row_number=true) "
            f"where {' and '.join(f'({test})' for test in tests)}"
        ).pl()
    keys = [*COLUMNS[:4], "file_row_number"]
    stored = pl.read_parquet(datasets[case] / "data", hive_partitioning=True)
    selected = stored.with_columns(
        file_row_number=pl.int_range(pl.len()).over(
            [*COLUMNS[3:4], *(["date"] if case == "date" else [])]
        )
    ).join(
        every.select(keys).with_columns(pl.col("file_row_number").cast(pl.Int64)),
        on=keys,
        how="semi",
        maintain_order="left",
    )
    assert len(selected) == len(every)
    expected = [nearest(selected, vector, "cosine", 10) for vector in VECTORS[:2]]
    check_each(a20_parquet.similar(datasets[case], VECTORS[:2], **options), expected)


def test_ties_are_in_the_order_of_the_dataset(dataset: Path, windows: pl.DataFrame) -> None:
    """A query that is orthogonal to nothing but zero finds all copies, the first ones first."""
    for metric in METRICS:
        zero = np.zeros(DIMS)
        if metric == "cosine":
            continue
        found = a20_parquet.similar(dataset, zero, metric=metric, top=10_000)  # type: ignore[arg-type]
        check(found, nearest(windows, zero, metric, 10_000))


@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize("batch_bytes", [300, 4000])
@pytest.mark.parametrize("metric", METRICS)
def test_threads_and_batches_change_nothing(
    datasets: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    batch_bytes: int,
    metric: Any,
) -> None:
    """The same answer to the bit."""
    expected = a20_parquet.similar(datasets["site"], VECTORS, metric=metric)
    monkeypatch.setattr("a20_parquet.query.similar._BATCH_BYTES", batch_bytes)
    monkeypatch.setattr("a20_parquet.query.similar.default_workers", lambda: workers)
    assert a20_parquet.similar(datasets["site"], VECTORS, metric=metric).equals(expected)


def test_nothing_is_left(dataset: Path, windows: pl.DataFrame) -> None:
    """It is said why the answer is empty."""
    name = name_of(nameable(windows).row(0, named=True))
    progress = Said()
    site = nameable(windows)["site"][0]
    where = f"filename = '{nameable(windows)['filename'][0]}'"
    for options, told in (
        ({"where": where, "exclude": "recording"}, "no window is left with exclude recording"),
        ({"where": "channel = 77"}, "has no window that passes where"),
        ({"hours": "13-14", "where": "channel = 77", "sites": site}, "passes hours and where"),
    ):
        progress.lines.clear()
        assert a20_parquet.similar(dataset, name, progress=progress, **options).is_empty()
        assert (
            told.replace("where", "--where")
            .replace("hours", "--hours")
            .replace("exclude", "--exclude")
            in progress.lines[0]
        )
    several = a20_parquet.similar(dataset, [name, name], where="channel = 77")
    assert several.is_empty()
    assert several.columns == ["query", *COLUMNS, "similarity"]


def test_what_is_printed(
    dataset: Path,
    windows: pl.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line a window with both times, CSV that ``--to`` takes, or JSON."""
    name = name_of(nameable(windows).row(3, named=True))
    found = a20_parquet.similar(dataset, name, top=4)
    common = ("similar", dataset, "--to", name, "--top", "4", "-q")
    code, text, _ = run(monkeypatch, capsys, *common)
    assert code == 0
    for line, row in zip(text.splitlines(), found.iter_rows(named=True), strict=True):
        assert f"{row['window_start']:%Y-%m-%d %H:%M:%S} UTC  " in line
        local = row["window_start_local"]
        is_known = local != row["window_start"].replace(tzinfo=None)
        assert (f"  {local:%Y-%m-%d %H:%M:%S} local  " in line) == is_known
        assert f"{row['filename']}@" in line
    _, text, _ = run(monkeypatch, capsys, *common, "--csv")
    (tmp_path / "a.csv").write_text(text)
    assert pl.read_csv(tmp_path / "a.csv")["similarity"].to_list() == found["similarity"].to_list()
    _, text, _ = run(monkeypatch, capsys, "similar", dataset, "--to", tmp_path / "a.csv", "--json")
    again = json.loads(text)
    assert [row["query"] for row in again] == [n for n in range(4) for _ in range(10)]
    _, text, _ = run(
        monkeypatch,
        capsys,
        "similar",
        dataset,
        "--to",
        tmp_path / "a.csv",
        "-q",
        "--top",
        "1",
        "--metric",
        "euclidean",
    )
    assert text.splitlines()[::2] == [f"query {number}" for number in range(4)]
    assert all(line.startswith(" 0.0000") for line in text.splitlines()[1::2])
    code, _, errors = run(monkeypatch, capsys, *common, "--csv", "--json")
    assert code == 2
    assert "--csv and --json exclude each other" in errors

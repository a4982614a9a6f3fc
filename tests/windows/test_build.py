"""Metadata of windows, against loops over ``datetime``."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.windows.build import (
    WindowRules,
    sort_table,
    with_embeddings,
)
from a20_parquet.windows.filenames.parse import FilenameRules
from a20_parquet.windows.order import keyed_schema
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.records import RecordMetadata
from a20_parquet.windows.schema import MAX_CHANNELS, Feature, metadata_schema, window_schema
from tests.helpers.metadata import make_metadata

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DESIGN = [
    ("filename", pa.string(), False),
    ("site_id", pa.int32(), True),
    ("site_name", pa.string(), True),
    ("subsite_name", pa.string(), True),
    ("file_seq_id", pa.int64(), True),
    ("file_timestamp", pa.timestamp("us", tz="UTC"), True),
    ("utc_offset_minutes", pa.int16(), True),
    ("file_seconds_since_midnight", pa.int32(), True),
    ("recording_offset_in_file", pa.float64(), False),
    ("window_start", pa.timestamp("us", tz="UTC"), True),
    ("window_start_local", pa.timestamp("us"), True),
    ("channel", pa.int16(), False),
]
KEYS = [
    ("site", pa.string(), False),
    ("period", pa.int32(), True),
    ("shard", pa.int32(), False),
    ("record", pa.int64(), False),
]
# Filename, start in UTC, offset in minutes, and what else is in the name.
RECORDINGS: list[tuple[str, datetime | None, int | None, dict[str, Any]]] = [
    (
        "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac",
        datetime(2020, 10, 13, 14, 30, tzinfo=UTC),
        630,
        {
            "site_id": 285,
            "site_name": "Arkaba",
            "subsite_name": "Dry-A",
            "file_seq_id": 49500,
            "file_seconds_since_midnight": 3600,
            "site": "site_0285",
        },
    ),
    (
        "20191231T235950-0330_KL9_7.wav",
        datetime(2020, 1, 1, 3, 29, 50, tzinfo=UTC),
        -210,
        {
            "site_id": None,
            "site_name": "KL9",
            "subsite_name": None,
            "file_seq_id": 7,
            "file_seconds_since_midnight": 86_390,
            "site": "KL9",
        },
    ),
    (
        "a/19691231T235959Z_a b-Wet-B_8_0000_5857.MP3",
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
        None,
        {
            "site_id": None,
            "site_name": "a b",
            "subsite_name": "Wet-B",
            "file_seq_id": 8,
            "file_seconds_since_midnight": 86_399,
            "site": "a_b-Wet-B_55a63dd23e",
        },
    ),
    (
        "tests/files/audio/100sec.wav",
        None,
        None,
        {
            "site_id": None,
            "site_name": None,
            "subsite_name": None,
            "file_seq_id": None,
            "file_seconds_since_midnight": None,
            "site": "elsewhere",
        },
    ),
]
DATED = [name for name, start, _, _ in RECORDINGS if start is not None]
ELSEWHERE = FilenameRules(unknown_site="elsewhere")
FACTS = {name: (start, minutes, facts) for name, start, minutes, facts in RECORDINGS}
NAMES = list(FACTS)


def rules(by: PartitionBy) -> WindowRules:
    """Rules for windows of 5 s and 8 floats."""
    return WindowRules(window_s=5.0, by=by, dims=8)


def period_of(local: datetime | None, by: PartitionBy) -> int | None:
    """The period of an instant, by ``datetime``."""
    if by is PartitionBy.SITE:
        return 0
    if local is None:
        return None
    if by is PartitionBy.SITE_DATE:
        return (local.date() - date(1970, 1, 1)).days
    if by is PartitionBy.SITE_MONTH:
        return (local.year - 1970) * 12 + local.month - 1
    return local.year


def expected_rows(heads: Sequence[RecordMetadata], rules: WindowRules) -> list[dict[str, Any]]:
    """The rows, one after another."""
    rows = []
    for batch in heads:
        for index, name in enumerate(batch.filenames):
            windows, channels, _ = batch.shapes[index]
            start, minutes, facts = FACTS[name.decode()]
            for window in range(windows):
                offset_s = float(batch.timestamps_s[index]) + window * rules.window_s
                window_start = start and start + timedelta(microseconds=round(offset_s * 1e6))
                local = window_start and window_start + timedelta(minutes=minutes or 0)
                rows += [
                    {
                        **facts,
                        "filename": name.decode(),
                        "file_timestamp": start,
                        "utc_offset_minutes": minutes,
                        "recording_offset_in_file": offset_s,
                        "window_start": window_start,
                        "window_start_local": local and local.replace(tzinfo=None),
                        "channel": channel,
                        "period": period_of(local, rules.by),
                        "shard": batch.position,
                        "record": int(batch.numbers[index]),
                    }
                    for channel in range(channels)
                    if rules.channels is None or channel in rules.channels
                ]
    return rows


def rows_of(batch: Any) -> list[dict[str, Any]]:
    """Rows as Python values, instants in Python's own UTC."""
    instants = ("file_timestamp", "window_start")
    return [
        row | {name: row[name] and row[name].astimezone(UTC) for name in instants}
        for row in batch.to_pylist()
    ]


RECORD = st.tuples(
    st.sampled_from(NAMES),
    st.floats(-100.0, 200_000.0) | st.sampled_from([0.0, -0.0, 0.5, 59.9999995, 60.0, 1e9]),
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.just(8)),
)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.lists(RECORD, max_size=4), st.integers(0, 10**6)), max_size=4),
    st.sampled_from([5.0, 0.1, 2.5, 1 / 3, 86_400.0]),
    st.sampled_from(list(PartitionBy)),
    st.none() | st.sets(st.integers(0, 4), min_size=1).map(lambda some: tuple(sorted(some))),
)
def test_any_records(
    batches: list[tuple[list[tuple[str, float, tuple[int, int, int]]], int]],
    window_s: float,
    by: PartitionBy,
    channels: tuple[int, ...] | None,
) -> None:
    """Any batches of any records give the oracle's rows, in its order and in the schema."""
    chosen = WindowRules(window_s=window_s, by=by, dims=8, channels=channels, filenames=ELSEWHERE)
    heads = [
        make_metadata(records, position, first) for position, (records, first) in enumerate(batches)
    ]
    found = sort_table(heads, chosen).to_batch()
    assert found.schema == keyed_schema()
    found.validate(full=True)
    assert rows_of(found) == expected_rows(heads, chosen)


def test_schemas() -> None:
    """Names, types and nullability are the design's, and the embedding comes first."""

    def told(schema: Any) -> list[tuple[str, Any, bool]]:
        return [(field.name, field.type, field.nullable) for field in schema]

    element = pa.field("element", pa.float32(), nullable=False)
    assert told(metadata_schema()) == DESIGN
    assert told(window_schema(1280)) == [("embedding", pa.list_(element, 1280), False), *DESIGN]
    assert not window_schema(3).field("embedding").type.value_field.nullable
    assert told(keyed_schema()) == [*DESIGN, *KEYS]


def test_columns_that_are_never_null_hold_no_null() -> None:
    """Columns that the schema says are never null have none."""
    heads = [make_metadata([(name, 0.0, (2, 2, 8)) for name in NAMES])]
    chosen = WindowRules(window_s=5, by=PartitionBy.SITE_DATE, dims=8, filenames=ELSEWHERE)
    found = sort_table(heads, chosen).to_batch()
    for name, _, nullable in [*DESIGN, *KEYS]:
        assert nullable or not found.column(name).null_count, name


def test_windows_run_past_midnight() -> None:
    """The date is the local one of the window, not that of the recording or of UTC."""
    name = "20201014T235950+1000_A_1.flac"
    found = sort_table(
        [make_metadata([(name, 0.0, (4, 1, 8))])], rules(PartitionBy.SITE_DATE)
    ).to_batch()
    days = [str(np.datetime64(day, "D")) for day in found["period"].to_pylist()]
    assert days == ["2020-10-14", "2020-10-14", "2020-10-15", "2020-10-15"]
    assert {start.day for start in found["window_start"].to_pylist()} == {14}


@pytest.mark.parametrize(
    ("start", "day"),
    [
        ("20201014T010000+1030", "2020-10-14"),
        ("20201014T230000-0500", "2020-10-14"),
        ("20201014T235959Z", "2020-10-14"),
        ("19691231T235959+1000", "1969-12-31"),
        ("19700101T000000+1000", "1970-01-01"),
        ("19691231T230000-1000", "1969-12-31"),
    ],
)
def test_local_date(start: str, day: str) -> None:
    """The date is the one in the name, for any offset."""
    heads = [make_metadata([(f"{start}_A_1.flac", 0.0, (1, 1, 8))])]
    period = sort_table(heads, rules(PartitionBy.SITE_DATE)).to_batch()["period"][0].as_py()
    assert str(np.datetime64(period, "D")) == day


def test_order_of_channels() -> None:
    """A window's channels follow one another, then comes the next window."""
    heads = [make_metadata([(NAMES[0], 60.0, (2, 3, 8)), (NAMES[1], 0.0, (1, 2, 8))])]
    found = sort_table(heads, rules(PartitionBy.SITE)).to_batch()
    assert found["channel"].to_pylist() == [0, 1, 2, 0, 1, 2, 0, 1]
    offsets_s = [60.0, 60.0, 60.0, 65.0, 65.0, 65.0, 0.0, 0.0]
    assert found["recording_offset_in_file"].to_pylist() == offsets_s


@pytest.mark.parametrize("heads", [[], [make_metadata([])], [make_metadata([]), make_metadata([])]])
def test_no_records(heads: list[RecordMetadata]) -> None:
    """No records give no rows of the same schema."""
    found = sort_table(heads, rules(PartitionBy.SITE_DATE)).to_batch()
    assert (found.num_rows, found.schema) == (0, keyed_schema())


def test_many_channels() -> None:
    """The last channel that the column can count has its number."""
    heads = [make_metadata([(NAMES[0], 0.0, (1, MAX_CHANNELS, 8))])]
    found = sort_table(heads, rules(PartitionBy.SITE)).to_batch()
    assert found["channel"].to_pylist() == list(range(32_768))


@pytest.mark.parametrize("dims", [1, 3, 1280])
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_with_embeddings(rows: int, dims: int) -> None:
    """Embeddings and metadata are joined as they are, and neither is copied."""
    heads = [make_metadata([(NAMES[0], 0.0, (rows, 1, dims))])]
    metadata = sort_table(heads, rules(PartitionBy.SITE)).to_batch()
    embeddings = np.random.default_rng(0).normal(size=(rows, dims)).astype(np.float32)
    embeddings[:1, :1] = np.nan
    windows = with_embeddings(metadata, embeddings)
    windows.validate(full=True)
    assert windows.schema == window_schema(dims)
    values = windows["embedding"].flatten().to_numpy()
    assert values.tobytes() == embeddings.tobytes()
    for field in metadata_schema():
        assert windows[field.name].equals(metadata[field.name])
    if rows:
        assert values.ctypes.data == embeddings.ctypes.data
        offsets = [
            [buffer and buffer.address for buffer in batch["filename"].buffers()]
            for batch in (windows, metadata)
        ]
        assert offsets[0] == offsets[1]


def test_with_embeddings_of_slices() -> None:
    """Slices of metadata and of a larger buffer belong together row by row."""
    metadata = (
        sort_table([make_metadata([(NAMES[0], 0.0, (6, 1, 4))])], rules(PartitionBy.SITE))
        .to_batch()
        .slice(2, 3)
    )
    embeddings = np.arange(40, dtype=np.float32).reshape(10, 4)[5:8]
    windows = with_embeddings(metadata, embeddings)
    assert windows["embedding"].to_pylist() == embeddings.tolist()
    assert windows["recording_offset_in_file"].to_pylist() == [10.0, 15.0, 20.0]


def test_with_embeddings_keeps_features() -> None:
    """Features follow the metadata unchanged, with nulls, and the keys are left out."""
    features = (Feature("nuisances", 3), Feature("label", 1))
    plain = sort_table(
        [make_metadata([(NAMES[0], 0.0, (4, 1, 2))])], rules(PartitionBy.SITE)
    ).to_batch()
    values = [[[1.0, 2.0, 3.0], None, [-0.0, 5.0, 6.0], None], [None, None, None, [7.0]]]
    arrays = [
        pa.array(lists, feature.column.type)
        for feature, lists in zip(features, values, strict=True)
    ]
    count = len(metadata_schema())
    metadata = pa.record_batch(
        [*plain.columns[:count], *arrays, *plain.columns[count:]], schema=keyed_schema(features)
    )
    embeddings = np.arange(8, dtype=np.float32).reshape(4, 2)
    windows = with_embeddings(metadata, embeddings)
    windows.validate(full=True)
    assert windows.schema == window_schema(2, features)
    assert [windows["nuisances"].to_pylist(), windows["label"].to_pylist()] == values
    assert windows["embedding"].to_pylist() == embeddings.tolist()
    part = with_embeddings(metadata.slice(1, 2), embeddings[1:3])
    assert part.equals(windows.slice(1, 2))

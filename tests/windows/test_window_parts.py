"""Channels, features and selections of windows, against loops over single rows."""

from datetime import date, datetime

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.conversion.gather import WindowGatherer
from a20_parquet.windows.build import WindowRules, sort_table
from a20_parquet.windows.order import keyed_schema
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.records import Embedding
from a20_parquet.windows.schema import Feature
from a20_parquet.windows.selection import Selection
from tests.helpers.records import Record, make_decoded
from tests.helpers.runs import read_run

NAME = "site_0285/20201014T235950+1030_Arkaba-Dry-A_49500.flac"
OTHER = "site_0286/20201014T235950Z_Arkaba-Dry-B_49500.flac"
CHANNELS = st.none() | st.sets(st.integers(0, 4), min_size=1).map(lambda s: tuple(sorted(s)))
SHAPES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=5)


def rules(
    channels: tuple[int, ...] | None,
    features: tuple[Feature, ...] = (),
    selection: Selection | None = None,
) -> WindowRules:
    """Rules for windows of 3 floats."""
    return WindowRules(
        window_s=5.0,
        by=PartitionBy.SITE,
        dims=3,
        channels=channels,
        features=features,
        selection=selection or Selection(),
    )


def is_wanted(channel: int, channels: tuple[int, ...] | None) -> bool:
    """Whether a channel is taken."""
    return channels is None or channel in channels


@settings(max_examples=200)
@given(st.integers(0, 4), st.integers(0, 5), st.integers(1, 3), CHANNELS)
def test_pick(windows: int, channels: int, size: int, wanted: tuple[int, ...] | None) -> None:
    """The rows of a tensor that are taken, channel after channel within each window."""
    tensor = np.arange(windows * channels * size, dtype=np.float32).reshape(windows, channels, size)
    expected = [
        tensor[window, channel].tolist()
        for window in range(windows)
        for channel in range(channels)
        if is_wanted(channel, wanted)
    ]
    found = rules(wanted).pick(tensor)
    assert found.shape == (len(expected), size)
    assert found.tolist() == expected
    counted = rules(wanted).count_channels(np.array([channels]))
    assert counted.tolist() == [sum(is_wanted(channel, wanted) for channel in range(channels))]


@given(SHAPES, CHANNELS, st.data())
def test_features(
    shapes: list[tuple[int, int]], channels: tuple[int, ...] | None, data: st.DataObject
) -> None:
    """Each window has its own values of each feature, null where its record has none."""
    features = (Feature("nuisances", 3), Feature("label", 1))
    tensors = {
        feature.name: list[Embedding | None](
            None
            if data.draw(st.booleans())
            else np.arange(w * c * feature.size, dtype=np.float32).reshape(w, c, feature.size)
            for w, c in shapes
        )
        for feature in features
    }
    decoded = make_decoded([(NAME, 60.0 * n, (*s, 3)) for n, s in enumerate(shapes)])
    found = sort_table([decoded.metadata], rules(channels, features), tensors).to_batch()
    found.validate(full=True)
    assert found.schema == keyed_schema(features)
    for feature in features:
        expected = [
            None if tensor is None else tensor[window, channel].tolist()
            for tensor, (windows, count) in zip(tensors[feature.name], shapes, strict=True)
            for window in range(windows)
            for channel in range(count)
            if is_wanted(channel, channels)
        ]
        assert found[feature.name].to_pylist() == expected


def test_a_feature_is_kept_bit_for_bit() -> None:
    """NaN with a payload and -0.0 come out as they went in."""
    bits = np.array([0x7FC00123, 0x80000000, 0xFF800000], np.uint32)
    feature = Feature("label", 3)
    decoded = make_decoded([(NAME, 0.0, (1, 1, 3))])
    tensor = bits.view(np.float32).reshape(1, 1, 3)
    found = sort_table([decoded.metadata], rules(None, (feature,)), {"label": [tensor]}).to_batch()
    assert found["label"].flatten().view(pa.uint32()).to_pylist() == bits.tolist()


Gathered = dict[tuple[int, float, int], list[float]]


def gather(
    records: list[Record], rules: WindowRules, buffer_rows: int
) -> tuple[Gathered, WindowGatherer, int]:
    """All windows that a gatherer gives, by record, offset and channel; how many runs it made."""
    gatherer = WindowGatherer(np.full((buffer_rows, 3), np.nan, np.float32), rules)
    found: Gathered = {}
    runs = 0
    for start in range(0, len(records), 2):
        decoded = make_decoded(records[start : start + 2], first=start)
        for run in gatherer.add(decoded):
            runs += 1
            take(run, found)
    for run in gatherer.rest():
        runs += 1
        take(run, found)
    return found, gatherer, runs


def take(run: object, found: Gathered) -> None:
    """Read a run at once, as it must be."""
    rows = sum(run.partitions.rows)  # type: ignore[attr-defined]
    metadata, embeddings = read_run(run, 0, int(rows))  # type: ignore[arg-type]
    for row, values in zip(metadata, embeddings.tolist(), strict=True):
        key = (row["record"], row["recording_offset_in_file"], row["channel"])
        assert key not in found
        found[key] = values


@given(
    st.lists(st.tuples(st.sampled_from([NAME, OTHER]), SHAPES.filter(len)), max_size=5),
    CHANNELS,
    st.sampled_from(
        [
            Selection(),
            Selection.of(285),
            Selection(first=date(2020, 10, 15)),
            Selection(last=date(2020, 10, 14)),
        ]
    ),
    st.integers(16, 60),
)
def test_gathered_windows(
    drawn: list[tuple[str, list[tuple[int, int]]]],
    channels: tuple[int, ...] | None,
    selection: Selection,
    buffer_rows: int,
) -> None:
    """Whatever is selected and however small the buffer, each wanted window is there once."""
    records: list[Record] = [(name, 0.0, (*shapes[0], 3)) for name, shapes in drawn]
    chosen = rules(channels, selection=selection)
    found, gatherer, _ = gather(records, chosen, buffer_rows)
    expected: Gathered = {}
    left_out = 0
    for start in range(0, len(records), 2):
        decoded = make_decoded(records[start : start + 2], first=start)
        for number, tensor in enumerate(decoded.embeddings, start):
            name = records[number][0]
            for window, channel in np.ndindex(*tensor.shape[:2]):
                if not is_wanted(channel, channels):
                    continue
                # Both recordings start ten seconds before midnight of their own clock.
                day = 14 if window < 2 else 15
                if takes(selection, str(name), day):
                    expected[number, 5.0 * window, channel] = tensor[window, channel].tolist()
                else:
                    left_out += 1
    assert found == expected
    assert gatherer.windows[0] == len(expected)
    assert gatherer.left_out[0] == left_out


def takes(selection: Selection, name: str, day: int) -> bool:
    """Whether a window of October 2020 is in a selection."""
    start = datetime(2020, 10, day)  # noqa: DTZ001 - the recorder's own clock
    return (
        (not selection.sites or name[:9] in selection.sites)
        and (selection.first is None or start.date() >= selection.first)
        and (selection.last is None or start.date() <= selection.last)
    )


def test_a_record_larger_than_the_buffer() -> None:
    """It is divided among several runs, and no window of it is lost."""
    record: Record = (NAME, 0.0, (3, 3, 3))
    whole, _, one = gather([record], rules(None), 9)
    found, _, runs = gather([record], rules(None), 8)
    assert (one, runs) == (1, 2)
    assert found.keys() == whole.keys()
    assert len(found) == 9


def test_a_full_buffer_is_a_run() -> None:
    """A run is made each time the next record does not fit, and of what is left."""
    records: list[Record] = [(NAME, 60.0 * n, (4, 1, 3)) for n in range(5)]
    assert gather(records, rules(None), 4)[2] == 5
    assert gather(records, rules(None), 9)[2] == 3
    assert gather(records, rules(None), 20)[2] == 1

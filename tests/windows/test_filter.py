"""Which records become windows, which are left out, and which are rejected."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.windows.build import WindowRules
from a20_parquet.windows.filenames.parse import FilenameRules
from a20_parquet.windows.filter import RecordFilter
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.records import Embedding
from a20_parquet.windows.rejection import Reason, Rejection
from a20_parquet.windows.schema import MAX_CHANNELS, Feature
from a20_parquet.windows.selection import Selection
from tests.helpers.records import Record, make_decoded

ARKABA = "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac"
OTHER = "site_0286/20201114T010000+1030_Arkaba-Wet-A_49600.flac"
UNDATED = "tests/files/audio/100sec.wav"


def rules(
    *,
    channels: tuple[int, ...] | None = None,
    features: tuple[Feature, ...] = (),
    unknown_site: str | None = None,
    selection: Selection | None = None,
) -> WindowRules:
    """Rules for windows of 8 floats."""
    return WindowRules(
        window_s=5.0,
        by=PartitionBy.SITE_DATE,
        dims=8,
        channels=channels,
        features=features,
        filenames=FilenameRules(unknown_site=unknown_site),
        selection=selection or Selection(),
    )


BAD: list[tuple[Record, Reason, str]] = [
    ((ARKABA, 0.0, (1, 1, 9)), Reason.WRONG_DIMS, "9 dimensions, expected 8"),
    ((ARKABA, 0.0, (0, 1, 7)), Reason.WRONG_DIMS, "7 dimensions, expected 8"),
    ((ARKABA, 0.0, (0, MAX_CHANNELS + 1, 8)), Reason.BAD_TENSOR, "32769 channels, expected 32768"),
    (("neg/bar_neg.wav", 0.0, (1, 1, 8)), Reason.BAD_FILENAME, "bar_neg.wav"),
    (("20210229T000000Z_A_1.flac", 0.0, (1, 1, 8)), Reason.BAD_FILENAME, "20210229"),
    (("", 0.0, (0, 1, 8)), Reason.BAD_FILENAME, "''"),
    ((b"\xff\xfe", 0.0, (1, 1, 8)), Reason.BAD_FILENAME, "UTF-8"),
    ((b"a\xed\xa0\x80", 0.0, (1, 1, 8)), Reason.BAD_FILENAME, "UTF-8"),
    ((b"\xc0\x80", 0.0, (1, 1, 8)), Reason.BAD_FILENAME, "UTF-8"),
    ((b"\xf4\x90\x80\x80", 0.0, (1, 1, 8)), Reason.BAD_FILENAME, "UTF-8"),
]


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize(("record", "reason", "told"), BAD, ids=lambda value: str(value)[:40])
def test_each_reason(record: Record, reason: Reason, told: str, place: int) -> None:
    """A record that cannot be converted is rejected with its number; its neighbours go on."""
    records: list[Record] = [(ARKABA, 60.0 * n, (2, 1, 8)) for n in range(3)]
    records[place] = record
    found = RecordFilter(rules()).sort_out(make_decoded(records, first=10))
    (rejection,) = found.rejected
    assert (rejection.number, rejection.reason) == (10 + place, reason)
    assert told in rejection.message
    good = [n for n in range(3) if n != place]
    assert found.taken.metadata.numbers.tolist() == [10 + n for n in good]
    assert found.taken.metadata.timestamps_s.tolist() == [60.0 * n for n in good]
    assert len(found.taken.embeddings) == 2
    assert found.left_out == 0


def test_a_batch_that_is_all_good_is_handed_on() -> None:
    """Nothing is copied where nothing is rejected or left out."""
    decoded = make_decoded([(ARKABA, 0.0, (2, 1, 8)), (OTHER, 0.0, (0, 1, 8))])
    found = RecordFilter(rules()).sort_out(decoded)
    assert found.taken is decoded
    assert (found.rejected, found.left_out) == ((), 0)


def test_rejections_come_in_shard_order() -> None:
    """Those of the decode stage and those of this one are reported together."""
    early = Rejection(4, Reason.NOT_AN_EXAMPLE, "early")
    late = Rejection(9, Reason.BAD_TENSOR, "late")
    decoded = make_decoded(
        [(ARKABA, 0.0, (1, 1, 8)), ("x", 0.0, (1, 1, 8))], first=6, rejected=(late, early)
    )
    found = RecordFilter(rules()).sort_out(decoded)
    assert [rejection.number for rejection in found.rejected] == [4, 7, 9]
    assert found.rejected[0] is early


def test_a_feature_of_another_size() -> None:
    """It is rejected; a record that lacks the feature is not."""
    some, other = np.zeros((1, 1, 3), np.float32), np.zeros((1, 1, 4), np.float32)
    tensors = list[Embedding | None]([some, None, other])
    decoded = make_decoded([(ARKABA, 0.0, (1, 1, 8))] * 3, features={"label": tensors})
    found = RecordFilter(rules(features=(Feature("label", 3),))).sort_out(decoded)
    (rejection,) = found.rejected
    assert (rejection.number, rejection.reason) == (2, Reason.BAD_FEATURE)
    assert "'label' has 4 values a window, expected 3" in rejection.message
    assert found.taken.features["label"] == tensors[:2]


def test_an_unknown_site_takes_every_name() -> None:
    """With a place for recordings of unknown sites, only text that is no text is rejected."""
    records: list[Record] = [(record[0], 0.0, (1, 1, 8)) for record, _, _ in BAD]
    found = RecordFilter(rules(unknown_site="x")).sort_out(make_decoded(records))
    assert [rejection.number for rejection in found.rejected] == [6, 7, 8, 9]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=8),
    st.sets(st.integers(0, 7), min_size=1),
)
def test_channels_that_are_left_out(shapes: list[tuple[int, int]], wanted: set[int]) -> None:
    """Windows of channels that are not selected are counted, record by record."""
    decoded = make_decoded([(ARKABA, 0.0, (*shape, 8)) for shape in shapes])
    found = RecordFilter(rules(channels=tuple(sorted(wanted)))).sort_out(decoded)
    assert found.left_out == sum(
        1
        for windows, channels in shapes
        for _ in range(windows)
        for channel in range(channels)
        if channel not in wanted
    )
    assert len(found.taken.embeddings) == len(shapes)


def test_sites_and_dates_that_are_left_out() -> None:
    """All windows of such recordings are counted, in all channels, and bad ones are reported."""
    records: list[Record] = [
        (ARKABA, 0.0, (3, 2, 8)),
        (OTHER, 0.0, (5, 2, 8)),
        (UNDATED, 0.0, (7, 1, 8)),
        (OTHER, 0.0, (1, 1, 9)),
    ]
    decoded = make_decoded(records)
    of_site = RecordFilter(
        rules(channels=(0,), unknown_site="x", selection=Selection.of(285))
    ).sort_out(decoded)
    assert of_site.taken.metadata.numbers.tolist() == [0]
    assert of_site.left_out == 3 + 10 + 7
    assert [rejection.number for rejection in of_site.rejected] == [3]
    of_dates = RecordFilter(
        rules(unknown_site="x", selection=Selection(first=date(2020, 10, 1)))
    ).sort_out(decoded)
    # Whether windows of a dated recording are in time is seen later, window by window.
    assert of_dates.taken.metadata.numbers.tolist() == [0, 1]
    assert of_dates.left_out == 7


def test_a_bad_name_is_rejected_whatever_is_wanted() -> None:
    """A selection does not apply to a name that cannot be read."""
    decoded = make_decoded([("x.wav", 0.0, (1, 1, 8))])
    found = RecordFilter(rules(selection=Selection.of(285))).sort_out(decoded)
    assert [rejection.reason for rejection in found.rejected] == [Reason.BAD_FILENAME]
    assert found.left_out == 0


def test_what_is_remembered_of_names() -> None:
    """However few names are remembered, and however often they return, verdicts are the same."""
    names = [f"site_{n:04d}/20201014T010000+1030_A_{n}.flac" for n in range(9)] + ["x", "y"]
    order = [names[n * n % 11] for n in range(40)]
    batches = [
        make_decoded([(name, 0.0, (1, 1, 8)) for name in order[start : start + 5]], first=start)
        for start in range(0, 40, 5)
    ]

    def verdicts(record_filter: RecordFilter) -> list[list[int]]:
        found = [record_filter.sort_out(batch) for batch in batches]
        return [[rejection.number for rejection in each.rejected] for each in found]

    expected = [
        [5 * b + i for i, n in enumerate(order[5 * b :][:5]) if n in "xy"] for b in range(8)
    ]
    assert any(expected)
    assert verdicts(RecordFilter(rules())) == expected
    assert verdicts(RecordFilter(rules(), most_names=2)) == expected

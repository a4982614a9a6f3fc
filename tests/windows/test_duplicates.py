"""Windows that share their names."""

from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.windows.duplicates import (
    MOST_NAMES,
    RepeatCounter,
    Repeats,
    repeats_previous,
    window_name,
)
from tests.helpers.metadata import make_keyed

NAME = st.tuples(
    st.sampled_from(["a", "a\0", "\N{KOALA}"]), st.sampled_from([0.0, 5.0]), st.integers(0, 1)
)


@given(st.lists(NAME, max_size=20))
def test_rows_that_repeat_the_name_before_them(names: list[tuple[str, float, int]]) -> None:
    """A row repeats the one before it where all three parts of its name are the same."""
    keyed = make_keyed(
        [
            {"filename": filename, "recording_offset_in_file": offset_s, "channel": channel}
            for filename, offset_s, channel in names
        ]
    )
    expected = [row > 0 and names[row] == names[row - 1] for row in range(len(names))]
    assert repeats_previous(keyed).tolist() == expected
    assert [window_name(keyed, row) for row in range(len(names))] == names


def test_a_slice_of_rows_is_enough() -> None:
    """Rows in the middle of a larger batch are compared among themselves."""
    keyed = make_keyed([{"filename": name} for name in "aabbb"])
    assert repeats_previous(keyed.slice(1, 3)).tolist() == [False, False, True]


def test_windows_that_are_held_are_not_counted() -> None:
    """What the dataset holds twice is no duplicate, and never dropped."""
    keyed = make_keyed([{}] * 4)
    counter = RepeatCounter()
    told = [
        counter.add(keyed, row, digest, is_first=row == 0, is_existing=row < 3)
        for row, digest in enumerate([b"x", b"x", b"y", b"y"])
    ]
    assert told == [False, False, False, True]
    assert (counter.identical.count, counter.different.count) == (1, 0)


def test_names_are_the_first_ones_each_once() -> None:
    """All repeats are counted, and the first names kept."""
    names = [f"{number:02d}" for number in range(15) for _ in "123"]
    keyed = make_keyed([{"filename": name} for name in names])
    counter = RepeatCounter()
    for row in range(len(names)):
        counter.add(keyed, row, b"same", is_first=row % 3 == 0, is_existing=False)
    assert counter.identical.count == 30
    assert [name for name, _, _ in counter.identical.names] == names[: 3 * MOST_NAMES : 3]
    joined = Repeats.joined([Repeats(3, (("z", 0.0, 0),)), counter.identical])
    assert joined.count == 33
    assert [name for name, _, _ in joined.names] == ["z", *names[: 3 * (MOST_NAMES - 1) : 3]]

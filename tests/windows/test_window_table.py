"""Tables of windows that keep what a filename tells once a recording."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.windows.order import sort_order
from a20_parquet.windows.window_table import WindowTable
from tests.helpers.metadata import make_keyed, window_table

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "filename": st.sampled_from(["x", "y", "\N{KOALA}"]),
            "site": st.sampled_from(["a", "b"]),
            "site_id": st.sampled_from([None, 1, 2]),
            "window_start": st.sampled_from([None, 0, 5]),
            "channel": st.integers(0, 2),
            "record": st.integers(0, 3),
        }
    ),
    max_size=20,
)


@given(parts=st.lists(ROWS, min_size=1, max_size=4), data=st.data())
def test_it_equals_a_record_batch(
    parts: list[list[dict[str, object]]], data: st.DataObject
) -> None:
    """Joined, taken, filtered, cut and sorted, it has the rows that Arrow's own tables have."""
    batches = [make_keyed(rows) for rows in parts]
    expected = pa.Table.from_batches(batches)
    joined = WindowTable.concat([window_table(batch) for batch in batches])
    assert len(joined) == len(expected)
    for name in expected.schema.names:
        assert joined.column(name).to_pylist() == expected.column(name).to_pylist()
    rows = data.draw(st.lists(st.integers(0, max(len(expected) - 1, 0)), max_size=30))
    taken = np.array(rows if len(expected) else [], np.int64)
    found = joined.take(taken).to_batch()
    found.validate(full=True)
    assert found.schema == expected.schema
    assert found.to_pylist() == expected.take(pa.array(taken)).to_pylist()
    mask = taken % 2 == 0
    assert (
        joined.take(taken).filter(mask).to_batch().to_pylist()
        == expected.take(pa.array(taken)).filter(pa.array(mask)).to_pylist()
    )
    start, stop = sorted((data.draw(st.integers(0, 30)), data.draw(st.integers(0, 30))))
    part = joined.take(taken).slice(start, stop).to_batch()
    assert part.to_pylist() == found.slice(start, stop - start).to_pylist()
    assert sort_order(joined).tolist() == sort_order(expected).tolist()


def test_both_parts_have_the_same_windows() -> None:
    """A table whose parts differ in length is refused."""
    table = window_table(make_keyed([{}, {}]))
    with pytest.raises(ValueError, match="1 windows here, 2 there"):
        WindowTable(table.schema, table.recordings, table.recording[:1], table.windows)

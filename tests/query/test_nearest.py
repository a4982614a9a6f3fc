"""Exact nearest neighbours against a plain computation in float64."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from a20_parquet.query.metrics import Metric, Queries
from a20_parquet.query.nearest import Excluded, Found, Nearest, search_block

Block = npt.NDArray[np.float32]
Keys = npt.NDArray[np.float64]

SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e30, -1e30, 1e-30, 1e-45, 3e38, 1.0, -1.0, 2.0]
FLOATS = st.sampled_from(SPECIAL) | st.floats(-10, 10, width=32)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Embeddings of 1 to 8 dimensions, among them copies, multiples and opposites of others."""
    dims = draw(st.integers(1, 8))
    shape = st.tuples(st.integers(1, 12), st.just(dims))
    block = draw(hnp.arrays(np.float32, shape, elements=FLOATS.map(np.float32)))
    copies = draw(st.lists(st.integers(0, len(block) - 1), max_size=12))
    factors = draw(st.lists(st.sampled_from([1, 1, 2, -1]), min_size=12, max_size=12))
    with np.errstate(all="ignore"):
        copied = block[copies] * np.array(factors[: len(copies)], np.float32)[:, None]
    return np.concatenate([block, copied])


def exact_keys(metric: Metric, vector: Keys, block: Block) -> Keys:
    """Of every row, in float64; NaN where there is none. The larger, the nearer."""
    found = []
    for row in block.astype(np.float64):
        with np.errstate(all="ignore"):
            length = np.sqrt(np.sum(row * row))
            if not np.isfinite(row).all() or (metric is Metric.COSINE and not 0 < length < np.inf):
                found.append(np.nan)
            elif metric is Metric.EUCLIDEAN:
                found.append(-np.sum((row - vector) ** 2))
            else:
                found.append(np.sum(row * vector) / (length if metric is Metric.COSINE else 1))
    return np.array(found)


def search(
    queries: Queries,
    block: Block,
    top: int,
    ends: Sequence[int] = (),
    excluded: Excluded | None = None,
) -> Found:
    """Search a block in pieces that end at ``ends``, each with what those before it have found."""
    best = Found()
    rows = np.arange(len(block))
    for part, numbers in zip(np.split(block, ends), np.split(rows, ends), strict=True):
        if len(part):
            least = best.least(len(queries))
            best = best.merge(
                search_block(queries, part, numbers, top=top, least=least, excluded=excluded)
            )
    return best


def check(found: Nearest, expected: Keys, block: Block, top: int, scale: float = 1) -> None:
    """The rows are the best ones and in order, as far as float64 tells; equals by number."""
    defined = np.flatnonzero(np.isfinite(expected))
    best = np.sort(expected[defined])[::-1][:top]
    tolerance = 1e-12 * scale
    np.testing.assert_allclose(found.keys, best, rtol=1e-12, atol=tolerance)
    np.testing.assert_allclose(expected[found.rows], found.keys, rtol=1e-12, atol=tolerance)
    assert len(set(found.rows.tolist())) == len(found.rows)
    order = sorted(zip(-found.keys, found.rows.tolist(), strict=True))
    assert order == list(zip(-found.keys, found.rows.tolist(), strict=True))
    # Of windows that are alike to the bit the first ones are taken.
    taken = set(found.rows.tolist())
    copies = defaultdict(list)
    for number in defined:
        copies[block[number].tobytes()].append(number in taken)
    for are_taken in copies.values():
        assert are_taken == sorted(are_taken, reverse=True)


def scale_of(metric: Metric, vector: Keys, block: Block) -> float:
    """The size of what is summed for a key: its last bits may differ with the order."""
    if metric is Metric.COSINE:
        return 1.0
    finite = block[np.isfinite(block).all(axis=1)].astype(np.float64)
    largest = np.sqrt((finite**2).sum(axis=1).max(initial=0.0))
    length = float(np.linalg.norm(vector))
    return float(largest * length if metric is Metric.DOT else (largest + length) ** 2)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(blocks(), st.data(), st.sampled_from(Metric), st.integers(1, 30))
def test_the_best_are_found(block: Block, data: st.DataObject, metric: Metric, top: int) -> None:
    """Ties, copies, zeros, NaN, infinities, extreme sizes, opposites; more wanted than there are.

    However the block is cut, and however many queries there are, the answer is the same to the bit.
    """
    dims = block.shape[1]
    usable = [row for row in block if np.isfinite(row).all() and row.any()]
    normal = st.lists(st.floats(0.5, 4), min_size=dims, max_size=dims)
    one = st.sampled_from(usable) | normal if usable else normal
    to = np.array(data.draw(st.lists(one, min_size=1, max_size=12)), np.float64)
    queries = Queries.of(to, metric)
    pairs = data.draw(
        st.lists(st.tuples(st.integers(0, len(block) - 1), st.integers(0, len(to) - 1)))
    )
    out = np.array(pairs, np.int64).reshape(-1, 2)
    excluded = Excluded.of(out[:, 0], out[:, 1])
    whole = search(queries, block, top, excluded=excluded)
    ends = sorted(data.draw(st.lists(st.integers(0, len(block)), max_size=6)))
    cut = search(queries, block, top, ends, excluded)
    for number, vector in enumerate(queries.vectors):
        nearest = whole.nearest.get(number, Nearest(top))
        expected = exact_keys(metric, vector, block)
        expected[[row for row, query in pairs if query == number]] = np.nan
        check(nearest, expected, block, top, scale_of(metric, vector, block))
        own = out[out[:, 1] == number, 0]
        excluded_alone = Excluded.of(own, np.zeros_like(own))
        query = Queries.of(to[number : number + 1], metric)
        alone = search(query, block, top, excluded=excluded_alone).nearest.get(0, Nearest(top))
        for other in (cut.nearest.get(number, Nearest(top)), alone):
            np.testing.assert_array_equal(other.rows, nearest.rows)
            np.testing.assert_array_equal(other.keys, nearest.keys)


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("dims", [1, 3, 16, 1280])
@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1, 1e15, 1e30])
def test_close_neighbours_are_told_apart(metric: Metric, dims: int, scale: float) -> None:
    """Windows that differ in the last bits of float32 come in the order of their exact keys."""
    rng = np.random.default_rng(dims)
    base = rng.standard_normal(dims)
    factors = scale * (1 + rng.uniform(-1e-7, 1e-7, (400, dims)))
    block = (base * factors).astype(np.float32)
    queries = Queries.of([base * scale, *rng.standard_normal((9, dims))], metric)
    for top in (1, 10, 500):
        found = search(queries, block, top)
        for number, vector in enumerate(queries.vectors):
            expected = exact_keys(metric, vector, block)
            check(found.nearest[number], expected, block, top, scale_of(metric, vector, block))


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("dims", [3, 16, 1280])
def test_a_key_does_not_depend_on_the_block(metric: Metric, dims: int) -> None:
    """Copies of a window have the same key to the bit wherever they lie, and come in order."""
    rng = np.random.default_rng(0)
    block = rng.standard_normal((97, dims)).astype(np.float32)
    block[::3] = block[0]
    for count in (1, 30):
        queries = Queries.of(np.concatenate([block[:1], block[1:count]]), metric)
        whole = search(queries, block, 40).nearest[0]
        if metric is not Metric.DOT:
            assert whole.rows[:33].tolist() == list(range(0, 97, 3))
        for size in (1, 2, 5, 50):
            cut = search(queries, block, 40, range(size, 97, size)).nearest[0]
            np.testing.assert_array_equal(cut.rows, whole.rows)
            np.testing.assert_array_equal(cut.keys, whole.keys)


def test_merging_in_any_order() -> None:
    """Whatever order partial answers come in, the best and the order of equal ones are the same."""
    rng = np.random.default_rng(1)
    block = rng.integers(-1, 2, (60, 3)).astype(np.float32)
    queries = Queries.of([[1, 2, 3], [-1, 0, 1]])
    least = np.full(2, -np.inf)
    parts = [
        search_block(
            queries,
            block[first : first + 7],
            np.arange(first, min(first + 7, 60)),
            top=9,
            least=least,
        )
        for first in range(0, 60, 7)
    ]
    expected = search(queries, block, 9)
    for _ in range(20):
        best = Found()
        for index in rng.permutation(len(parts)):
            best = best.merge(parts[index])
        assert best.undefined == expected.undefined
        for number in (0, 1):
            np.testing.assert_array_equal(best.nearest[number].rows, expected.nearest[number].rows)
            np.testing.assert_array_equal(best.nearest[number].keys, expected.nearest[number].keys)


def test_least_rules_out_only_what_is_smaller() -> None:
    """A bound from elsewhere keeps what equals it."""
    block = np.array([[1, 0], [1, 1], [0, 1], [-1, 0]], np.float32)
    queries = Queries.of([[1, 0]])
    for least, rows in [(-1.0, [0, 1, 2, 3]), (0.0, [0, 1, 2]), (1.0, [0])]:
        found = search_block(queries, block, np.arange(4), top=4, least=np.array([least]))
        assert found.nearest[0].rows.tolist()[: len(rows)] == rows


@pytest.mark.parametrize(
    ("to", "metrics"),
    [
        ([0.0, -0.0], [Metric.COSINE]),
        ([np.nan, 1.0], list(Metric)),
        ([np.inf, 1.0], list(Metric)),
        ([1.0, -np.inf], list(Metric)),
        ([1e200, 1.0], [Metric.DOT, Metric.EUCLIDEAN]),
        ([], [Metric.COSINE]),
    ],
    ids=str,
)
def test_what_cannot_be_compared(to: list[float], metrics: list[Metric]) -> None:
    """Zero, NaN, infinity and nothing at all are refused, with their number."""
    for metric in Metric:
        if metric in metrics:
            with pytest.raises(ValueError, match="^1$" if to else "^0$"):
                Queries.of(np.array([[1.0] * len(to), to]), metric)
        else:
            assert len(Queries.of([to], metric)) == 1


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-30, 1, 1e30, 1e300])
def test_a_direction_has_length_one(scale: float) -> None:
    """However short or long the embedding is; the smallest floats have few bits left."""
    queries = Queries.of([np.array([3.0, -4.0]) * scale])
    tolerance = 1e-3 if scale < 1e-300 else 1e-15
    np.testing.assert_allclose(queries.vectors, [[0.6, -0.8]], atol=tolerance)
    assert queries.rounded.dtype == np.float32


def test_windows_without_a_key_are_counted() -> None:
    """NaN and infinite windows have no key, zero ones no cosine; they are never found."""
    block = np.array([[0, 0], [np.nan, 1], [np.inf, 0], [-1, 0], [-np.inf, np.inf]], np.float32)
    for metric, rows, undefined in (
        (Metric.COSINE, [13], 4),
        (Metric.DOT, [10, 13], 3),
        (Metric.EUCLIDEAN, [10, 13], 3),
    ):
        found = search_block(
            Queries.of([[1, 0]], metric), block, np.arange(10, 15), top=5, least=np.array([-np.inf])
        )
        assert found.nearest[0].rows.tolist() == rows
        assert found.undefined == undefined


def test_many_queries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """More queries than are estimated at once, and those left out of them."""
    rng = np.random.default_rng(2)
    block = rng.standard_normal((50, 4)).astype(np.float32)
    queries = Queries.of(rng.standard_normal((23, 4)))
    rows, of = np.array([3, 3, 40]), np.array([0, 20, 20])
    expected = search(queries, block, 5, excluded=Excluded.of(rows, of))
    monkeypatch.setattr("a20_parquet.query.nearest._QUERIES_AT_ONCE", 7)
    found = search(queries, block, 5, excluded=Excluded.of(rows, of))
    for number in range(23):
        assert found.nearest[number].rows.tolist() == expected.nearest[number].rows.tolist()
    assert 3 not in found.nearest[0].rows
    assert not {3, 40} & {*found.nearest[20].rows.tolist()}

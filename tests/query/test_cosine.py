"""Exact nearest neighbours against a plain computation in float64."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from a20_parquet.query.cosine import Direction, Nearest, search_block

Block = npt.NDArray[np.float32]

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


def cosines(direction: npt.NDArray[np.float64], block: Block) -> npt.NDArray[np.float64]:
    """Of every row, in float64; NaN where there is none."""
    found = []
    for row in block.astype(np.float64):
        with np.errstate(all="ignore"):
            length = np.sqrt(np.sum(row * row))
            found.append(np.sum(row * direction) / length if 0 < length < np.inf else np.nan)
    return np.array(found)


def search(direction: Direction, block: Block, top: int, ends: Sequence[int] = ()) -> Nearest:
    """Search a block in pieces that end at ``ends``, each with what those before it have found."""
    best = Nearest(top)
    rows = np.arange(len(block))
    for part, numbers in zip(np.split(block, ends), np.split(rows, ends), strict=True):
        if len(part):
            best = best.merge(search_block(direction, part, numbers, top, best.least))
    return best


def check(found: Nearest, direction: Direction, block: Block, top: int) -> None:
    """The rows are the best ones and in order, as far as float64 tells; equals by number."""
    expected = cosines(direction.exact, block)
    defined = np.flatnonzero(np.isfinite(expected))
    best = np.sort(expected[defined])[::-1][:top]
    np.testing.assert_allclose(found.cosines, best, rtol=0, atol=1e-12)
    np.testing.assert_allclose(expected[found.rows], found.cosines, rtol=0, atol=1e-12)
    assert len(set(found.rows.tolist())) == len(found.rows)
    order = sorted(zip(-found.cosines, found.rows.tolist(), strict=True))
    assert order == list(zip(-found.cosines, found.rows.tolist(), strict=True))
    # Of windows that are alike to the bit the first ones are taken.
    taken = set(found.rows.tolist())
    copies = defaultdict(list)
    for number, row in enumerate(block):
        copies[row.tobytes()].append(number in taken)
    for are_taken in copies.values():
        assert are_taken == sorted(are_taken, reverse=True)


@pytest.mark.slow
@settings(max_examples=150)
@given(blocks(), st.data(), st.integers(1, 30))
def test_the_best_are_found(block: Block, data: st.DataObject, top: int) -> None:
    """Ties, copies, zeros, NaN, infinities, extreme sizes, opposites; more wanted than there are.

    However the block is cut, the answer is the same to the bit.
    """
    dims = block.shape[1]
    usable = [row for row in block if np.isfinite(row).all() and row.any()]
    normal = st.lists(st.floats(0.5, 4), min_size=dims, max_size=dims)
    to = data.draw(st.sampled_from(usable) | normal if usable else normal)
    direction = Direction.of(to)
    whole = search(direction, block, top)
    check(whole, direction, block, top)
    ends = sorted(data.draw(st.lists(st.integers(0, len(block)), max_size=6)))
    cut = search(direction, block, top, ends)
    np.testing.assert_array_equal(cut.rows, whole.rows)
    np.testing.assert_array_equal(cut.cosines, whole.cosines)


@pytest.mark.parametrize("dims", [1, 2, 3, 7, 16, 33, 128, 1280])
@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1, 1e15, 1e30])
def test_close_neighbours_are_told_apart(dims: int, scale: float) -> None:
    """Windows that differ in the last bits of float32 come in the order of their exact cosines."""
    rng = np.random.default_rng(dims)
    base = rng.standard_normal(dims)
    factors = scale * (1 + rng.uniform(-1e-7, 1e-7, (400, dims)))
    block = (base * factors).astype(np.float32)
    direction = Direction.of(base)
    for top in (1, 10, 500):
        found = search(direction, block, top)
        check(found, direction, block, top)


@pytest.mark.parametrize("dims", [3, 16, 1280])
def test_a_cosine_does_not_depend_on_the_block(dims: int) -> None:
    """Copies of a window have the same cosine to the bit wherever they lie, and come in order."""
    rng = np.random.default_rng(0)
    block = rng.standard_normal((97, dims)).astype(np.float32)
    block[::3] = block[0]
    direction = Direction.of(block[0])
    whole = search(direction, block, 40)
    assert whole.rows[:33].tolist() == list(range(0, 97, 3))
    for size in (1, 2, 5, 50):
        cut = search(direction, block, 40, range(size, 97, size))
        np.testing.assert_array_equal(cut.rows, whole.rows)
        np.testing.assert_array_equal(cut.cosines, whole.cosines)


def test_merging_in_any_order() -> None:
    """Whatever order partial answers come in, the best and the order of equal ones are the same."""
    rng = np.random.default_rng(1)
    block = rng.integers(-1, 2, (60, 3)).astype(np.float32)
    direction = Direction.of([1, 2, 3])
    parts = [
        search_block(direction, block[first : first + 7], np.arange(first, min(first + 7, 60)), 9)
        for first in range(0, 60, 7)
    ]
    expected = search(direction, block, 9)
    for _ in range(20):
        best = Nearest(9)
        for index in rng.permutation(len(parts)):
            best = best.merge(parts[index])
        np.testing.assert_array_equal(best.rows, expected.rows)
        np.testing.assert_array_equal(best.cosines, expected.cosines)


def test_least_rules_out_only_what_is_smaller() -> None:
    """A bound from elsewhere keeps what equals it."""
    block = np.array([[1, 0], [1, 1], [0, 1], [-1, 0]], np.float32)
    direction = Direction.of([1, 0])
    for least, rows in [(-1.0, [0, 1, 2, 3]), (0.0, [0, 1, 2]), (1.0, [0])]:
        found = search_block(direction, block, np.arange(4), 4, least)
        assert found.rows.tolist()[: len(rows)] == rows


@pytest.mark.parametrize(
    "to", [[0.0, -0.0], [np.nan, 1.0], [np.inf, 1.0], [1.0, -np.inf], []], ids=str
)
def test_what_has_no_direction(to: list[float]) -> None:
    """Zero, NaN, infinity and nothing at all are refused."""
    with pytest.raises(ValueError, match="no direction"):
        Direction.of(to)


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-30, 1, 1e30, 1e300])
def test_a_direction_has_length_one(scale: float) -> None:
    """However short or long the embedding is; the smallest floats have few bits left."""
    direction = Direction.of(np.array([3.0, -4.0]) * scale)
    tolerance = 1e-3 if scale < 1e-300 else 1e-15
    np.testing.assert_allclose(direction.exact, [0.6, -0.8], atol=tolerance)
    assert direction.rounded.dtype == np.float32


def test_windows_without_direction_are_counted() -> None:
    """Zero, NaN and infinite windows have no cosine, and are never found."""
    block = np.array([[0, 0], [np.nan, 1], [np.inf, 0], [-1, 0], [-np.inf, np.inf]], np.float32)
    found = search_block(Direction.of([1, 0]), block, np.arange(10, 15), 5)
    assert found.rows.tolist() == [13]
    assert found.cosines.tolist() == [-1.0]
    assert found.without_direction == 4

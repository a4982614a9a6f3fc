"""The sample of windows and their points, compared with NumPy and polars."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.progress import NoProgress
from a20_parquet.reporting.picture import (
    picture_json,
    principal_points,
    read_picture,
    sample_numbers,
)
from tests.helpers.conversions import MakeDataset
from tests.helpers.shards import make_record, random_tensor, write_shard


@given(
    rows=st.lists(st.integers(1, 5000), max_size=60),
    most=st.integers(1, 300),
    places=st.integers(1, 40),
)
def test_sample_is_a_part_in_few_files(rows: list[int], most: int, places: int) -> None:
    """At most so many windows, each once, of at most one file for each part of the dataset."""
    places = min(places, most)
    file_rows = np.array(rows, np.int64)
    numbers = sample_numbers(file_rows, most, places)
    total = sum(rows)
    assert all(before < after for before, after in pairwise(numbers.tolist()))
    assert not len(numbers) or 0 <= numbers[0] <= numbers[-1] < total
    assert len(numbers) <= most
    if total <= most:
        assert len(numbers) == total
        return
    files = np.searchsorted(np.cumsum(file_rows), numbers, side="right")
    assert len(np.unique(files)) <= places
    # Each part of the dataset has a window.
    assert (
        len(np.unique(np.searchsorted(np.arange(1, places) * total // places, numbers, "right")))
        == places
    )
    np.testing.assert_array_equal(sample_numbers(file_rows, most, places), numbers)


def test_sample_of_the_whole_archive_is_small() -> None:
    """Of 374,000 files and 1.4 billion windows, 250 files are opened."""
    file_rows = np.full(374_000, 3_850, np.int64)
    numbers = sample_numbers(file_rows)
    assert len(numbers) == 2000
    assert len(np.unique(numbers // 3_850)) == 250


@pytest.mark.parametrize(
    ("windows", "dims"), [(60, 8), (9, 40), (3, 1), (1, 5), (2, 2), (500, 300), (250, 700)]
)
def test_points_are_principal_components(windows: int, dims: int) -> None:
    """Distances along the axes and the explained share are those of NumPy's SVD."""
    embeddings = random_tensor((windows, dims)) * 3
    if windows > 200:  # three groups: sounds differ more than noise
        embeddings += 4 * random_tensor((3, dims), seed=1)[np.arange(windows) % 3]
    points, explained = principal_points(embeddings)
    unit = embeddings.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    left, sizes, _ = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    scores = np.zeros((windows, 2))
    scores[:, : min(2, len(sizes))] = (left * sizes)[:, :2]
    variance = (sizes**2).sum()
    if variance < 1e-20:
        np.testing.assert_array_equal(points, 0.5)
        return
    assert explained == pytest.approx((scores**2).sum() / variance)
    assert np.ptp(points, axis=0).max() == pytest.approx(1)
    assert points.min() >= -1e-9
    assert points.max() <= 1 + 1e-9

    def distances(of: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        apart: npt.NDArray[np.float64] = np.linalg.norm(of[:, None] - of[None], axis=-1)
        apart /= max(np.ptp(of, axis=0).max(), 1e-12)
        return apart

    np.testing.assert_allclose(distances(points), distances(scores), atol=1e-6)


def test_equal_embeddings_have_one_point() -> None:
    """Silence, or a model that gives zeros, is no error."""
    for value in (0.0, 2.5):
        points, explained = principal_points(np.full((7, 4), value, np.float32))
        np.testing.assert_array_equal(points, 0.5)
        assert explained == 0


def test_points_name_their_windows(make_dataset: MakeDataset) -> None:
    """Each point has the site, time, recording and offset of a window, all windows if few."""
    dataset = make_dataset("site,date")
    catalog = Catalog.open(dataset)
    picture = read_picture(catalog, NoProgress())
    sites = sorted(catalog.files["site"].unique())
    content = json.loads(picture_json(picture, sites))
    found = {
        (content["names"][name], offset, channel, sites[site], start)
        for name, offset, channel, site, start in zip(
            *(content[key] for key in ("name", "offset", "channel", "site", "start")), strict=True
        )
    }
    expected = (
        pl.scan_parquet(dataset / "data", try_parse_hive_dates=False)
        .select(
            "filename",
            "recording_offset_in_file",
            pl.col("channel").cast(pl.Int64),
            "site",
            pl.col("window_start_local").dt.epoch("s"),
        )
        .collect()
    )
    assert found == set(expected.rows())
    assert len(content["x"]) == len(content["y"]) == len(expected)
    assert min(content["x"]) == 0
    assert max(content["x"]) == 1000


def test_broken_embeddings_have_no_point(tmp_path: Path) -> None:
    """NaN is data, but has no place in the picture: such windows are counted."""
    tensor = random_tensor((4, 1, 8))
    tensor[1, 0, 3] = np.nan
    tensor[2, 0, 0] = np.inf
    shard = write_shard(tmp_path / "a-00000-of-00001", [make_record(tensor)])
    a20_parquet.convert(shard, tmp_path / "out", workers=1)
    picture = read_picture(Catalog.open(tmp_path / "out"), NoProgress())
    assert picture.broken == 2
    assert picture.windows["recording_offset_in_file"].to_list() == [0, 15]
    assert np.isfinite(picture.points).all()
    page = a20_parquet.report(tmp_path / "out", tmp_path / "page.html").read_text(encoding="utf-8")
    assert "2 windows of the sample with NaN or infinite values left out" in page

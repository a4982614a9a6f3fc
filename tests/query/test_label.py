"""Labels of windows, against a loop over all windows and annotations."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import a20_parquet
from a20_parquet.dataset.data_file import DataFile
from a20_parquet.errors import UsageError
from tests.helpers.shards import make_record, random_tensor, write_shard

NAMES = [f"site_0285/20201014T0{hour}0000+1030_Arkaba-Dry-A_4950{hour}.flac" for hour in range(3)]
WINDOW_S = 5.0
KEYS = ["filename", "recording_offset_in_file", "channel"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of each of three recordings, the last one in two channels."""
    folder = tmp_path_factory.mktemp("label")
    records = [
        make_record(random_tensor((6, 1 + (name == NAMES[2]), 4), number), name, 30.0 * minute)
        for number, name in enumerate(NAMES)
        for minute in range(2)
    ]
    write_shard(folder / "in" / "a-00000-of-00001", records)
    a20_parquet.convert(folder / "in", folder / "out", decoder="wire", window_seconds=WINDOW_S)
    return folder / "out"


def covered_s(spans: list[tuple[float, float]], offset_s: float) -> float:
    """Seconds of a window that spans cover, counted in hundredths."""
    ticks = np.arange(round(offset_s * 100), round((offset_s + WINDOW_S) * 100))
    inside = np.zeros(len(ticks), np.bool_)
    for start_s, end_s in spans:
        inside |= (ticks >= round(start_s * 100)) & (ticks < round(end_s * 100))
    return float(np.count_nonzero(inside) / 100)


SECONDS = st.integers(-600, 7000).map(lambda hundredths: hundredths / 100)
ROWS = st.lists(
    st.tuples(st.sampled_from(NAMES), SECONDS, st.integers(1, 1500), st.sampled_from("abc")),
    min_size=1,
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=20)
@given(
    rows=ROWS,
    min_overlap=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    unlabelled=st.booleans(),
    many=st.booleans(),
)
def test_labels_are_those_of_a_loop(
    dataset: Path, rows: list[Any], min_overlap: float, *, unlabelled: bool, many: bool
) -> None:
    """Each window and label is tested by counting hundredths of seconds."""
    table = [(name, at, round(at + length / 100, 2), text) for name, at, length, text in rows]
    windows = a20_parquet.scan(dataset).collect()
    expected: list[Any] = []
    for window in windows.iter_rows(named=True):
        shares = {}
        for text in "abc":
            spans = [r[1:3] for r in table if r[0] == window["filename"] and r[3] == text]
            found_s = covered_s(spans, window["recording_offset_in_file"])
            if found_s > 0 and found_s >= min_overlap * WINDOW_S:
                shares[text] = found_s
        if window["filename"] in {row[0] for row in table} and (shares or unlabelled):
            best = min(shares, key=lambda text: (-shares[text], text)) if shares else None
            expected.append((*(window[key] for key in KEYS), sorted(shares) if many else best))
    frame = pl.DataFrame(table, schema=["filename", "start_s", "end_s", "label"], orient="row")
    labelled = a20_parquet.label(
        dataset,
        frame,
        min_overlap=min_overlap,
        labels="many" if many else "one",
        unlabelled=unlabelled,
    ).collect()
    column = "labels" if many else "label"
    assert labelled.select(*KEYS, column).rows() == expected
    assert labelled.columns == [*windows.columns, column]
    same = labelled.join(windows, on=KEYS, maintain_order="left")
    assert same["embedding"].equals(same["embedding_right"])


def test_takes_tables_of_each_kind(dataset: Path, tmp_path: Path) -> None:
    """polars, pandas, Arrow, and CSV as spreadsheets write it."""
    table = {
        "filename": [NAMES[0], NAMES[2]],
        "start_s": [6.0, 0],
        "end_s": [9.5, 12],
        "label": ["frog", "owl"],
        "note": ["x", "y"],
    }
    frame = pl.DataFrame(table, strict=False)
    (tmp_path / "a.csv").write_bytes(
        b"\xef\xbb\xbf" + frame.write_csv(line_terminator="\r\n").encode()
    )
    expected = a20_parquet.label(dataset, frame).collect()
    assert expected["label"].to_list() == ["frog"] + ["owl"] * 6
    for each in (frame.lazy(), pd.DataFrame(table), pa.table(table), tmp_path / "a.csv"):
        assert a20_parquet.label(dataset, each).collect().equals(expected)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "cannot be read"),
        ("filename,start_s,label\na,1,b\n", "there is no column end_s among"),
        (f"filename,start_s,end_s,label\n{NAMES[0]},x,2,a\n", "row 1: start_s is 'x'"),
        (f"filename,start_s,end_s,label\n{NAMES[0]},1,nan,a\n", "row 1: end_s is 'nan'"),
        (f"filename,start_s,end_s,label\n{NAMES[0]},2,1,a\n", "row 1 goes from 2 to 1 s"),
        (f"filename,start_s,end_s,label\n{NAMES[0]},1,2,\n", "row 1: label is None"),
        ("filename,start_s,end_s,label\n,1,2,a\n", "row 1: filename is None"),
        ("filename,start_s,end_s,label\nnone.wav,1,2,a\n", "has none of the annotated recordings"),
    ],
)
def test_no_annotations(dataset: Path, tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(UsageError, match=problem):
        a20_parquet.label(dataset, tmp_path / "a.csv")


@pytest.mark.parametrize(
    "options",
    [{"labels": "all"}, {"min_overlap": 1.5}, {"min_overlap": -1}, {"window_seconds": 0}],
)
def test_wrong_options(dataset: Path, options: dict[str, Any]) -> None:
    frame = pl.DataFrame({"filename": NAMES[:1], "start_s": [0], "end_s": [1], "label": ["a"]})
    with pytest.raises(UsageError, match=next(iter(options))):
        a20_parquet.label(dataset, frame, **options)
    with pytest.raises(UsageError, match="cannot be read"):
        a20_parquet.label(dataset, 5)


def test_what_is_not_used_is_said(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Unknown recordings, and annotations that label nothing."""
    frame = pl.DataFrame(
        {
            "filename": [NAMES[0], NAMES[0], "none.wav"],
            "start_s": [0.0, 900.0, 0.0],
            "end_s": [3.0, 901.0, 1.0],
            "label": ["a", "b", "c"],
        }
    )
    with caplog.at_level(logging.WARNING):
        assert len(a20_parquet.label(dataset, frame).collect()) == 1
    assert "1 of 2 recordings not in the dataset: none.wav" in caplog.text
    assert "1 of 2 rows label no window" in caplog.text


def test_only_labelled_windows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window is not read because another recording has a label at the same offset."""
    past_midnight = "site_0285/20201014T235000+1030_Arkaba-Dry-A_1.flac"
    other = "site_0286/20201014T000000+1030_Kl9-Dry-A_2.flac"
    records = [
        make_record(random_tensor((2, 1, 4), number), name, 900.0 * number)
        for name in (past_midnight, other)
        for number in range(2)
    ]
    write_shard(tmp_path / "in" / "a-00000-of-00001", records)
    a20_parquet.convert(tmp_path / "in", tmp_path / "out", decoder="wire", window_seconds=5)
    annotations = pl.DataFrame(
        {
            "filename": [past_midnight, other],
            "start_s": [0.0, 900.0],
            "end_s": [5.0, 905.0],
            "label": "a",
        }
    )
    read: list[int] = []
    read_page = DataFile.read_page

    def counted(self: DataFile, pages: Any, page: Any, out: Any) -> None:
        read.append(len(out))
        read_page(self, pages, page, out)

    monkeypatch.setattr(DataFile, "read_page", counted)
    found = a20_parquet.label(tmp_path / "out", annotations).collect()
    assert found["recording_offset_in_file"].to_list() == [0.0, 900.0]
    # The first day of one recording, and the only file of the other.
    assert sorted(read) == [2, 4]

"""The notebook's reading of filenames, its JSON, and the names of its files."""

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from a20_parquet.errors import RecordError
from a20_parquet.notebook.render import (
    NotebookRecording,
    name_outputs,
    read_as_notebook,
    read_filenames,
    render_records,
)
from a20_parquet.windows.filenames.parse import FilenameRules
from a20_parquet.windows.filenames.site_table import SiteTable
from tests.helpers.metadata import make_metadata
from tests.helpers.notebook import read_name

ARKABA = "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac"
TOKENS = [
    *(
        "site_0012/",
        "site_\u0660\u066012/",
        "20190228T123831",
        "20190230T123831",
        "20190228T246000",
    ),
    *("+1000", "+2400", "+0060", "-0330", "Z", "_", "-", "--", "Foo", "é", "²", "9", "Wet", "A"),
    *("-Wet-A_1.flac", "-Dry-B_22Xflac", "-Dry-A_7\nflac", "-Wet-B_.flac", "-Dry-C_1.flac"),
    *("flac", ".", "/", " ", "\n", "1"),
]
START = "site_0012/20190228T123831+1000_"


def names() -> st.SearchStrategy[str]:
    """Names near to what the notebook finds, and anything else."""
    tokens = st.lists(st.sampled_from(TOKENS), max_size=8).map("".join)
    near = st.tuples(tokens, st.just(START), tokens, st.sampled_from(TOKENS)).map("".join)
    return near | tokens | st.text(max_size=20)


@given(names())
@example("xx" + START + "A---B-Wet-A_1.flac.bak")
@example(START + "Foo-Wet-A_1_flac-Dry-B_2.flac")
@example(START + "-Dry-B_3Xflac")
@example(START + "Foo-Wet-A_1.flac" + START + "Foo-Wet-A_1.flac")
def test_names_are_read_as_the_notebook_reads_them(name: str) -> None:
    """A reader that walks the name step by step, and Python's strptime, agree."""
    try:
        expected = read_name(name)
    except ValueError:
        # strptime wants ASCII in some places where others take any decimal digit.
        assert read_as_notebook(name) is None or not name.isascii()
    else:
        reading = read_as_notebook(name)
        assert reading is not None
        assert reading._asdict() == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (START + "Foo-Wet-A_1.flac", ("Foo", "Wet-A", 1)),
        (START + "Strzelecki-93-Wet-A_12.flac", ("Strzelecki-93", "Wet-A", 12)),
        (START + "Foo-Wet-A_1_flac-Dry-B_2.flac", ("Foo", "Wet-A", 1)),
        (START + "Foo-Wet-A_x-Dry-B_2.flac", ("Foo-Wet-A_x", "Dry-B", 2)),
        (START + "-Dry-B_3Xflac", ("", "Dry-B", 3)),
        ("a/b " + START + "A---B-Wet-A_1.flac.bak", ("A---B", "Wet-A", 1)),
        (START + "Foo-Wet-A_1.flac " + START + "Foo-Wet-A_1.flac", None),
        (START + "Foo Bar-Wet-A_1.flac", None),
        (START + "Foo-Wet-C_1.flac", None),
        (START + "Foo-Wet-A_.flac", None),
        (START + "Foo-Wet-A_" + "1" * 5000 + ".flac", None),
        (START.replace("+", "-") + "Foo-Wet-A_1.flac", None),
        (START.replace("+1000", "+2400") + "Foo-Wet-A_1.flac", None),
        (START.replace("0228", "0229") + "Foo-Wet-A_1.flac", None),
        (START.replace("site_0012", "site_012") + "Foo-Wet-A_1.flac", None),
    ],
)
def test_what_the_notebook_reads(name: str, expected: tuple[str, str, int] | None) -> None:
    """The shortest site name that fits; exactly one hit; no impossible times."""
    reading = read_as_notebook(name)
    if expected is None:
        assert reading is None
    else:
        assert reading is not None
        assert (reading.site_name, reading.subsite_name, reading.file_seq_id) == expected


@pytest.mark.parametrize("tail", ["", "-Wet-A_", "-Wet-A_1", "-Wet-C_1.flac"])
@pytest.mark.parametrize("part", ["-", "a-", "-Wet-A_1", "a_1-", START, "1"])
def test_no_name_hangs(part: str, tail: str) -> None:
    """Long names that almost fit are refused at once."""
    assert read_as_notebook(START + part * 20_000 + tail) is None


def test_names_that_only_the_datasets_read() -> None:
    """Missing parts are null, a shorter site id is padded; what nothing can read is none."""
    readings = read_filenames(
        [
            b"site_285/20201014T010000-0330_Arkaba-Dry-A_49500.wav",
            b"20201014T010000Z_Site-3_7.flac",
            b"site_12345/20201014T010000Z_Site-3_7.flac",
            b"tests/files/audio/100sec.wav",
            b"\xff\xfe",
            ARKABA.encode(),
        ]
    )
    at_utc = int(datetime(2020, 10, 14, 1, tzinfo=UTC).timestamp())
    assert readings[:5] == [
        NotebookRecording(at_utc + 12_600, 3600, "0285", "Arkaba", "Dry-A", 49500),
        NotebookRecording(at_utc, 3600, None, "Site-3", None, 7),
        NotebookRecording(at_utc, 3600, "12345", "Site-3", None, 7),
        None,
        None,
    ]
    assert readings[5] == NotebookRecording(1602599400, 3600, "0285", "Arkaba", "Dry-A", 49500)


def test_names_that_rules_read() -> None:
    """Rules count for names that the notebook cannot read; without start or id none is read."""
    recorders = {"name": ["site-3", "b"], "site_id": [7, 12345], "time_zone": ["Etc/GMT-10", None]}
    rules = FilenameRules(
        pattern="(?P<site_name>never)",
        sites=SiteTable.of(pl.DataFrame(recorders)),
        unknown_site="x",
    )
    names = [
        b"20201014T010000Z_Site-3_7.flac",
        ARKABA.encode(),
        b"x.wav",
        b"20201014T010000Z_x.wav",
        b"site_1/20201314T010000Z_x_1.wav",
    ]
    at_utc = int(datetime(2020, 10, 14, 1, tzinfo=UTC).timestamp())
    assert read_filenames(names, rules) == [
        NotebookRecording(at_utc, 11 * 3600, "0007", "Site-3", None, 7),
        NotebookRecording(1602599400, 3600, "0285", "Arkaba", "Dry-A", 49500),
        None,
        None,
        None,
    ]
    pattern = r"(?P<site_id>\d*)=(?P<file_seq_id>\d*)=(?P<date>\d*)=(?P<time>\d*)"
    metadata = make_metadata(
        [("12=5=20201014=010000", 0.0, (1, 1, 4)), ("12==20201014=010000", 0.0, (1, 1, 4))]
    )
    rendered = render_records(metadata, FilenameRules(pattern=pattern))
    assert rendered.kept == (0,)
    assert rendered.left_out == (b"12==20201014=010000",)
    assert json.loads(rendered.json) == {
        "file_timestamp": at_utc,
        "file_seconds_since_midnight": 3600,
        "recording_offset_in_file": 0,
        "site_id": "0012",
        "site_name": None,
        "subsite_name": None,
        "file_seq_id": 5,
        "filename": "12=5=20201014=010000",
    }


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
records = st.lists(
    st.tuples(
        names() | st.sampled_from([ARKABA, '20201014T010000Z_é"\\_7.flac']),
        st.sampled_from([0.0, -0.0, 0.5, 5.75, 6480.0, 0.99999994, -1e-9, 1e30]) | finite,
        st.tuples(st.integers(0, 13), st.sampled_from([1, 5]), st.just(4)),
    ),
    max_size=6,
)


@given(records)
def test_json_is_what_json_dumps_writes(
    records: list[tuple[str, float, tuple[int, int, int]]],
) -> None:
    """Joined texts equal ``json.dumps`` of a list of dictionaries, offsets as NumPy adds them."""
    metadata = make_metadata(records)
    rendered = render_records(metadata)
    expected: list[dict[str, Any]] = []
    readings = read_filenames(metadata.filenames)
    for (name, timestamp_s, (windows, _, _)), reading in zip(records, readings, strict=True):
        for i in range(windows if reading else 0):
            assert reading is not None
            told = reading._asdict()
            first = ("file_timestamp", "file_seconds_since_midnight")
            expected.append(
                {
                    **{key: told[key] for key in first},
                    "recording_offset_in_file": int(np.float32(timestamp_s) + np.float32(5 * i)),
                    **{key: value for key, value in told.items() if key not in first},
                    "filename": name,
                }
            )
    assert f"[{rendered.json}]" == json.dumps(expected)
    assert rendered.windows == len(expected)
    assert rendered.kept == tuple(i for i, reading in enumerate(readings) if reading)
    assert len(rendered.left_out) + len(rendered.kept) == len(records)


def test_a_timestamp_without_end_is_an_error() -> None:
    """Only where windows would need it: the notebook looks at none without."""
    metadata = make_metadata([(ARKABA, 0.0, (1, 1, 4)), (ARKABA, float("nan"), (2, 1, 4))], first=7)
    with pytest.raises(RecordError, match=r"record 8 .*timestamp_s is nan"):
        render_records(metadata)
    for shape in ((0, 1, 4), (2, 0, 4)):
        assert render_records(make_metadata([(ARKABA, float("inf"), shape)])).json == ""
    assert render_records(make_metadata([("nothing", float("inf"), (1, 1, 4))])).kept == ()


def test_files_are_named_up_to_the_first_dot() -> None:
    """Names that differ stay; those that meet become labels, and so does one they then meet."""
    names = ["embeddings-00000-of-00002", "b.tfrecord", ".c"]
    assert name_outputs(names, names) == (["embeddings-00000-of-00002", "b", ".c"], [])
    names = ["a.b-00000-of-00002", "a.b-00001-of-00002", "c"]
    outputs, lines = name_outputs(names, names)
    assert outputs == names
    told = "a.b-00000-of-00002 and a.b-00001-of-00002 would both be a.npy and a.json"
    assert lines == [f"{told}: each is named by its whole label"]


def test_a_label_may_meet_another_name() -> None:
    """Labels of one collision that equal another's cut name move that one too."""
    names = ["x", "x.y", "x.tar"]
    outputs, lines = name_outputs(names, ["x", "x.y", "x.tar"])
    assert outputs == ["x", "x.y", "x.tar"]
    assert "x, x.y and x.tar would all be x.npy" in lines[0]
    outputs, lines = name_outputs(["e.0", "e.1", "a__e.gz"], ["a__e", "b__e", "c"])
    assert outputs == ["a__e", "b__e", "c"]
    assert len(lines) == 2


@given(st.lists(st.text("ab.", min_size=1, max_size=4), unique=True, max_size=12), st.randoms())
def test_names_of_files_are_unique(labels: list[str], random: Any) -> None:
    """Whatever names and labels there are."""
    names = [random.choice([label, label[:2], "a.b", "a"]) for label in labels]
    outputs, _ = name_outputs(names, labels)
    assert len(set(outputs)) == len(labels)
    cut = [name.partition(".")[0] for name in names]
    for output, name, label in zip(outputs, cut, labels, strict=True):
        assert output in {name, label}

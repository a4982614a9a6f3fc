"""Filenames of the A2O's form."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.windows.filenames.parse import Recordings
from tests.helpers.filenames import facts, parse

COLUMN_TYPES = {
    "site_id": pa.int32(),
    "site_name": pa.string(),
    "subsite_name": pa.string(),
    "file_seq_id": pa.int64(),
    "file_timestamp": pa.timestamp("us", tz="UTC"),
    "utc_offset_minutes": pa.int16(),
    "file_seconds_since_midnight": pa.int32(),
}


def recorder(name: str) -> tuple[str, str | None, int] | None:
    """The part of the facts that the recorder's name and the id decide."""
    found = facts(name)
    return (
        None if found is None else (found["site_name"], found["subsite_name"], found["file_seq_id"])
    )


def test_column_types() -> None:
    """Every column has the type of the schema, also where there is no row or only nulls."""
    for names in [[], ["x"], ["20201014T010000+1030_Arkaba-Dry-A_49500.flac"]]:
        recordings = parse(*names)
        assert Recordings.columns() == list(COLUMN_TYPES)
        for column, kind in COLUMN_TYPES.items():
            values = getattr(recordings, column)
            assert (column, values.type, len(values)) == (column, kind, len(names))


def test_usual_form() -> None:
    """The form of the one-percent sample gives all facts."""
    assert facts("site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac") == {
        "site_id": 285,
        "site_name": "Arkaba",
        "subsite_name": "Dry-A",
        "file_seq_id": 49500,
        "file_timestamp": datetime(2020, 10, 13, 14, 30, tzinfo=UTC),
        "utc_offset_minutes": 630,
        "file_seconds_since_midnight": 3600,
    }


@pytest.mark.parametrize(
    ("zone", "utc", "minutes"),
    [
        ("+1000", "2020-03-01T02:30:00", 600),
        ("+0000", "2020-03-01T12:30:00", 0),
        ("-0000", "2020-03-01T12:30:00", 0),
        ("-0030", "2020-03-01T13:00:00", -30),
        ("-0330", "2020-03-01T16:00:00", -210),
        ("-1200", "2020-03-02T00:30:00", -720),
        ("+1400", "2020-02-29T22:30:00", 840),
        ("+0845", "2020-03-01T03:45:00", 525),
        ("+2359", "2020-02-29T12:31:00", 1439),
        ("Z", "2020-03-01T12:30:00", None),
    ],
)
def test_offsets(zone: str, utc: str, minutes: int | None) -> None:
    """The instant is the wall clock less the offset, and ``Z`` gives no offset."""
    found = facts(f"20200301T123000{zone}_A_1.wav")
    assert found is not None
    assert found["file_timestamp"] == datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert found["utc_offset_minutes"] == minutes
    assert found["file_seconds_since_midnight"] == 45_000


@pytest.mark.parametrize(
    "extension",
    [
        *("flac", "wav", "mp3", "wv", "FLAC", "Wav", "MP3", "mP3", "WV", "fLaC", "wave", "WAVE"),
        *("ogg", "OGG", "webm", "WebM", "m4a", "M4A", "aac", "AAC", "mpga", "oga", "opus", "aif"),
        *("AIFF", "asf", "caf", "w4v", "wac", "webma", "wma"),
    ],
)
def test_extensions(extension: str) -> None:
    """The extensions of recordings count, in any case."""
    assert recorder(f"20200301T123000Z_A-Wet-B_7.{extension}") == ("A", "Wet-B", 7)


@pytest.mark.parametrize(
    ("prefix", "site"),
    [
        ("", None),
        ("site_0285/", 285),
        ("site_1/", 1),
        ("site_12345/", 12345),
        ("site_0000/", 0),
        ("a/b c/site_0007/", 7),
        ("/a/site_0007/", 7),
        ("s3://bucket/site_0007/x/y/", 7),
        ("site_0007//", 7),
        ("xsite_0007/", None),
        ("site_0007x/", None),
        ("Site_0007/", None),
        ("site_/", None),
        ("site_-7/", None),
        ("site_9999999999/", None),
        ("./", None),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}/\N{SNOWMAN}/", None),
    ],
)
def test_folders(prefix: str, site: int | None) -> None:
    """Folders before the name are ignored, but for ``site_NNNN/``."""
    found = facts(f"{prefix}20200301T123000+1000_Arkaba-Dry-A_49500.flac")
    assert found is not None
    assert (found["site_id"], found["site_name"]) == (site, "Arkaba")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Arkaba-Dry-A_49500", ("Arkaba", "Dry-A", 49500)),
        ("Site-3_1", ("Site-3", None, 1)),
        ("Kl9_12", ("Kl9", None, 12)),
        ("3_1", ("3", None, 1)),
        ("---_1", ("---", None, 1)),
        ("A---B---Wet-A_1", ("A---B--", "Wet-A", 1)),
        ("Pegarah-Forest---Lodge-Dry-B_1", ("Pegarah-Forest---Lodge", "Dry-B", 1)),
        ("Tumbarumba-Wet-Eucalypt-Dry-A_1", ("Tumbarumba-Wet-Eucalypt", "Dry-A", 1)),
        ("X-Wet-A-Dry-B_1", ("X-Wet-A", "Dry-B", 1)),
        ("X-Wet-A-Y_1", ("X-Wet-A-Y", None, 1)),
        ("X-Wet-C_1", ("X-Wet-C", None, 1)),
        ("X-wet-a_1", ("X-wet-a", None, 1)),
        ("X-Wet_1", ("X-Wet", None, 1)),
        ("Wet-A_1", ("Wet-A", None, 1)),
        ("my_site_3_49500", ("my_site_3", None, 49500)),
        ("a__b_1", ("a__b", None, 1)),
        ("X_Y-Dry-A_1", ("X_Y", "Dry-A", 1)),
        ("X-Wet-A_1_Y-Dry-B_2", ("X-Wet-A_1_Y", "Dry-B", 2)),
        ("Gluepot-Wet-A_644370_0000_5857", ("Gluepot", "Wet-A", 644370)),
        ("Site-3_644370_0000_5857", ("Site-3", None, 644370)),
        ("X-Wet-A_0012", ("X", "Wet-A", 12)),
        ("X_999999999999999999", ("X", None, 10**18 - 1)),
        ("a.b c+d=e%20&f_1", ("a.b c+d=e%20&f", None, 1)),
        ("20200301T123000Z_B_1", ("20200301T123000Z_B", None, 1)),
        (
            "\N{GREEK SMALL LETTER OMEGA}\N{KOALA}-Wet-A_1",
            ("\N{GREEK SMALL LETTER OMEGA}\N{KOALA}", "Wet-A", 1),
        ),
        ("a\0b_1", ("a\0b", None, 1)),
        ("a\nb_1", ("a\nb", None, 1)),
    ],
)
def test_recorders(name: str, expected: tuple[str, str | None, int]) -> None:
    """The recorder's name is between time and id, and its ending may be a subsite."""
    assert recorder(f"20200301T123000+1000_{name}.flac") == expected
    assert recorder(f"site_0285/20200301T123000Z_{name}.WAV") == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "site_0285/",
        "a.flac",
        "tests/files/audio/100sec.wav",
        "neg/bar_neg.wav",
        "20200301T123000+1000_A_1",
        "20200301T123000+1000_A_1.json",
        "20200301T123000+1000_A_1.w",
        "20200301T123000+1000_A_1.flac.txt",
        "20200301T123000+1000_A_1.flac\n",
        "20200301T123000+1000_A_1.flac/",
        "20200301T123000+1000_A_1.flac ",
        "20200301T123000+1000_A_1xflac",
        "20200301T123000+1000_A.flac",
        "20200301T123000+1000_A_.flac",
        "20200301T123000+1000_A_x1.flac",
        "20200301T123000+1000_A_-1.flac",
        "20200301T123000+1000__1.flac",
        "20200301T123000+1000_1.flac",
        "20200301T123000+1000-A_1.flac",
        "20200301T123000+1000_A_9999999999999999999.flac",
        "20200301T123000_A_1.flac",
        "20200301T123000+10_A_1.flac",
        "20200301T123000+10:00_A_1.flac",
        "20200301T123000z_A_1.flac",
        "20200301T123000 1000_A_1.flac",
        "20200301t123000+1000_A_1.flac",
        "20200301 123000+1000_A_1.flac",
        "2020-03-01T12:30:00+1000_A_1.flac",
        "2020301T123000+1000_A_1.flac",
        "120200301T123000+1000_A_1.flac",
        "x20200301T123000+1000_A_1.flac",
        "20200301T123000+1000_A/B_1.flac",
        "2020030\N{ARABIC-INDIC DIGIT ONE}T123000+1000_A_1.flac",
        "20200301T123000+1000_A_\N{FULLWIDTH DIGIT ONE}.flac",
    ],
)
def test_other_forms(name: str) -> None:
    """A name of any other form is marked as invalid and gives nothing but a site folder."""
    recordings = parse(name)
    assert not recordings.valid[0]
    for column in COLUMN_TYPES.keys() - {"site_id"}:
        assert getattr(recordings, column).to_pylist() == [None]


@pytest.mark.parametrize(
    ("start", "valid"),
    [
        ("20200229T000000Z", True),
        ("20000229T000000Z", True),
        ("20210229T000000Z", False),
        ("19000229T000000Z", False),
        ("21000229T000000Z", False),
        ("20200230T000000Z", False),
        ("20200431T000000Z", False),
        ("20201231T235959Z", True),
        ("20201232T000000Z", False),
        ("20200100T000000Z", False),
        ("20200001T000000Z", False),
        ("20201301T000000Z", False),
        ("20209901T000000Z", False),
        ("00000101T000000Z", False),
        ("00010101T000000Z", True),
        ("19691231T235959Z", True),
        ("20200101T240000Z", False),
        ("20200101T236000Z", False),
        ("20200101T235960Z", False),
        ("20200101T999999Z", False),
        ("20200101T000000+2359", True),
        ("20200101T000000+2400", False),
        ("20200101T000000-2400", False),
        ("20200101T000000+0960", False),
        ("20200101T000000-0099", False),
        ("20200101T000000+9999", False),
    ],
)
def test_impossible_times(start: str, valid: bool) -> None:  # noqa: FBT001
    """Dates, times and offsets that don't exist make a name invalid."""
    assert parse(f"{start}_A-Wet-A_1.flac").valid.tolist() == [valid]


@settings(max_examples=60)
@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_text(names: list[str]) -> None:
    """Any text parses without an exception, and an invalid name has nulls."""
    recordings = parse(*names)
    assert len(recordings.valid) == len(names)
    assert recordings.file_timestamp.is_valid().to_pylist() == recordings.valid.tolist()


@settings(max_examples=60)
@given(st.text(st.sampled_from("0123456789TZ+-_./aWetDryABflacsite"), max_size=80))
def test_nearly_names(rest: str) -> None:
    """Text made of a filename's own characters, before and after a good start, never raises."""
    start = "20200301T123000+1000_"
    recordings = parse(start + rest, rest + start, start + rest + ".flac", rest + "_1.wav")
    assert recordings.site_name.is_valid().to_pylist() == recordings.valid.tolist()


@pytest.mark.parametrize(
    "piece", ["a-_", "-", "_", "_1", "-Wet-A", "-Wet-A_1", "/", "site_1/", "9", ".flac", "\0"]
)
def test_long_names(piece: str) -> None:
    """Names that make a backtracking pattern hang are read like any other."""
    long = piece * 100_000
    start = "20200301T123000+1000_"
    names = [long, start + long, start + long + "_1.flac", long + start + "A_1.flac"]
    folded = "/" in piece
    valid = parse(*names).valid.tolist()
    assert valid[0] is False
    assert valid[3] is folded
    assert valid[2] is not folded


def test_long_name_parts() -> None:
    """A very long recorder name comes back whole."""
    name = "a-_" * 100_000
    assert recorder(f"20200301T123000+1000_{name}x-Wet-A_1.flac") == (name + "x", "Wet-A", 1)

"""Filenames put together from parts, and the real ones, against ``re`` and ``datetime``."""

import itertools
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.windows.filenames.parse import Recordings
from tests.helpers.filenames import facts, parse

SUBSITES = ("Wet-A", "Wet-B", "Dry-A", "Dry-B")


@dataclass(frozen=True)
class Parts:
    """A filename, in parts."""

    folder: str
    site: int | None
    start: datetime
    zone: str
    name: str
    subsite: str | None
    number: int
    tail: str
    extension: str

    def text(self) -> str:
        """The filename."""
        subsite = "" if self.subsite is None else f"-{self.subsite}"
        site = "" if self.site is None else f"site_{self.site:04d}/"
        # Unlike isoformat, strftime drops leading zeros of early years on some systems.
        start = self.start.isoformat().replace("-", "").replace(":", "")
        name = f"{start}{self.zone}_{self.name}{subsite}_{self.number}{self.tail}"
        return f"{self.folder}{site}{name}.{self.extension}"

    def expected(self) -> dict[str, Any]:
        """The facts in it, by ``datetime``'s arithmetic."""
        minutes = None if self.zone == "Z" else zone_minutes(self.zone)
        zone = timezone(timedelta(minutes=minutes or 0))
        midnight = self.start.replace(hour=0, minute=0, second=0)
        return {
            "site_id": self.site,
            "site_name": self.name,
            "subsite_name": self.subsite,
            "file_seq_id": self.number,
            "file_timestamp": self.start.replace(tzinfo=zone).astimezone(UTC),
            "utc_offset_minutes": minutes,
            "file_seconds_since_midnight": (self.start - midnight).seconds,
        }


def zone_minutes(zone: str) -> int:
    """Minutes of ``+HHMM`` or ``-HHMM``."""
    minutes = int(zone[1:3]) * 60 + int(zone[3:5])
    return -minutes if zone[0] == "-" else minutes


def real_facts(name: str) -> dict[str, Any]:
    """An independent reading of the forms that the real list has."""
    match = re.fullmatch(r"(\d{8}T\d{6})([+-]\d{4}|Z)_(.+)_(\d+)\.flac", name)
    assert match, name
    start, zone, name, number = match.groups()
    words = name.split("-")
    subsite = "-".join(words[-2:]) if "-".join(words[-2:]) in SUBSITES else None
    site_name = name if subsite is None else "-".join(words[:-2])
    parts = Parts(
        folder="",
        site=None,
        start=datetime.strptime(start, "%Y%m%dT%H%M%S"),  # noqa: DTZ007
        zone=zone,
        name=site_name,
        subsite=subsite,
        number=int(number),
        tail="",
        extension="flac",
    )
    return parts.expected()


def test_real_filenames(real_data: Path) -> None:
    """Every line of the real list parses, and each of its facts is the oracle's."""
    names = (real_data / "a2o-filenames.txt").read_text().split()
    assert len(names) == 400
    assert [(name, facts(name)) for name in names] == [(name, real_facts(name)) for name in names]
    assert parse(*names).valid.all()


def test_real_filenames_at_once(real_data: Path) -> None:
    """Each name of a batch, some of them bad, is parsed as if it were alone."""
    names = (real_data / "a2o-filenames.txt").read_text().split()
    mixed = list(itertools.chain.from_iterable((name, name[:-1]) for name in names))
    recordings = parse(*mixed)
    assert recordings.valid.tolist() == [True, False] * 400
    for column in Recordings.columns():
        values = getattr(recordings, column).to_pylist()
        assert values[::2] == getattr(parse(*names), column).to_pylist()
        assert values[1::2] == [None] * 400


@settings(max_examples=60)
@given(st.integers(0, 99_999_999))
def test_every_date(number: int) -> None:
    """Eight digits are a date exactly where ``datetime`` says so."""
    text = f"{number:08d}"
    try:
        day = datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        assert facts(f"{text}T000000Z_A_1.flac") is None
    else:
        found = facts(f"{text}T000000Z_A_1.flac")
        assert found is not None
        assert found["file_timestamp"] == day


NAME_TEXT = st.text(
    st.one_of(st.sampled_from("aZ09-_. +"), st.characters(codec="utf-8", exclude_characters="/")),
    min_size=1,
    max_size=30,
)


@st.composite
def filename_parts(draw: st.DrawFn) -> Parts:
    """Any parts whose name can be read in one way only."""
    subsite = draw(st.sampled_from([None, *SUBSITES]))
    name = draw(NAME_TEXT)
    if subsite is None:
        # What would belong to the subsite or to the id if it stood at the end.
        name = re.sub(r"(-(Wet|Dry)-[AB])?(_\d+)*$", "", name) + "x"
    start = draw(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)))  # noqa: DTZ001
    hours, minutes = draw(st.integers(0, 23)), draw(st.integers(0, 59))
    zone = draw(st.sampled_from(["Z", f"+{hours:02d}{minutes:02d}", f"-{hours:02d}{minutes:02d}"]))
    return Parts(
        folder=draw(st.sampled_from(["", "/", "a/", "b c/d.e/", "\N{SNOWMAN}/", "a_1.flac/"])),
        site=draw(st.none() | st.integers(0, 999_999_999)),
        start=start.replace(microsecond=0),
        zone=zone,
        name=name,
        subsite=subsite,
        number=draw(st.integers(0, 10**18 - 1)),
        tail=draw(st.sampled_from(["", "_0000_5857", "_12345_99999"])),
        extension=draw(st.sampled_from(["flac", "wav", "MP3", "wv"])),
    )


@settings(max_examples=60)
@given(filename_parts())
def test_parts_come_back(parts: Parts) -> None:
    """A name put together from parts parses into these parts."""
    assert facts(parts.text()) == parts.expected()

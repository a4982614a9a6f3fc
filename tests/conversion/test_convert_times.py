"""When recordings start: what names and the sites table tell, and what is said to be a guess."""

from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import a20_parquet
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.windows.name_sketch import MOST_HASHES
from tests.helpers.conversions import digests, use_tiny_memory
from tests.helpers.shards import make_record, random_tensor, write_shard

PATTERN = r"(?P<site_name>[^/]+)/(?P<date>\d{8})_(?P<time>\d{6})"
LOCAL = ["Ridge/20230501_053000.wav", "Ridge/20230501_063000.wav", "Creek/20230501_053000.wav"]
ZONED = "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac"


def shard_of(path: Path, names: list[str]) -> Path:
    """A shard with one record of two windows for each name."""
    return write_shard(
        path,
        [make_record(random_tensor((2, 1, 8), seed), name) for seed, name in enumerate(names)],
    )


def rows(dataset: Path) -> pl.DataFrame:
    """The first window of each recording."""
    frame = a20_parquet.scan(dataset).filter(pl.col("recording_offset_in_file") == 0)
    return frame.sort("filename").collect()


def guesses(conversion: a20_parquet.Conversion) -> list[str]:
    return [each.text for each in conversion.assumptions if each.about == "time zone"]


@pytest.mark.parametrize("decoder", DecoderName)
def test_local_times_without_a_zone_are_said(decoder: DecoderName, tmp_path: Path) -> None:
    """Each recording counts once, in whatever shards it is, and ``info`` remembers."""
    shard_of(tmp_path / "in" / "a-00000-of-00002", [*LOCAL[:2], ZONED, "bad.wav"])
    shard_of(tmp_path / "in" / "a-00001-of-00002", LOCAL[1:])
    options: dict[str, Any] = {"filename_pattern": PATTERN, "decoder": decoder}
    conversion = a20_parquet.convert(tmp_path / "in", tmp_path / "out", **options)
    [said] = guesses(conversion)
    assert said.startswith("UTC, for 3 recordings whose names tell a time without an offset")
    assert "--filename-pattern" in said
    assert "--sites" in said
    assert a20_parquet.info(tmp_path / "out").assumptions == conversion.assumptions
    on_disk = a20_parquet.convert(
        tmp_path / "in", tmp_path / "runs", **options, memory="40MB", workers=2, row_group_rows=64
    )
    assert on_disk.assumptions == conversion.assumptions
    only = a20_parquet.convert(tmp_path / "in", tmp_path / "one", **options, site=["Creek"])
    assert guesses(only)[0].startswith("UTC, for 1 recording whose")


def test_what_is_said_outlives_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversion that goes on after its first pass says the same, and writes the same bytes."""
    shard_of(tmp_path / "in" / "a-00000-of-00002", LOCAL[:2])
    shard_of(tmp_path / "in" / "a-00001-of-00002", LOCAL[1:])
    use_tiny_memory(monkeypatch)
    options: dict[str, Any] = {"filename_pattern": PATTERN, "decoder": "wire"}
    whole = a20_parquet.convert(tmp_path / "in", tmp_path / "whole", **options)
    assert whole.runs_on_disk

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(import_module("a20_parquet.conversion.convert"), "merge_runs", die)
        with pytest.raises(KeyboardInterrupt):
            a20_parquet.convert(tmp_path / "in", tmp_path / "out", **options)
    resumed = a20_parquet.convert(tmp_path / "in", tmp_path / "out", **options)
    assert resumed.is_resumed
    assert guesses(resumed) == guesses(whole) != []
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_nothing_is_said_where_the_zone_is_known(tmp_path: Path) -> None:
    """A zone, a clock that shows UTC, or an offset in every name leaves nothing to guess."""
    shard = shard_of(tmp_path / "a-00000-of-00001", [*LOCAL, ZONED])
    sites = tmp_path / "sites.csv"
    sites.write_text("name,time_zone,clock\nRidge,Australia/Brisbane,\nCreek,,UTC\n")
    conversion = a20_parquet.convert(
        shard, tmp_path / "out", filename_pattern=PATTERN, sites=sites, decoder="wire"
    )
    assert guesses(conversion) == []
    assert rows(tmp_path / "out").select("filename", "window_start").rows() == [
        (LOCAL[2], datetime(2023, 5, 1, 5, 30, tzinfo=UTC)),
        (LOCAL[0], datetime(2023, 4, 30, 19, 30, tzinfo=UTC)),
        (LOCAL[1], datetime(2023, 4, 30, 20, 30, tzinfo=UTC)),
        (ZONED, datetime(2020, 10, 13, 14, 30, tzinfo=UTC)),
    ]
    plain = a20_parquet.convert(shard, tmp_path / "plain", decoder="wire")
    assert guesses(plain) == []


def test_very_many_recordings_are_about_so_many(tmp_path: Path) -> None:
    """Beyond what is counted exactly the number is said to be near."""
    tensor = random_tensor((1, 1, 2))
    names = [f"R/20230501_{i // 3600:02}{i // 60 % 60:02}{i % 60:02}" for i in range(5_000)]
    shard = write_shard(tmp_path / "a-00000-of-00001", [make_record(tensor, n) for n in names])
    assert len(names) > MOST_HASHES
    [said] = guesses(
        a20_parquet.convert(shard, tmp_path / "out", filename_pattern=PATTERN, decoder="wire")
    )
    assert said.startswith("UTC, for about ")
    assert abs(int(said.split()[3].replace(",", "")) - len(names)) < 300


@pytest.mark.parametrize("clock", ["local", "UTC"])
def test_a_wrong_offset_is_overridden(clock: str, tmp_path: Path) -> None:
    """``clock`` in the sites table counts more than ``+0000``, also to who verifies."""
    names = [f"20230501T233000{offset}_Ridge_7.flac" for offset in ("+0000", "Z")]
    shard = shard_of(tmp_path / "a-00000-of-00001", names)
    sites = tmp_path / "sites.csv"
    sites.write_text(f"name,time_zone,clock\nRidge,Australia/Brisbane,{clock}\n")
    out = tmp_path / "out"
    a20_parquet.convert(shard, out, sites=sites, decoder="wire")
    start, day = {
        "local": (datetime(2023, 5, 1, 13, 30, tzinfo=UTC), "2023-05-01"),
        "UTC": (datetime(2023, 5, 1, 23, 30, tzinfo=UTC), "2023-05-02"),
    }[clock]
    found = rows(out).select("window_start", pl.col("date").cast(pl.String), "utc_offset_minutes")
    assert found.rows() == [(start, day, 600)] * 2
    assert a20_parquet.verify(out, source=shard, decoder="wire").problems == ()


def test_names_with_fractions_start_and_end(tmp_path: Path) -> None:
    """The start is read to its fraction of a second, and never the end or a position instead."""
    names = [
        "SiteA/S20240815T091156.982648+1000_E20240815T091251.967555+1000_-12.34567+078.98102.wav",
        "SiteA/S20210205T035946676+1000_E20210205T040446501+1000_-08.0000+000.0000.wav",
    ]
    shard = shard_of(tmp_path / "a-00000-of-00001", names)
    out = tmp_path / "out"
    pattern = r"(?P<site_name>[^/]+)/S(?P<date>\d{8})T(?P<time>\d{6}\.?\d*)(?P<offset>[+-]\d{4})_E"
    conversion = a20_parquet.convert(shard, out, filename_pattern=pattern, decoder="wire")
    assert guesses(conversion) == []
    frame = a20_parquet.scan(out).sort("window_start").collect()
    assert frame["window_start"].to_list() == [
        datetime(2021, 2, 4, 17, 59, 46, 676_000, tzinfo=UTC),
        datetime(2021, 2, 4, 17, 59, 51, 676_000, tzinfo=UTC),
        datetime(2024, 8, 14, 23, 11, 56, 982_648, tzinfo=UTC),
        datetime(2024, 8, 14, 23, 12, 1, 982_648, tzinfo=UTC),
    ]
    assert frame["file_seconds_since_midnight"].unique().sort().to_list() == [14_386, 33_116]
    assert a20_parquet.verify(out, source=shard, decoder="wire").problems == ()
    plain = a20_parquet.convert(shard, tmp_path / "x", unknown_site="Elsewhere", decoder="wire")
    assert guesses(plain) == []
    assert rows(tmp_path / "x")["window_start"].to_list() == [None, None]


def test_names_as_servers_hand_them_out(tmp_path: Path) -> None:
    """Every extension of a recording is taken, and numbers after the id shift no time."""
    start = "20160518T020000+1000_AVA_4807671"
    extensions = ["wave", "wav", "ogg", "webm", "mpga", "m4a", "aac", "OGG", "Wave"]
    names = [
        *(f"{start}.{extension}" for extension in extensions),
        "20160518T020000Z_AVA_4807671.flac",
        "20160518T020000+1000_A-Site-With-Ünïcode_4807671.flac",
        "20160518T020000+1000_Site-Wet-A_4807671_30_60.flac",
    ]
    shard = shard_of(tmp_path / "a-00000-of-00001", names)
    conversion = a20_parquet.convert(shard, tmp_path / "out", decoder="wire")
    assert conversion.quarantine == {}
    found = rows(tmp_path / "out")
    assert found["filename"].to_list() == sorted(names)
    assert set(found["file_seq_id"]) == {4_807_671}
    assert set(found["window_start"].dt.hour()) == {16, 2}

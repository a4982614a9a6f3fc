"""Selections that keep no window at all: what is said, and what lies there afterwards."""

import sys
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.errors import UsageError
from a20_parquet.query.info import info
from a20_parquet.verification.verify import verify
from tests.helpers.command_line import run
from tests.helpers.conversions import digests, use_tiny_memory
from tests.helpers.progress import Said
from tests.helpers.shards import make_record, random_tensor, write_shard


def name(site: int, day: int = 14) -> str:
    """A recording of a site, on a day of October 2020."""
    return f"site_{site:04d}/202010{day}T235950+1030_A_{site}.flac"


def shard(path: Path, *names: str, channels: int = 2) -> Path:
    """A shard with a record of three windows, from the name's day into the next, of each name."""
    records = [
        make_record(random_tensor((3, channels, 8), number), each, 0.0)
        for number, each in enumerate(names)
    ]
    return write_shard(path, records)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Two shards of thirty sites."""
    names = [name(site, 14 + site % 3) for site in range(285, 315)]
    shard(tmp_path / "in" / "a-00000-of-00002", *names[::2])
    shard(tmp_path / "in" / "a-00001-of-00002", *names[1::2])
    return tmp_path / "in"


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"site": ["site_0385"]},
        "site is site_0385, and the shards have 30 sites: site_0285, site_0305, site_0308, ",
    ),
    ({"site": ["284", "x"]}, "site is 284,x, and the shards have 30 sites: "),
    (
        {"from_date": "2030-01-01"},
        "from_date is 2030-01-01, and the windows start from 2020-10-14 to 2020-10-17. Nothing",
    ),
    (
        {"from_date": "2010-01-01", "until_date": "2010-12-31", "site": ["286"]},
        "and until_date is 2010-12-31, and the windows start from 2020-10-15 to 2020-10-16. No",
    ),
    ({"channels": "2,7"}, "channels is 2,7, and records have 0 to 1. Nothing"),
    ({"until_date": "2020-10-13", "channels": "1"}, "from 2020-10-14 to 2020-10-17. Nothing"),
    ({"site": ["nowhere"], "from_date": "2030-01-01"}, "site is nowhere, and the shards have 30 "),
]
"""Options, and what is said of them."""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["tensorflow", "wire", "tiny"])
@pytest.mark.parametrize("number", range(len(WRONG)))
def test_what_there_is_is_said(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, how: str
) -> None:
    """The same whatever memory and decoder; nothing is left, and other options work then."""
    options, told = WRONG[number]
    if how == "tiny":
        use_tiny_memory(monkeypatch)
    else:
        options = {**options, "decoder": how}
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    for folder in (scratch, None):
        with pytest.raises(UsageError, match=r"^none of 180 windows is in the sel") as caught:
            a20_parquet.convert(shards, out, scratch=folder, **options)
        assert told in str(caught.value)
        assert not out.exists()
    assert not scratch.exists() or not list(scratch.iterdir())
    assert a20_parquet.convert(shards, out, site=["285"]).new_windows == 6


def test_many_sites(tmp_path: Path) -> None:
    """Twenty are named, those first that are most like the wanted one, and how many more."""
    names = [f"2020101{n % 10}T010000Z_Ridge-{n}_1.flac" for n in range(99)]
    path = shard(tmp_path / "a-00000-of-00001", *names, "20201010T010000Z_Arkaba-Dry-A_1.flac")
    with pytest.raises(UsageError) as caught:
        a20_parquet.convert(path, tmp_path / "out", site=["arkaba"])
    text = str(caught.value)
    assert "the shards have 100 sites: Arkaba-Dry-A, Ridge-" in text
    assert text.count("Ridge-") == 19
    assert "and 80 more. Nothing" in text


def test_too_many_sites_to_remember(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is noticed is bounded, and said to be."""
    monkeypatch.setattr("a20_parquet.windows.selection.MOST_SITES", 25)
    shard(tmp_path / "in" / "a-00000-of-00002", *map(name, range(100, 140)))
    shard(tmp_path / "in" / "a-00001-of-00002", *map(name, range(120, 160)))
    with pytest.raises(UsageError, match=r"25 sites: .* and more than 5 more\. Nothing"):
        a20_parquet.convert(tmp_path / "in", tmp_path / "out", site=["x"])


def test_recordings_without_a_date(tmp_path: Path) -> None:
    """Where days are asked for and none has a date that is said."""
    path = shard(tmp_path / "a-00000-of-00001", "x.wav", "y.wav")
    with pytest.raises(UsageError, match="until_date is 2030-01-01, and 12 windows have no date"):
        a20_parquet.convert(path, tmp_path / "out", unknown_site="Lab", until_date="2030-01-01")


def test_what_is_not_the_selections_fault(tmp_path: Path) -> None:
    """Records without windows and those in quarantine are no error; these are named beside."""
    empty = write_shard(
        tmp_path / "a-00000-of-00001", [make_record(random_tensor((0, 1, 8)), name(285))]
    )
    assert a20_parquet.convert(empty, tmp_path / "empty", site=["x"]).totals.windows == 0
    bad = shard(tmp_path / "b-00000-of-00001", "x.wav")
    assert a20_parquet.convert(bad, tmp_path / "bad", dims=8, site=["x"]).quarantine
    both = shard(tmp_path / "c-00000-of-00001", "x.wav", name(285))
    with pytest.raises(
        UsageError, match=r"\. Besides, records cannot be converted: 1 bad_filename"
    ):
        a20_parquet.convert(both, tmp_path / "both", site=["x"])


@pytest.mark.parametrize("memory", ["large", "tiny"])
def test_a_site_of_several(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: str
) -> None:
    """One that no recording is of is said, one whose windows are left out is none."""
    if memory == "tiny":
        use_tiny_memory(monkeypatch)
    wanted = ["285", "site_0286", "site_0999", "Nowhere"]
    done = a20_parquet.convert(shards, tmp_path / "out", site=wanted, until_date="2020-10-15")
    assert (done.new_windows, done.missing_sites) == (10, ("site_0999", "Nowhere"))
    assert a20_parquet.convert(shards, tmp_path / "all").missing_sites == ()


@pytest.mark.parametrize("memory", ["large", "tiny"])
def test_a_site_of_which_all_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: str
) -> None:
    """There are recordings of a site whose windows the dataset has already."""
    if memory == "tiny":
        use_tiny_memory(monkeypatch)
    wanted: dict[str, Any] = {"site": ["285", "x"], "drop_duplicates": True}
    out = tmp_path / "out"
    a20_parquet.convert(shard(tmp_path / "a-00000-of-00001", name(285)), out, **wanted)
    again = a20_parquet.convert(
        shard(tmp_path / "b-00000-of-00001", name(285), name(286)), out, **wanted
    )
    assert (again.new_windows, again.missing_sites) == (0, ("x",))


def test_an_append(shards: Path, tmp_path: Path) -> None:
    """A typo is an error and leaves the dataset; a selection that has found windows is none."""
    out = tmp_path / "out"
    first, second = sorted(shards.iterdir())
    a20_parquet.convert(first, out, site=["285"])
    before = digests(out)
    for options in ({"site": ["x"]}, {"site": ["285"], "from_date": "2030-01-01"}):
        with pytest.raises(UsageError, match="is in the selection"):
            a20_parquet.convert(shards, out, **options)
        assert digests(out) == before
    # The second shard has nothing of the site, which the first one has.
    added = a20_parquet.convert(shards, out, site=["285"])
    assert (added.new_shards, added.new_windows, added.left_out) == (1, 0, 90)
    assert a20_parquet.convert(second, out, site=["285"]).held_shards == 1
    assert verify(out, shards).is_good


def test_quarantine_that_is_tried_again(tmp_path: Path) -> None:
    """Likewise: what lies there stays."""
    out = tmp_path / "out"
    a20_parquet.convert(shard(tmp_path / "a-00000-of-00001", name(285), "x.wav"), out)
    before = digests(out)
    with pytest.raises(UsageError, match="site is x, and the shards have 1 site: Lab"):
        a20_parquet.convert(out / "quarantine", out, unknown_site="Lab", site=["x"])
    assert digests(out) == before
    assert a20_parquet.convert(out / "quarantine", out, unknown_site="Lab").quarantine == {}


@pytest.mark.parametrize("memory", ["large", "tiny"])
def test_a_dataset_that_would_be_overwritten(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: str
) -> None:
    """It stays."""
    out = tmp_path / "out"
    a20_parquet.convert(shards, out)
    if memory == "tiny":
        use_tiny_memory(monkeypatch)
    before = digests(out)
    with pytest.raises(UsageError, match="is in the selection"):
        a20_parquet.convert(shards, out, overwrite=True, site=["x"])
    assert digests(out) == before
    assert a20_parquet.convert(shards, out).held_shards == 2


def test_stopped_between_the_passes(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion that goes on knows what there is from the units that are done."""
    use_tiny_memory(monkeypatch)
    out = tmp_path / "out"

    def die(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["a20_parquet.conversion.convert"], "check_some_kept", die)
        with pytest.raises(KeyboardInterrupt):
            a20_parquet.convert(shards, out, site=["x"])
    assert (out / "conversion" / "plan.json").exists()
    said = Said()
    with pytest.raises(UsageError, match=r"the shards have 30 sites: .* and 10 more\. Nothing"):
        a20_parquet.convert(shards, out, site=["x"], progress=said)
    assert "going on with an unfinished conversion: 2 of 2 shards are sorted" in said.lines
    assert not list(out.iterdir())
    assert a20_parquet.convert(shards, out, site=["285"]).new_windows == 6


def test_the_command(
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It exits with 2 and one line that names the option as it was typed."""
    out = tmp_path / "out"
    code, text, err = run(monkeypatch, capsys, "convert", shards, out, "--site", "site_0385")
    assert (code, text) == (2, "")
    assert "--site is site_0385, and the shards have 30 sites: site_0285" in err.splitlines()[-1]
    assert "unfinished" not in err
    assert not out.exists()
    options = ["--site", "285", "--site", "x"]
    code, _, err = run(monkeypatch, capsys, "convert", shards, out, *options)
    assert (code, info(out).windows) == (0, 6)
    assert "not found: no recording is of --site x" in err.splitlines()


@pytest.mark.parametrize(
    ("site", "told"),
    [
        ("", "a recorder's whole name"),
        (" ", "a recorder's whole name"),
        ("site_02*", "a recorder's whole name"),
        ("285,286", "once for each"),
        ("site_0285, 286", "once for each"),
        ("285,", "once for each"),
        ("1234567890", "9 digits at the most"),
        (-1, "9 digits at the most"),
    ],
)
def test_a_site_that_no_recording_can_have(
    shards: Path, tmp_path: Path, site: str | int, told: str
) -> None:
    """It is refused before any shard is opened, not after the first pass over all of them."""
    with pytest.raises(UsageError, match=rf"site: .*{told}"):
        a20_parquet.convert(shards, tmp_path / "out", site=[285, site])
    assert not (tmp_path / "out").exists()

"""Conversions of shards that a dataset holds already, with other options than it was made with."""

import json
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.errors import UsageError
from a20_parquet.verification.verify import verify
from tests.helpers.command_line import run
from tests.helpers.conversions import digests
from tests.helpers.progress import Said
from tests.helpers.shards import make_record, random_tensor, write_shard

SITES = [285, 286, 287]
PATTERN = r"(?P<site_name>[^/]+)/(?P<date>\d{8})_(?P<time>\d{6})\.WAV"
UNREADABLE = "Ridge/20230501_053000.WAV"
TABLE = "name,site_id,time_zone\nRidge,77,Australia/Sydney\n"


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Three shards, each with a record of every site on another day and one that has no name."""
    paths = []
    for number in range(3):
        names = [
            f"site_{site:04d}/202010{14 + number}T010000+1030_A_{site}.flac" for site in SITES
        ] + [UNREADABLE.replace("Ridge", f"Ridge{number}" if number else "Ridge")]
        records = [
            make_record(random_tensor((2, 1, 8), 10 * number + n), name)
            for n, name in enumerate(names)
        ]
        paths.append(write_shard(tmp_path / "in" / f"a-{number:05d}-of-00003", records))
    return paths


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A sites table."""
    path = tmp_path / "sites.csv"
    path.write_text(TABLE)
    return path


OTHER: list[tuple[dict[str, Any], str]] = [
    ({"site": ["site_0285"]}, "site is site_0285, was not given"),
    ({"from_date": "2020-10-15"}, "from_date is 2020-10-15, was not given"),
    ({"until_date": "2020-10-15"}, "until_date is 2020-10-15, was not given"),
    ({"unknown_site": "Lab"}, "unknown_site is Lab, was not given"),
    ({"filename_pattern": PATTERN}, "filename_pattern is (?P<site_name>"),
    ({"drop_duplicates": True}, "drop_duplicates is True, was not given"),
    ({"sites": True}, "sites is the table with fingerprint "),
]


def given(options: dict[str, Any], table: Path) -> dict[str, Any]:
    """Put the sites table in."""
    return {**options, "sites": table} if "sites" in options else options


@pytest.mark.parametrize(("options", "told"), OTHER, ids=[str(options) for options, _ in OTHER])
def test_an_option_that_is_new(
    shards: list[Path], table: Path, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    """Where nothing else is new it is refused, named with the ways out, and nothing changes."""
    out = tmp_path / "out"
    a20_parquet.convert(shards, out)
    before = digests(out)
    with pytest.raises(UsageError, match="already, converted with other options") as caught:
        a20_parquet.convert(shards, out, **given(options, table))
    for expected in (told, "name another folder", "overwrite=True"):
        assert expected in str(caught.value)
    assert digests(out) == before
    # It is another dataset where it is converted anew.
    a20_parquet.convert(shards, out, overwrite=True, **given(options, table))
    again = a20_parquet.convert(shards, out, **given(options, table))
    assert (again.new_shards, again.held_shards, again.other_options) == (0, 3, ())


@pytest.mark.parametrize(("options", "told"), OTHER, ids=[str(options) for options, _ in OTHER])
def test_an_option_that_is_left_out(
    shards: list[Path], table: Path, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    """Likewise; but the sites table, which the dataset keeps, need not be given again."""
    out = tmp_path / "out"
    a20_parquet.convert(shards, out, **given(options, table))
    if "sites" in options:
        assert a20_parquet.convert(shards, out).held_shards == 3
        return
    name = told.partition(" ")[0]
    with pytest.raises(UsageError, match=f"{name} is not given, was ") as caught:
        a20_parquet.convert(shards, out)
    assert "Give the options that they were converted with" in str(caught.value)
    assert a20_parquet.convert(shards[0], out, **given(options, table)).held_shards == 1


def test_options_that_mean_the_same(shards: list[Path], tmp_path: Path) -> None:
    """Sites in another order, twice, or as numbers are the same sites."""
    out = tmp_path / "out"
    a20_parquet.convert(shards, out, site=["site_0285", "286"])
    for site in (["286", "285"], ["site_0286", "site_0285", "285"], [286, 285]):
        assert a20_parquet.convert(shards, out, site=site).held_shards == 3
    with pytest.raises(UsageError, match="site is 285, was site_0285,286"):
        a20_parquet.convert(shards, out, site=[285])


@pytest.mark.parametrize("content", [None, "", "name,site_id\nRidge,x\n"])
def test_a_sites_table_that_cannot_be_read(
    shards: list[Path],
    tmp_path: Path,
    content: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is an error, whether something is left to convert or not."""
    out, table = tmp_path / "out", tmp_path / "other.csv"
    if content is not None:
        table.write_text(content)
    a20_parquet.convert(shards[:2], out)
    before = digests(out)
    for sources in (shards[:2], shards):
        code, text, err = run(monkeypatch, capsys, "convert", *sources, out, "--sites", table)
        assert (code, text) == (2, "")
        assert str(table) in err
    assert digests(out) == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"filename_pattern": "("}, "filename pattern"),
        ({"unknown_site": "-"}, "unknown site"),
        ({"from_date": "2021-01-01", "until_date": "2020-01-01"}, "earlier"),
    ],
)
def test_options_that_make_no_sense(
    shards: list[Path], tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    """They are errors on a complete dataset too."""
    a20_parquet.convert(shards, tmp_path / "out")
    with pytest.raises(UsageError, match=told):
        a20_parquet.convert(shards, tmp_path / "out", **options)


def test_new_shards_with_other_options(shards: list[Path], table: Path, tmp_path: Path) -> None:
    """They are converted; how the others were is said, and the same command finds nothing to do."""
    out = tmp_path / "out"
    a20_parquet.convert(shards[:1], out, site=["285"])
    options: dict[str, Any] = {"site": ["286"], "from_date": "2020-10-15", "sites": table}
    said = Said()
    second = a20_parquet.convert(shards[:2], out, progress=said, **options)
    assert (second.new_shards, second.new_windows, second.left_out) == (1, 2, 4)
    (line,) = second.other_options
    assert line in said.lines
    assert line.startswith("the dataset keeps 1 shard as converted before, with other options: ")
    assert "--site is 286, was 285" in line
    assert "--from is 2020-10-15, was not given" in line
    assert "--sites is the table with fingerprint" in line
    before = digests(out)
    again = a20_parquet.convert(shards[:2], out, **options)
    assert (again.new_shards, again.held_shards, again.other_options) == (0, 2, (line,))
    # Each shard alone is compared with its own conversion.
    assert a20_parquet.convert(shards[0], out, site=["285"]).other_options == ()
    for sources, other in ((shards[0], options), (shards[1], {"site": ["285"]}), (shards[:2], {})):
        with pytest.raises(UsageError, match="already, converted with other options"):
            a20_parquet.convert(sources, out, **other)
    assert digests(out) == before
    assert verify(out, shards[:2]).is_good


def test_many_different_conversions(shards: list[Path], tmp_path: Path) -> None:
    """Only the first few are told."""
    out = tmp_path / "out"
    for number in range(5):
        record = make_record(
            random_tensor((1, 1, 8), number), f"site_0285/2020101{number}T010000Z_A_1.flac"
        )
        other = write_shard(tmp_path / f"b-{number:05d}-of-00005", [record])
        a20_parquet.convert(other, out, until_date=f"2021-01-0{1 + number}")
    found = a20_parquet.convert(shards, out)
    assert len(found.other_options) == 4
    assert "a20-parquet info" in found.other_options[-1]
    with pytest.raises(UsageError, match=r"1 shard: .*; 3 shards: |3 shards: .*; 1 shard: "):
        a20_parquet.convert([*shards, tmp_path / "b-00000-of-00005"], out, site=["286"])


def test_a_sites_table_that_has_grown(shards: list[Path], table: Path, tmp_path: Path) -> None:
    """Shards are compared with the table of their own conversion."""
    out = tmp_path / "out"
    options: dict[str, Any] = {"filename_pattern": PATTERN, "sites": table}
    a20_parquet.convert(shards[0], out, **options)
    assert a20_parquet.convert(shards[0], out, **options).new_shards == 0
    table.write_text(TABLE + "Ridge1,78,Australia/Perth\n")
    with pytest.raises(UsageError, match=r"sites is the table with fingerprint .*, was the table"):
        a20_parquet.convert(shards[0], out, **options)
    assert a20_parquet.convert(shards[1], out, **options).new_windows == 8
    assert a20_parquet.convert(shards[:2], out, **options).new_shards == 0
    table.write_text(TABLE)
    assert a20_parquet.convert(shards[0], out, **options).new_shards == 0
    with pytest.raises(UsageError, match=r"options: site is 77, was not given\. "):
        a20_parquet.convert(shards[:2], out, **{**options, "site": ["77"]})
    table.write_text("name,site_id\nRidge,5\n")
    with pytest.raises(UsageError, match=r"the sites table says .* of 'Ridge', but the dataset's"):
        a20_parquet.convert(shards[0], out, **options)


def test_quarantine_that_is_tried_again(shards: list[Path], tmp_path: Path) -> None:
    """That is what names are for; afterwards either set of options finds nothing to do."""
    out = tmp_path / "out"
    a20_parquet.convert(shards, out)
    said = Said()
    retried = a20_parquet.convert(out / "quarantine", out, unknown_site="Lab", progress=said)
    assert (retried.new_windows, retried.quarantine, retried.other_options) == (6, {}, ())
    assert not any("other options" in line for line in said.lines)
    before = digests(out)
    repeated: list[dict[str, Any]] = [{}, {"unknown_site": "Lab"}]
    for options in repeated:
        again = a20_parquet.convert(shards, out, **options)
        assert (again.new_shards, again.held_shards, again.retried_shards) == (0, 3, 0)
    with pytest.raises(UsageError, match="unknown_site is Other, was not given"):
        a20_parquet.convert(shards, out, unknown_site="Other")
    assert digests(out) == before


def test_quarantine_of_a_part(shards: list[Path], tmp_path: Path) -> None:
    """A selection that the other shards were made with, and that is not given now, is said."""
    out = tmp_path / "out"
    a20_parquet.convert(shards, out, site=["285"])
    retried = a20_parquet.convert(out / "quarantine", out, unknown_site="Lab")
    assert retried.new_windows == 6
    (line,) = retried.other_options
    assert line.endswith("with other options: --site is not given, was 285")


def test_quarantine_of_a_dataset_of_two_selections(shards: list[Path], tmp_path: Path) -> None:
    """Once it was tried again, the command that added shards last still finds nothing to do.

    What was selected of quarantine says nothing of the shards.
    """
    out = tmp_path / "out"
    a20_parquet.convert(shards[0], out, site=["285"])
    a20_parquet.convert(shards, out, site=["286"])
    a20_parquet.convert(out / "quarantine", out, unknown_site="Lab")
    assert a20_parquet.convert(shards, out, site=["286"]).held_shards == 3
    with pytest.raises(UsageError, match="site is 285, was 286"):
        a20_parquet.convert(shards, out, site=["285"])
    with pytest.raises(UsageError, match="unknown_site is Lab, was not given; site is not given"):
        a20_parquet.convert(shards, out, unknown_site="Lab")


@pytest.mark.parametrize(
    "selection",
    [
        {"site": ["Lab"]},
        {"until_date": "2023-05-01", "filename_pattern": PATTERN},
        {"drop_duplicates": True},
    ],
)
def test_a_part_of_quarantine(
    shards: list[Path], tmp_path: Path, selection: dict[str, Any]
) -> None:
    """What is selected of it is not selected of the shards; the way to the rest is said."""
    out = tmp_path / "out"
    a20_parquet.convert(shards, out)
    with pytest.raises(UsageError, match="unknown_site is Lab") as caught:
        a20_parquet.convert(shards, out, unknown_site="Lab")
    assert f"only what could not be converted before: a20-parquet convert {out}/quarantine" in str(
        caught.value
    )
    with pytest.raises(UsageError, match="site is 285") as caught:
        a20_parquet.convert(shards, out, site=["285"])
    assert "out/quarantine" not in str(caught.value)
    options = {"unknown_site": "Lab", **selection}
    a20_parquet.convert(out / "quarantine", out, **options)
    name = next(iter(selection))
    with pytest.raises(UsageError, match=f"{name} is "):
        a20_parquet.convert(shards, out, **options)
    assert a20_parquet.convert(shards, out).held_shards == 3


def test_an_append_that_was_stopped(shards: list[Path], tmp_path: Path) -> None:
    """It is refused with other options, and goes on with its own."""
    out = tmp_path / "out"
    a20_parquet.convert(shards[0], out)
    bad = write_shard(tmp_path / "in" / "b-00000-of-00001", [b"no record"])
    options: dict[str, Any] = {"site": ["286"], "memory": "10MB"}
    with pytest.raises(a20_parquet.errors.RecordError):
        a20_parquet.convert([*shards, bad], out, max_errors=2, **options)
    for sources in (shards, [*shards, bad], shards[0]):
        with pytest.raises(UsageError, match="unfinished conversion of other inputs or options"):
            a20_parquet.convert(sources, out)
    done = a20_parquet.convert([*shards, bad], out, **options)
    assert (done.is_resumed, done.new_shards, len(done.other_options)) == (True, 3, 1)
    assert a20_parquet.convert([*shards, bad], out, **options).new_shards == 0


def test_the_command(
    shards: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It exits with 2, and prints how held shards were converted to stderr."""
    out = tmp_path / "out"
    assert run(monkeypatch, capsys, "convert", shards[0], out)[0] == 3
    code, text, err = run(monkeypatch, capsys, "convert", shards[0], out, "--site", "286")
    assert (code, text) == (2, "")
    assert "--site is 286, was not given" in err
    code, text, err = run(monkeypatch, capsys, "convert", *shards, out, "--site", "286")
    assert code == 3
    assert err.count("the dataset keeps 1 shard as converted before") == 2
    code, text, _ = run(monkeypatch, capsys, "convert", *shards, out, "--site", "286", "--json")
    assert code == 3
    assert len(json.loads(text)["other_options"]) == 1

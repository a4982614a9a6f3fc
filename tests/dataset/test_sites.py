"""Sites tables in files: CSV, JSON and Parquet, read and written."""

import io
import json
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import fsspec
import polars as pl
import pyarrow.parquet as pq
import pytest

from a20_parquet.dataset.sites import KeptSites, kept_content, read_sites
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.windows.filenames.site_table import SCHEMA, SiteTable, merged

ROWS: list[dict[str, Any]] = [
    {
        "name": "Arkaba-Dry-A",
        "site_id": 285,
        "time_zone": "Australia/Adelaide",
        "latitude": -31.7,
        "longitude": 138.25,
        "clock": None,
    },
    {
        "name": "Kl9",
        "site_id": None,
        "time_zone": None,
        "latitude": None,
        "longitude": None,
        "clock": None,
    },
]
TABLE = SiteTable(pl.DataFrame(ROWS, schema=SCHEMA))


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


CSV = "name,site_id,time_zone,latitude,longitude\n"
ARKABA = "Arkaba-Dry-A,285,Australia/Adelaide,-31.7,138.25\n"


BACKWARDS = "Arkaba-Dry-A,138.25,-31.7,Australia/Adelaide,285.0"


@pytest.mark.parametrize(
    "content",
    [
        CSV + ARKABA + "Kl9,,,,\n",
        "\ufeff" + CSV + ARKABA + "Kl9,,,,\n",
        CSV.replace(",", " , ") + ARKABA.replace(",", ", ") + ",,,,\n" + "Kl9,,,,",
        (CSV + ARKABA + "Kl9,,,,\n").replace("\n", "\r\n"),
        'x,name,longitude,latitude,time_zone,site_id\n"a, ""b""",' + BACKWARDS + "\n,Kl9,,,,\n",
    ],
)
def test_csv(content: str, tmp_path: Path) -> None:
    """CSV as spreadsheets and pandas write it, with columns in any order and others beside."""
    assert read_sites(write(tmp_path / "sites.CSV", content)) == TABLE


def test_json(tmp_path: Path) -> None:
    """A list of objects, which may leave values out and write numbers as text."""
    full = write(tmp_path / "full.json", json.dumps(ROWS))
    texts = [{**ROWS[0], "site_id": "285", "latitude": "-31.7", "more": [1]}, {"name": "Kl9"}]
    assert read_sites(full) == read_sites(write(tmp_path / "text.json", json.dumps(texts))) == TABLE
    assert len(read_sites(write(tmp_path / "empty.json", "[]")).frame) == 0


def test_json_map(tmp_path: Path) -> None:
    """A plain map from names to ids, as text, numbers or null."""
    path = write(tmp_path / "map.json", '{"b": "0286", "a": 285, "c": null, "d": ""}')
    found = read_sites(path).frame
    assert found["name"].to_list() == ["b", "a", "c", "d"]
    assert found["site_id"].to_list() == [286, 285, None, None]
    assert found.schema == SCHEMA


def test_real_map(real_data: Path) -> None:
    """The A2O's own map has 340 recorders, all with ids."""
    found = read_sites(real_data / "a2o-sites.json")
    known = json.loads((real_data / "a2o-sites.json").read_text())
    pairs = zip(found.frame["name"], found.frame["site_id"], strict=True)
    assert dict(pairs) == {name: int(number) for name, number in known.items()}
    assert len(known) == 340


def test_parquet_of_others(tmp_path: Path) -> None:
    """Parquet with other types and columns, such as pandas writes."""
    frame = pl.DataFrame({"x": [1, 2], "site_id": [285.0, None], "name": ["Arkaba-Dry-A", "Kl9"]})
    frame.write_parquet(tmp_path / "a=b.parquet")
    found = read_sites(tmp_path / "a=b.parquet")
    assert found.frame["site_id"].to_list() == [285, None]


def test_kept_and_read_back(tmp_path: Path) -> None:
    """What a dataset keeps reads back equal, and the order of the rows changes no byte."""
    content = kept_content(None, TABLE, 0)
    assert read_sites(write(tmp_path / "sites.parquet", content)) == TABLE
    assert kept_content(None, SiteTable(TABLE.frame.reverse()), 0) == content
    table = pq.read_table(io.BytesIO(content))
    assert table.to_pylist() == [{**row, "conversion": 0} for row in ROWS]
    empty = SiteTable(TABLE.frame.clear())
    kept = kept_content(None, empty, 0)
    assert read_sites(write(tmp_path / "empty.parquet", kept)) == empty


def test_clocks(tmp_path: Path) -> None:
    """A recorder's clock is kept like its zone, and written as users do."""
    text = "name,time_zone,clock\na,Asia/Tokyo, LOCAL \nb,,utc\nc,,\nd,Asia/Tokyo,UTC\n"
    table = read_sites(write(tmp_path / "sites.csv", text))
    assert table.frame["clock"].to_list() == ["local", "UTC", None, "UTC"]
    content = kept_content(None, table, 0)
    assert read_sites(write(tmp_path / "sites.parquet", content)) == table


def test_tables_from_before_there_were_clocks(tmp_path: Path) -> None:
    """Their rows have the same fingerprint, and a dataset that keeps one takes clocks now."""
    assert TABLE.fingerprint == "bcdd81ad87c289222ea7d3eb8bfd13f3b36bad367397dec4bcc1dade50657ca1"
    # Of the catalog only the file's content is asked for.
    catalog = SimpleNamespace(
        url=str,
        read=lambda name: (tmp_path / name).read_bytes(),
        head=SimpleNamespace(
            conversions=[SimpleNamespace(reading=SimpleNamespace(sites=TABLE.fingerprint))]
        ),
    )
    before = pl.read_parquet(io.BytesIO(kept_content(None, TABLE, 0))).drop("clock")
    before.write_parquet(tmp_path / "sites.parquet")
    kept = KeptSites.read(cast("Any", catalog))
    assert kept is not None
    assert kept.until(0) == TABLE
    more = SiteTable.of(pl.DataFrame({"name": ["x"], "clock": ["UTC"]}))
    both = pl.read_parquet(io.BytesIO(kept_content(kept, merged(TABLE, more), 1)))
    assert both.select("name", "clock", "conversion").rows() == [
        ("Arkaba-Dry-A", None, 0),
        ("Kl9", None, 0),
        ("x", "UTC", 1),
    ]


def test_flipped_bits(tmp_path: Path) -> None:
    """A damaged table is an error that names the file, or reads as before; no library aborts."""
    content = kept_content(None, TABLE, 0)
    path = tmp_path / "sites.parquet"
    catalog = SimpleNamespace(
        url=str,
        read=lambda _: path.read_bytes(),
        head=SimpleNamespace(
            conversions=[SimpleNamespace(reading=SimpleNamespace(sites=TABLE.fingerprint))]
        ),
    )
    refused = 0
    # Every byte of the pages, whose headers are the danger, and some of the footer.
    for place in (*range(500), *range(500, len(content), 7)):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        try:
            kept = KeptSites.read(cast("Any", catalog))
        except DatasetError as error:
            assert "sites.parquet" in str(error), place  # noqa: PT017 - some bytes mean nothing
            refused += 1
        else:
            assert kept is not None
            assert kept.until(0) == TABLE, place
        # The same file may be given as --sites.
        with suppress(UsageError):
            read_sites(path)
    assert refused > 300


def test_each_conversion_has_its_own_table() -> None:
    """What a later conversion brings was not known to an earlier one."""
    first = SiteTable(TABLE.frame.head(1))
    before = KeptSites(pl.read_parquet(io.BytesIO(kept_content(None, first, 1))))
    kept = KeptSites(pl.read_parquet(io.BytesIO(kept_content(before, TABLE, 3))))
    rows = [len(kept.until(number).frame) for number in range(5)]
    assert rows == [0, 1, 1, len(ROWS), len(ROWS)]
    assert (kept.until(2), kept.until(3)) == (first, TABLE)


def test_urls() -> None:
    """Any fsspec URL is read."""
    with fsspec.open("memory://tables/sites.csv", "wb") as file:
        file.write((CSV + ARKABA).encode())
    assert read_sites("memory://tables/sites.csv").frame["site_id"].to_list() == [285]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "name", "has no known extension, expected CSV, JSON"),
        ("a", "name", "has no known extension"),
        ("a.csv", "site,site_id\nx,1\n", "has the columns site, site_id, expected name"),
        ("a.csv", "", "cannot be read: .*expected CSV"),
        ("a.csv", b"name\n\xff\xfe\n", "cannot be read: .*decode"),
        ("a.csv", "name,site_id\nx,1,2,3\n", "cannot be read: "),
        ("a.csv", "name,site_id\nx,y\n", r"row 1 .*\('x'\) has site_id 'y'"),
        ("a.json", "", "cannot be read: "),
        ("a.json", "3", "neither a list of objects nor an object"),
        ("a.json", "[1]", "neither a list of objects nor an object"),
        ("a.json", '[{"site_id": 1}]', "expected name"),
        ("a.json", '[{"name": ["x"]}]', r'name is \["x"\], expected text or a number'),
        ("a.json", '{"a": true}', "site_id is true, expected text or a number"),
        ("a.json", '{"a": "x"}', "has site_id 'x'"),
        ("a.json", '{"a": 1, "A": 2}', "one recorder twice"),
        ("a.json", "[" * 100_000, "cannot be read: "),
        ("a.parquet", b"PAR1", "cannot be read: "),
        ("a.parquet", b"", "cannot be read: "),
    ],
)
def test_what_is_no_table(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    """Each is a usage error that names the file, what was found and what was expected."""
    path = write(tmp_path / name, content)
    with pytest.raises(UsageError, match=message) as raised:
        read_sites(path)
    assert str(raised.value).startswith(f"{path}: ")


def test_columns_that_are_not_used(tmp_path: Path) -> None:
    """They are named in every format; what a dataset keeps has none."""
    rows = [{"name": "x", "site_id": 1, "note": ["any"]}, {"name": "y", "habitat": None}]
    found = read_sites(write(tmp_path / "a.json", json.dumps(rows)))
    assert (found.ignored, found.frame["site_id"].to_list()) == (("habitat", "note"), [1, None])
    assert read_sites(write(tmp_path / "a.csv", "note,name,\n,x,\n")).ignored == ("note",)
    kept = kept_content(None, found, 0)
    assert read_sites(write(tmp_path / "sites.parquet", kept)).ignored == ()
    with pytest.raises(UsageError, match="did you mean clock"):
        read_sites(write(tmp_path / "b.json", '[{"name": "x", "clok": "UTC"}]'))
    with pytest.raises(UsageError, match="has the columns habitat, expected name"):
        read_sites(write(tmp_path / "c.json", '[{"habitat": 1}]'))


@pytest.mark.parametrize("name", ["none.csv", ".", "nothing://a/b.csv"])
def test_unreadable(name: str, tmp_path: Path) -> None:
    """A missing file, a folder and an unknown protocol are usage errors as well."""
    path = name if "://" in name else tmp_path / name
    with pytest.raises(UsageError, match="cannot be read"):
        read_sites(path)

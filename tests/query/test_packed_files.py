"""Lists of files in short SQL: DuckDB makes the same paths of it again."""

from datetime import date

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from a20_parquet.query.packed_files import PackedSite, pack_files, unpack_files
from a20_parquet.windows.partition import HIVE_NULL, PartitionBy, hive_file

_PERIODS = {
    PartitionBy.SITE: st.just(0),
    PartitionBy.SITE_YEAR: st.integers(1, 9960),
    PartitionBy.SITE_MONTH: st.integers(-23_628, 96_300),
    PartitionBy.SITE_DATE: st.integers(-719_162, 2_932_850),
}
"""From the year 1 to before the end of the year 9999."""
_DAY = (date(2020, 10, 14) - date(1970, 1, 1)).days


@st.composite
def files(draw: st.DrawFn) -> tuple[PartitionBy, dict[str, str]]:
    """Paths of runs of periods, periods without a run, gaps in parts, and unknown periods."""
    by = draw(st.sampled_from(PartitionBy))
    paths: set[tuple[str, int | None, int]] = set()
    for _ in range(draw(st.integers(0, 4))):
        site = draw(st.sampled_from(["site_0001", "site_0002", "a-b"]))
        first = draw(_PERIODS[by])
        length = draw(st.integers(1, 40)) if by.period else 1
        parts = draw(st.sets(st.integers(0, 12), max_size=3) | st.integers(1, 4).map(range))
        for period in range(first, first + length):
            if draw(st.integers(0, 9)):
                paths |= {(site, period, part) for part in parts}
    if by.period:
        unknown = draw(st.sets(st.integers(0, 2), max_size=2))
        paths |= {("site_0001", None, part) for part in unknown}
    listed = [f"data/{hive_file(site, period, part, by)}" for site, period, part in paths]
    return by, {path: f"{number:08x}" for number, path in enumerate(listed)}


def unpacked(connection: duckdb.DuckDBPyConnection, expression: str) -> list[str]:
    """The list, and that it is the same where DuckDB wants constants."""
    found: list[str] = connection.execute(f"select {expression}").fetchall()[0][0]
    as_argument = connection.execute(f"select * from unnest({expression})").fetchall()
    assert found == [path for (path,) in as_argument]
    return found


@given(made=files())
@settings(max_examples=30, deadline=None)
@example(made=(PartitionBy.SITE_DATE, {}))
def test_the_same_paths(made: tuple[PartitionBy, dict[str, str]]) -> None:
    """Of all sites together, and of each period of a site."""
    by, of_all = made
    sites = pack_files(of_all, by)
    with duckdb.connect() as connection:
        again = [
            f"data/site={name}/{path}"
            for name, site in sites.items()
            for path in unpacked(connection, unpack_files(f"'{site.files}'", by))
        ]
        assert sorted(again) == sorted(of_all)
        assert sum(site.count for site in sites.values()) == len(of_all)
        assert sum(site.checksums for site in sites.values()) == sum(range(len(of_all)))
        for name, site in sites.items():
            folder = f"data/site={name}/"
            below = [path.removeprefix(folder) for path in of_all if path.startswith(folder)]
            for value in {path.rpartition("/")[0].partition("=")[2] for path in below} - {""}:
                wanted = unpack_files(f"'{site.files}'", by, f"'{value}'")
                expected = [path for path in below if path.startswith(f"{by.period}={value}/")]
                assert sorted(unpacked(connection, wanted)) == sorted(expected)


@pytest.mark.parametrize("packed", ["NULL", "''"])
def test_no_files(packed: str) -> None:
    """A site without files has an empty list."""
    with duckdb.connect() as connection:
        assert unpacked(connection, unpack_files(packed, PartitionBy.SITE_DATE)) == []


def test_what_is_stored() -> None:
    """A run of days is one line, and all else is kept as it is."""
    by = PartitionBy.SITE_DATE
    days = {hive_file("site_0285", _DAY + day, 0, by): "00000001" for day in range(1000)}
    odd = [
        f"site=site_0285/date={HIVE_NULL}/part-0000.parquet",
        "site=site_0285/date=2030-01-01/part-0001.parquet",
    ]
    found = pack_files({f"data/{path}": "00000001" for path in [*days, *odd]}, by)
    items = [f"/{path.removeprefix('site=site_0285/')}" for path in odd]
    assert found == {"site_0285": PackedSite("\n".join([*items, f"{_DAY} 1000 1"]), 1002, 1002)}

"""Conditions in SQL, against DuckDB; and what is no condition."""

import datetime as dt
from collections.abc import Iterator

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.dataset.where import parse_where
from a20_parquet.errors import UsageError

TIMES = [
    None if text is None else dt.datetime.fromisoformat(text)
    for text in (
        "2020-10-01T04:00",
        "2020-10-01T06:59:59",
        "2020-10-31T23:59:55",
        "2021-01-01T00:00:00.250",
        None,
        "1969-12-31T12:30",
    )
]
WINDOWS = pl.DataFrame(
    {
        "embedding": pl.Series([[0.0, 1.0]] * 6, dtype=pl.Array(pl.Float32, 2)),
        "filename": ["a/x.flac", "a_%.wav", "Ärger.flac", "", "line\nbreak", "it's"],
        "site_id": pl.Series([285, 285, 286, None, 0, -1], dtype=pl.Int32),
        "subsite_name": ["Dry-A", "Wet-B", None, "dry-a", "", "Dry"],
        "recording_offset_in_file": [0.0, 5.5, -5.0, 1e9, float("nan"), float("inf")],
        "window_start": pl.Series(TIMES, dtype=pl.Datetime("us")).dt.replace_time_zone("UTC"),
        "window_start_local": pl.Series(TIMES, dtype=pl.Datetime("us")),
        "channel": pl.Series([0, 1, 4, 0, 32767, 2], dtype=pl.Int16),
        "logits": pl.Series([[1, 2]] * 4 + [None, [0, -1]], dtype=pl.Array(pl.Float32, 2)),
        "site": ["site_0285", "site_0285", "site_0286", "Kl9", "Kl9", "x"],
        "date": pl.Series([each and each.date() for each in TIMES], dtype=pl.Date),
    }
)
PATTERNS = ["%", "a%", "%A", "dry%", "_ry-a", "a\\_%", "a_\\%.wav", "", "%\n%", "x.flac", "%[a-z]%"]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the windows as a table."""
    with duckdb.connect() as made:
        made.execute("SET TimeZone = 'UTC'")
        made.register("source", WINDOWS.drop("embedding").to_arrow())
        made.execute(
            "CREATE TABLE windows AS SELECT row_number() OVER () - 1 AS row, * FROM source"
        )
        yield made


def by_duckdb(connection: duckdb.DuckDBPyConnection, text: str) -> list[int]:
    """Numbers of the windows that pass."""
    found = connection.execute(f"SELECT row FROM windows WHERE ({text}\n) ORDER BY row").fetchall()
    return [row for (row,) in found]


def by_us(text: str) -> list[int]:
    """The same with polars."""
    return WINDOWS.with_row_index().filter(parse_where(text, WINDOWS.schema))["index"].to_list()


CONDITIONS = [
    "site = 'site_0285'",
    "SITE = 'Kl9' or \"site_id\" is null",
    "hour(window_start_local) between 4 and 6",
    "extract(hour from window_start_local) in (4, 6, 23)",
    "date_part('minute', window_start_local) = 59 and second(window_start_local) >= 55",
    "date >= '2020-10-01' and date < '2020-11-01'",
    "date = date '2020-10-31'",
    "date in ('2020-10-01', '2021-01-01')",
    "date not in ('2020-10-01')",
    "date between '2020-01-01' and '2020-12-31'",
    "'2020-10-02' > date",
    "window_start >= '2020-10-01 06:00:00'",
    "window_start >= '2020-10-01T16:00:00+10:00'",
    "window_start < timestamp '2020-10-31 00:00:00'",
    "window_start < timestamptz '2020-10-31 00:00:00+00'",
    "window_start >= date '2020-10-31'",
    "window_start_local <= '2020-10-01 04:00'",
    "window_start_local = window_start",
    "window_start_local::date = '2020-10-01'",
    "cast(window_start_local as time) between '04:00' and '06:59:59'",
    "window_start_local >= date '2021-01-01'",
    "year(date) = 2020 and month(date) = 10 and day(date) = 31",
    "dayofweek(date) = 4 or isodow(date) = 7",
    "week(date) = 40 or quarter(date) = 1 or dayofyear(date) = 365",
    "subsite_name is null or subsite_name is not null and not site_id = 286",
    "not (site_id = 285)",
    "site_id <> 285",
    "site_id is distinct from 285",
    "site_id is not distinct from null",
    "site_id in (285, null)",
    "site_id not in (285, 286.5)",
    "site_id in (285.0, 3)",
    "site_id in (site_id, 4)",
    "channel = 100000 or channel + 40000 > 72000",
    "channel * 3 - 1 = 2 or -channel = -4",
    "channel % 2 = 1",
    "site_id % 2 = -1",
    "site_id / 2 = 142.5",
    "abs(site_id) = 1",
    "recording_offset_in_file > 1e6",
    "isnan(recording_offset_in_file)",
    "recording_offset_in_file = recording_offset_in_file",
    "cast(site_id as double) = 285",
    "logits[1] > 0.5",
    "logits[2] < 0 or logits[3] is null",
    "lower(subsite_name) = 'dry-a' and length(filename) > 1",
    "upper(subsite_name) = 'DRY'",
    "filename = 'it''s'",
    "contains(filename, '.flac') and starts_with(filename, 'a')",
    "ends_with(filename, 'wav') or prefix(filename, 'Ä')",
    "suffix(filename, 'k') or filename ^@ 'it'",
    "filename ~ '^a.*[cv]$'",
    "filename similar to '.*flac'",
    "regexp_matches(filename, '[äöü]|rger')",
    "coalesce(site_id, 7) = 7",
    "coalesce(subsite_name, site) = 'site_0286'",
    "case when site_id = 285 then 1 when site_id is null then 2 else 3 end >= 2",
    "case when channel = 0 then date end = '2020-10-01'",
    "true",
    "false",
    "1 = 1",
    "'a' = 'a' -- a comment",
    "site /* of the recorder */ = 'x'",
    "((((site = 'x'))))",
    "not null",
    "null = site",
]


@pytest.mark.parametrize("text", CONDITIONS)
def test_the_same_as_duckdb(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """Each kind of condition selects what DuckDB selects."""
    assert by_us(text) == by_duckdb(connection, text)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("like", ["like", "not like", "ilike", "not ilike"])
def test_patterns(connection: duckdb.DuckDBPyConnection, like: str, pattern: str) -> None:
    """Any character matches itself, but for the two that LIKE knows."""
    for column in ("filename", "subsite_name"):
        text = f"{column} {like} '{pattern}'"
        assert by_us(text) == by_duckdb(connection, text)


ATOMS = st.sampled_from([each for each in CONDITIONS if "--" not in each])


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        ATOMS,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
                lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
            ),
            inner.map(lambda part: f"not ({part})"),
            inner.map(lambda part: f"({part}) is null"),
        ),
        max_leaves=6,
    )
)
def test_combinations_are_the_same_as_duckdb(text: str) -> None:
    """Null is neither true nor false, however conditions are combined."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("source", WINDOWS.drop("embedding").to_arrow())
        connection.execute(
            "CREATE VIEW windows AS SELECT row_number() OVER () - 1 AS row, * FROM source"
        )
        assert by_us(text) == by_duckdb(connection, text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty, expected a condition such as hour"),
        ("  -- nothing", "is more than one expression|not allowed"),
        ("site =", "is not an SQL expression: .*syntax error"),
        ("'", "is not an SQL expression"),
        ("/*", "is not an SQL expression: unterminated"),
        ("site", "'site' is a value of type String, expected a condition such as"),
        ("1", "is a value of type"),
        ("null", "is a value of type Null"),
        ("site = 'a'; drop table x", "not an SQL expression"),
        ("true) union select (true", "more than one expression"),
        ("true), (false", "more than one expression"),
        ("true) from read_csv('/etc/passwd') where (true", "more than one expression"),
        ("true) limit (1", "more than one expression"),
        ("true) order by (1", "more than one expression"),
        ("site in (select 'a')", "a subquery is not allowed"),
        ("exists (from windows)", "a subquery is not allowed"),
        ("(select content from read_text('/etc/passwd')) = 'x'", "a subquery is not allowed"),
        ("getenv('HOME') = 'x'", "getenv with 1 arguments is not allowed. Use comparisons"),
        ("current_setting('home_directory') = 'x'", "current_setting with 1 arguments is not all"),
        ("read_text('/etc/passwd') = 'x'", "read_text with 1 arguments is not allowed"),
        ("random() < 0.5", "random with 0 arguments is not allowed"),
        ("count(*) > 1", "count_star with 0 arguments is not allowed"),
        ("row_number() over () = 1", "window is not allowed"),
        ("sum(channel) filter (channel > 1) = 1", "is not allowed"),
        ("lower(distinct site) = 'a'", "lower with DISTINCT, FILTER or ORDER BY is not allowed"),
        ("columns('x') = 1", "is not allowed"),
        ("* = 1", "is not allowed|not an SQL expression"),
        ("site = ?", "more than one expression"),
        ("site = $1", "more than one expression"),
        ("list_filter([1], x -> x = 1) = [1]", "is not allowed"),
        ("site collate nocase = 'a'", "is not allowed"),
        ("embedding[1] > 0", "there is no column embedding to test, expected filename, site_id"),
        ("nosuch = 1", "there is no column nosuch to test, expected filename"),
        ("site.x = 1", "there is no column site.x to test"),
        ("site = 1", "'1' is of type .* and is compared with a value of type String"),
        ("site_id = '285'", "'285' is of type String and is compared with a value of type Int32"),
        ("date >= 'yesterday'", "'yesterday' is not a value of type Date: "),
        ("date = '2020-13-01'", "'2020-13-01' is not a value of type Date: month must be in"),
        ("window_start_local > '2020-10-01T00:00Z'", "has an offset from UTC, and is compared wi"),
        ("hour(site) = 1", "--where: .*. Compare values of the same kind|hour"),
        ("hour(date) = 1", "Compare values of the same kind"),
        ("date + 1 > '2020-10-01'", "date is of type Date, expected a number"),
        ("epoch(date) = 1", "epoch with 1 arguments is not allowed"),
        ("date_part('epoch', date) = 1", "there is no epoch of a date, expected year, quarter"),
        ("site like filename", "filename is not a constant text, as ~~ expects it"),
        ("site ~ '('", "regex"),
        ("logits[0] = 1", "'0' does not count values of a list"),
        ("logits[channel] = 1", "channel does not count values of a list"),
        ("site[1] = 'a'", "Compare values of the same kind"),
        ("cast(site as integer) = 1", "CAST to INTEGER is not allowed, expected DATE, TIME"),
        ("cast(site as double) = 1", "CAST of site to DOUBLE is not allowed"),
        ("cast(channel as decimal(3,1)) = 1", "CAST to DECIMAL is not allowed"),
        ("channel = 99999999999999999999999", "is not allowed, expected a smaller number"),
        ("site and true", "site is a value of type String, expected a condition"),
        ("not site", "site is a value of type String, expected a condition"),
        ("not " * 500 + "true", "not an SQL expression: Max expression depth"),
        ("site = '\udcff'", "is not UTF-8"),
    ],
)
def test_what_is_no_condition(text: str, told: str) -> None:
    """One line says what was found, and what may be written."""
    with pytest.raises(UsageError, match=told) as caught:
        parse_where(text, WINDOWS.schema)
    assert "\n" not in str(caught.value).replace(text, "")


def test_long_conditions() -> None:
    """Many alternatives are no deep tree."""
    text = " or ".join(f"site_id = {number}" for number in range(280, 900))
    assert by_us(text) == [0, 1, 2]

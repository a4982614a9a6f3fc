"""Links from templates, against Python's own quoting."""

from datetime import UTC, date, datetime
from urllib.parse import parse_qs, quote, urlsplit

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.errors import UsageError
from a20_parquet.query.links import LinkTemplate

TEXTS = ["a/b c.flac", "ä&=?#%+", None, ""]
WINDOWS = pl.DataFrame(
    {
        "embedding": pl.Series([[0.0]] * 4, dtype=pl.Array(pl.Float32, 1)),
        "filename": TEXTS,
        "file_seq_id": [1, -2, 3, None],
        "recording_offset_in_file": [0.0, 600.5, 1e7, 3.0],
        "window_start": pl.Series(
            [datetime(2020, 10, 1, 4, tzinfo=UTC)] * 4, dtype=pl.Datetime("us", "UTC")
        ),
        "window_start_local": pl.Series(
            [datetime(2020, 10, 1, 14, 0, 0, 500_000, tzinfo=UTC)] * 4,
            dtype=pl.Datetime("us", "UTC"),
        ).dt.replace_time_zone(None),
        "date": [date(2020, 10, 1)] * 4,
        "logits": pl.Series([[0.0]] * 4, dtype=pl.Array(pl.Float32, 1)),
        "raw": [b"x"] * 4,
    }
)


def links(template: str) -> list[str | None]:
    """Of the four windows."""
    parsed = LinkTemplate.parse(template, WINDOWS.schema)
    return parsed.links(WINDOWS.select(parsed.columns)).to_list()


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("x/{file_seq_id}", ["x/1", "x/-2", "x/3", None]),
        ("{file_seq_id}{file_seq_id+1}", ["12", "-2-1", "34", None]),
        ("{recording_offset_in_file}", ["0", "600.5", "10000000", "3"]),
        ("{recording_offset_in_file+5}", ["5", "605.5", "10000005", "8"]),
        ("{recording_offset_in_file-2.5}", ["0", "598", "9999997.5", "0.5"]),
        ("{{{filename}}}", ["{a%2Fb%20c.flac}", "{%C3%A4%26%3D%3F%23%25%2B}", None, "{}"]),
        ("{window_start}", ["2020-10-01T04%3A00%3A00Z"] * 4),
        ("{window_start_local}", ["2020-10-01T14%3A00%3A00.5"] * 4),
        ("d={date}&", ["d=2020-10-01&"] * 4),
        ("{file_seq_id} {filename}", ["1 a%2Fb%20c.flac", "-2 " + quote("ä&=?#%+"), None, None]),
    ],
)
def test_links(template: str, expected: list[str | None]) -> None:
    """Values in URL encoding; null where one of them is."""
    assert links(template) == expected


@given(st.text(), st.text())
def test_any_text_comes_back(text: str, other: str) -> None:
    """A server reads the values as they are, whatever they hold."""
    windows = pl.DataFrame({"a": [text, other, text], "b": [other, text, text]})
    template = LinkTemplate.parse("https://example.org/?a={a}&b={b}", windows.schema)
    for link, row in zip(template.links(windows), windows.iter_rows(named=True), strict=True):
        read = parse_qs(urlsplit(link).query, keep_blank_values=True, strict_parsing=True)
        assert read == {name: [value] for name, value in row.items()}


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("https://example.org", "names no column, expected such as https"),
        ("", "names no column"),
        ("{", "is not a template: "),
        ("}", "is not a template: "),
        ("{}", "there is no column '', expected one of filename, file_seq_id"),
        ("{nosuch}", "there is no column 'nosuch', expected one of filename"),
        ("{embedding}", "there is no column 'embedding', expected"),
        ("{file_seq_id.real}", "there is no column 'file_seq_id.real'"),
        ("{file_seq_id[0]}", "there is no column"),
        ("{file_seq_id!r}", "has a format, expected a column only"),
        ("{file_seq_id:>5}", "has a format"),
        ("{file_seq_id+x}", "there is no column"),
        ("{filename+5}", "adds to filename, which is no number but String"),
        ("{logits}", "is of type Array.*, which is no text"),
        ("{raw}", "is of type Binary, which is no text"),
        ("{file_seq_id}\udcff", "is not UTF-8"),
    ],
)
def test_what_is_no_template(template: str, told: str) -> None:
    """One line says what was found."""
    with pytest.raises(UsageError, match=told):
        LinkTemplate.parse(template, WINDOWS.schema)

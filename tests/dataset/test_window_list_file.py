"""Lists of windows in CSV, as programs and spreadsheets write them, and what is no list."""

import hashlib
from pathlib import Path

import pytest

from a20_parquet.dataset.options import ListedFile
from a20_parquet.dataset.window_list_file import read_window_list
from a20_parquet.errors import UsageError
from a20_parquet.windows.window_list import ListForm


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_reads_what_spreadsheets_write(tmp_path: Path, end: str, mark: str) -> None:
    """Byte-order mark, line ends, quotes, spaces around numbers, further columns, blank lines."""
    lines = ["note,filename, timestamp_s", '"x,\ny","a,é.flac", 60', ",b.flac,1.5e2", "", ""]
    content = (mark + end.join(lines)).encode()
    file = tmp_path / "list.csv"
    file.write_bytes(content)
    listed, kept = read_window_list(file)
    assert listed.form is ListForm.RECORDS
    assert [listed.names[n].as_py() for n in listed.name.tolist()] == ["a,é.flac", "b.flac"]
    assert listed.start_s.tolist() == [60.0, 150.0]
    assert kept == ListedFile(name="list.csv", checksum=hashlib.sha256(content).hexdigest(), rows=2)
    assert kept.name == "list.csv"


def test_spans_and_windows(tmp_path: Path) -> None:
    """The columns say what a row names."""
    file = tmp_path / "list.csv"
    file.write_text("start_s,end_s,filename\n1,2.5,a\n1,2.5,a\n")
    listed, _ = read_window_list(str(file))
    assert (listed.form, len(listed)) == (ListForm.SPANS, 2)
    assert (listed.start_s.tolist(), listed.end_s.tolist()) == ([1.0, 1.0], [2.5, 2.5])
    file.write_text("filename,recording_offset_in_file,channel\na,5,3\n")
    listed, _ = read_window_list(file)
    assert listed.form is ListForm.WINDOWS
    assert listed.channel is not None
    assert listed.channel.tolist() == [3]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is empty, expected a CSV file"),
        (b"\xef\xbb\xbf\n", "it is empty"),
        (b"filename;timestamp_s\na;1\n", "it has the columns filename;timestamp_s; expected"),
        (b"name,timestamp_s\na,1\n", "it has the columns name, timestamp_s; expected"),
        (b"filename,start_s\na,1\n", "it has the columns filename, start_s; expected"),
        (b"filename,timestamp_s,timestamp_s\na,1,1\n", "several columns timestamp_s"),
        (b"filename,timestamp_s,start_s,end_s\na,1,1,2\n", "Keep those that say what is meant"),
        (b"filename,timestamp_s\na,1\nb,x\n", "row 2: timestamp_s is 'x', expected a number"),
        (b"filename,timestamp_s\na,\n", "row 1: timestamp_s is '', expected a number"),
        (b"filename,timestamp_s\na,nan\n", "row 1: timestamp_s is nan, expected seconds"),
        (b"filename,timestamp_s\na,inf\n", "row 1: timestamp_s is inf, expected seconds"),
        (b"filename,timestamp_s\n,1\n", "row 1 has no filename"),
        (b"filename,start_s,end_s\na,2,2\n", "row 1 goes from 2 to 2 s, expected an end_s after"),
        (b"filename,recording_offset_in_file,channel\na,2,0.5\n", "expected a whole number"),
        (b"filename,recording_offset_in_file,channel\na,2,-1\n", "row 1: channel is -1"),
        (b"filename,timestamp_s\n\xe9,1\n", "invalid UTF8"),
        (b"filename,timestamp_s\na,1,2\n", "Expected 2 columns, got 3"),
    ],
)
def test_no_lists(tmp_path: Path, content: bytes, problem: str) -> None:
    """One line says the file, the row, what was found and what was expected."""
    file = tmp_path / "list.csv"
    file.write_bytes(content)
    with pytest.raises(UsageError) as error:
        read_window_list(file)
    assert str(error.value).startswith(f"{file}: ")
    assert problem in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the list cannot be read"):
        read_window_list(tmp_path / "none.csv")

"""Names read from a dataset hold no way out of it."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from a20_parquet.dataset.layout import DATA_PATH, DataPath, FileName, is_data_path
from a20_parquet.windows.partition import HIVE_NULL, PartitionBy, hive_file

FILE_NAME = TypeAdapter(FileName)
DATA = TypeAdapter(DataPath)
OUTSIDE = ["", ".", "..", "/", "/etc/passwd", "../x", "a/../../x", "a/b", "a\0b"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_of_a_file(name: str) -> None:
    """What holds a separator, or stands for a folder, is refused."""
    with pytest.raises(ValidationError, match="not the name of a file"):
        FILE_NAME.validate_python(name)


@pytest.mark.parametrize("name", ["a", "..a", "embeddings-00000-of-00010", "北山.tfrecord", "a b"])
def test_a_name_of_a_file(name: str) -> None:
    """Shards may be called anything that a folder can hold."""
    assert FILE_NAME.validate_python(name) == name


@pytest.mark.parametrize(
    "path",
    [
        *OUTSIDE,
        "data/../../x.parquet",
        "data/site=../part-0000.parquet",
        "data/site=a/../part-0000.parquet",
        "data/site=a/date=2020-01-01/../../../part-0000.parquet",
        "/data/site=a/part-0000.parquet",
        "data/site=a/part-0000.parquet\n",
        "data/site=a/x/date=2020-01-01/part-0000.parquet",
        "data/site=a'b/part-0000.parquet",
        "data/site=a/evil=2020/part-0000.parquet",
        "data/site=a/part-0.parquet",
        "s3://bucket/data/site=a/part-0000.parquet",
    ],
)
def test_no_data_path(path: str) -> None:
    """Only what ``hive_file`` can have named is taken."""
    assert not is_data_path(path)
    with pytest.raises(ValidationError, match="not the path of a data file"):
        DATA.validate_python(path)


@given(
    site=st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,20}", fullmatch=True),
    period=st.none() | st.integers(-3000, 3000),
    part=st.integers(0, 10**6),
    by=st.sampled_from(PartitionBy),
)
def test_what_is_written_is_taken(
    site: str, period: int | None, part: int, by: PartitionBy
) -> None:
    """Every path that a conversion may write."""
    path = f"data/{hive_file(site, period, part, by)}"
    assert DATA.validate_python(path) == path
    assert (HIVE_NULL in path) == (period is None and by.period is not None)


def test_the_pattern_for_columns_is_the_same() -> None:
    """It matches whole values, also those of several lines."""
    good = "data/site=a/part-0000.parquet"
    column = pl.Series([good, f"{good}\n", f"x\n{good}", f"{good}x", None])
    assert column.str.contains(DATA_PATH).to_list() == [True, False, False, False, None]

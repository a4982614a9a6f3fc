"""Options of ``convert``: sizes, defaults, and what is told of bad values."""

from typing import Any

import pytest

from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.errors import UsageError
from a20_parquet.resources import default_budget, default_workers

MIB = 1 << 20


def parse(option: str, value: Any) -> ConvertOptions:
    """Parse one option, of whatever name and type."""
    values: Any = {option: value}
    return ConvertOptions.parse(values)


def test_defaults() -> None:
    """The defaults are numbers that make sense."""
    assert default_budget() > MIB
    assert default_workers() >= 1


@pytest.mark.parametrize("option", ["memory", "max_file_size"])
@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500MB", 500_000_000),
        ("64MiB", 64 * MIB),
        ("4GiB", 4 << 30),
        ("1.5GB", 1_500_000_000),
        ("10kb", 10_000),
        ("4 GiB", 4 << 30),
        ("4gib", 4 << 30),
        ("123", 123),
        (123, 123),
        ("1TB", 10**12),
    ],
)
def test_sizes(option: str, text: Any, size: int) -> None:
    """Sizes are read with decimal and binary units, or as bytes."""
    assert getattr(parse(option, text), option) == size


@pytest.mark.parametrize("option", ["memory", "max_file_size"])
@pytest.mark.parametrize(
    "text", ["", "abc", "MB", "-1", "-5MB", "0", 0, -1, "0GB", "4 Gx", "1e3x", "nan", None]
)
def test_bad_sizes(option: str, text: Any) -> None:
    """What is no size above zero is wrong usage, told with the option's name."""
    with pytest.raises(UsageError, match=f"^{option}: "):
        parse(option, text)


@pytest.mark.parametrize("text", ["1,5GB", "1.5.5GB", "500,000,000", "5 GB or so"])
def test_sizes_with_more_behind_them(text: str) -> None:
    """A size with anything behind it is refused, not cut short."""
    with pytest.raises(UsageError, match="max_file_size: "):
        parse("max_file_size", text)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("workers", 0),
        ("workers", -1),
        ("workers", "x"),
        ("workers", 1.5),
        ("workers", None),
        ("partition_by", "date"),
        ("partition_by", "site,day"),
        ("partition_by", ""),
        ("compression", "zip"),
        ("row_group_rows", 0),
        ("row_group_rows", "many"),
        ("window_seconds", 0),
        ("window_seconds", -5.0),
        ("window_seconds", float("nan")),
        ("window_seconds", float("inf")),
        ("dims", 0),
        ("overwrite", "perhaps"),
        ("scratch", 5),
        ("no_such_option", 1),
    ],
)
def test_bad_options(option: str, value: Any) -> None:
    """Every bad value is wrong usage, told with the option's name."""
    with pytest.raises(UsageError, match=f"^{option}: .*got ") as told:
        parse(option, value)
    assert repr(value) in str(told.value)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("from_date", "yesterday", "from_date: expected a date YYYY-MM-DD, got 'yesterday'"),
        ("from_date", "1602633600", "from_date: expected a date YYYY-MM-DD, got '1602633600'"),
        ("until_date", "2020-02-30", "until_date: expected a date YYYY-MM-DD, got '2020-02-30'"),
        ("channels", "0,x", "channels: "),
        ("channels", "-1", "channels: expected 0 or more, got -1"),
        ("memory", "much", "memory: expected a size such as 500MB"),
        ("feature", ("",), "feature: "),
    ],
)
def test_options_are_told_as_they_are_typed(option: str, value: Any, told: str) -> None:
    """A message names the option as it was given, and what would be right."""
    with pytest.raises(UsageError) as caught:
        parse(option, value)
    assert str(caught.value).startswith(told)


def test_all_bad_options_are_told() -> None:
    """Two mistakes are told at once."""
    with pytest.raises(UsageError, match=r"workers: .*; dims: "):
        ConvertOptions.parse({"workers": 0, "dims": -1})


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("worker", "worker: there is no such option, did you mean workers, got 1"),
        ("until_dat", "until_dat: there is no such option, did you mean until_date, got 1"),
        ("features", "features: there is no such option, did you mean feature, got 1"),
        ("from_", "from_: there is no such option, did you mean from_date, got 1"),
        ("xyz", "xyz: there is no such option, got 1"),
    ],
)
def test_unknown_options(option: str, told: str) -> None:
    """What is mistyped is told with what it is like."""
    with pytest.raises(UsageError, match=f"^{told}$"):
        parse(option, 1)


def test_default_options() -> None:
    """Without options everything has its documented default."""
    options = ConvertOptions.parse({})
    assert options.partition_by == "site,date"
    assert options.workers == default_workers()
    assert options.scratch is None
    assert options.window_seconds is None
    assert options.dims is None
    assert not options.overwrite

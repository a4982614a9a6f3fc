"""Types of options: values as they are given, checked and converted by pydantic."""

import re
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, TypeAdapter

from a20_parquet.dataset.options import MAX_MODEL
from a20_parquet.formatting import parse_size
from a20_parquet.windows.feature_forms import FeatureRequest
from a20_parquet.windows.schema import MAX_CHANNELS

_CLUSTER = re.compile(r"local:[1-9]\d{0,3}|(?!local:)([a-z]+://)?([^/:\s]+|\[[^\s\]]+\]):\d{1,5}")


def _bytes(value: object) -> object:
    # ByteSize would ignore what follows a valid beginning.
    return parse_size(value) if isinstance(value, str) else value


Size = Annotated[ByteSize, BeforeValidator(_bytes), Field(gt=0)]


def _channel_numbers(value: object) -> object:
    numbers = value.split(",") if isinstance(value, str) else value
    return tuple(sorted(set(TypeAdapter(list[int]).validate_python(numbers)))) if numbers else None


Channels = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=MAX_CHANNELS)], ...] | None,
    BeforeValidator(_channel_numbers),
]


_MOST_SITE_DIGITS = 9
_SITE_NUMBERS = re.compile(r"\s*(?:site_)?[0-9]+\s*(?:,\s*(?:(?:site_)?[0-9]+\s*)?)+")


def _site_names(value: object) -> object:
    several = [value] if isinstance(value, str | int) else value
    sites = tuple(map(str, TypeAdapter(list[str | int]).validate_python(several)))
    for site in sites:
        # Refuse values that no recording can have. For others, all records must be read first.
        if not site.strip() or "*" in site:
            raise ValueError("expected a number, site_NNNN or a recorder's whole name")
        if site.lstrip("-").isdecimal() and (site[0] == "-" or len(site) > _MOST_SITE_DIGITS):
            raise ValueError(f"expected a site's number, of {_MOST_SITE_DIGITS} digits at the most")
        if _SITE_NUMBERS.fullmatch(site):
            raise ValueError("expected one site; give the option once for each")
    return sites


Sites = Annotated[tuple[str, ...], BeforeValidator(_site_names)]


def _distinct(features: tuple[str, ...]) -> tuple[str, ...]:
    names = {FeatureRequest.parse(feature).name.casefold() for feature in features}
    if len(names) < len(features):
        raise ValueError("expected each name once, whatever its case")
    return features


def _model(name: str | None) -> str | None:
    if name is not None and (not name.strip() or not name.isprintable()):
        raise ValueError("expected a name, with a version if there is one, such as 'perch 4'")
    return name and name.strip()


Model = Annotated[Annotated[str, Field(max_length=MAX_MODEL)] | None, AfterValidator(_model)]


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Features = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_several),
    AfterValidator(_distinct),
]


def _day(value: object) -> object:
    # pydantic would take a number of seconds for a date.
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("expected a date YYYY-MM-DD") from None


def _address(where: str) -> str:
    if not _CLUSTER.fullmatch(where):
        raise ValueError("expected a scheduler's address such as tcp://10.0.0.1:8786, or local:N")
    return where


Cluster = Annotated[str, AfterValidator(_address)] | None
Day = Annotated[date | None, BeforeValidator(_day)]

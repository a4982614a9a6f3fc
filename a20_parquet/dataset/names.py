"""Names that are read from a dataset, as types that can hold no way out of it.

A dataset may come from anybody: what its manifest, plan and markers call a file is used only after
one of these has taken it.
"""

import os
import re
from typing import Annotated, Final

from pydantic import AfterValidator

_SEPARATORS: Final = frozenset({"/", "\0", os.sep})
_DATA_PATH: Final = re.compile(
    r"data/site=[A-Za-z0-9_-]+"
    r"(?:/(?:date=-?\d{3,}-\d\d-\d\d|month=-?\d{3,}-\d\d|year=-?\d{3,}"
    r"|(?:date|month|year)=__HIVE_DEFAULT_PARTITION__))?"
    r"/part-\d{4,}\.parquet"
)


def is_file_name(name: str) -> bool:
    """Whether a name is that of a file in some folder, and of no other folder's."""
    return name not in {"", ".", ".."} and _SEPARATORS.isdisjoint(name)


def is_data_path(path: str) -> bool:
    """Whether a path relative to a dataset is that of a data file."""
    return _DATA_PATH.fullmatch(path) is not None


def _file_name(name: str) -> str:
    if not is_file_name(name):
        raise ValueError(f"{name!r} is not the name of a file, which holds no '/' and is not '..'")
    return name


def _data_path(path: str) -> str:
    if not is_data_path(path):
        raise ValueError(f"{path!r} is not the path of a data file below data/")
    return path


FileName = Annotated[str, AfterValidator(_file_name)]
"""The name of a file, without any folder."""
DataPath = Annotated[str, AfterValidator(_data_path)]
"""Such as ``data/site=site_0285/date=2020-10-14/part-0000.parquet``."""
DATA_PATH: Final = f"^(?:{_DATA_PATH.pattern})$"
"""Matches data paths and nothing else; for whole columns of them."""

"""Streams Perch embeddings from TFRecord shards into Hive-partitioned Parquet."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from a20_parquet.convert import Conversion, convert
    from a20_parquet.errors import A20ParquetError
    from a20_parquet.inspect import Inspection, inspect
    from a20_parquet.stream import read_windows

__all__ = [
    "A20ParquetError",
    "Conversion",
    "Inspection",
    "convert",
    "inspect",
    "read_windows",
]
__version__ = "0.1.0"

_HOMES = {
    "A20ParquetError": "a20_parquet.errors",
    "Conversion": "a20_parquet.convert",
    "Inspection": "a20_parquet.inspect",
    "convert": "a20_parquet.convert",
    "inspect": "a20_parquet.inspect",
    "read_windows": "a20_parquet.stream",
}


class _Package(ModuleType):
    """Imports its functions when they are first used, so that the import itself stays quick."""

    def __getattr__(self, name: str) -> Any:
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        # Importing the module ``convert`` must not hide the function of the same name.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

"""Streams Perch embeddings from TFRecord shards into Hive-partitioned Parquet."""

import logging
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from a20_parquet._version import __version__ as __version__

if TYPE_CHECKING:
    from a20_parquet.connect import connect
    from a20_parquet.conversion import Conversion
    from a20_parquet.convert import convert
    from a20_parquet.database import DuckDBFile, duckdb
    from a20_parquet.errors import A20ParquetError
    from a20_parquet.info import DatasetInfo, info
    from a20_parquet.inspect import Inspection, inspect
    from a20_parquet.npy_json import NotebookFiles, npy_json
    from a20_parquet.plan import ConversionPlan, plan
    from a20_parquet.repair import Repair, repair
    from a20_parquet.report import report
    from a20_parquet.scan import scan
    from a20_parquet.similar import similar
    from a20_parquet.stream import read_windows
    from a20_parquet.verify import Verification, verify

__all__ = [
    "A20ParquetError",
    "Conversion",
    "ConversionPlan",
    "DatasetInfo",
    "DuckDBFile",
    "Inspection",
    "NotebookFiles",
    "Repair",
    "Verification",
    "connect",
    "convert",
    "duckdb",
    "info",
    "inspect",
    "npy_json",
    "plan",
    "read_windows",
    "repair",
    "report",
    "scan",
    "similar",
    "verify",
]

_HOMES = {
    "A20ParquetError": "a20_parquet.errors",
    "Conversion": "a20_parquet.conversion",
    "ConversionPlan": "a20_parquet.plan",
    "DatasetInfo": "a20_parquet.info",
    "DuckDBFile": "a20_parquet.database",
    "Inspection": "a20_parquet.inspect",
    "NotebookFiles": "a20_parquet.npy_json",
    "Repair": "a20_parquet.repair",
    "Verification": "a20_parquet.verify",
    "connect": "a20_parquet.connect",
    "convert": "a20_parquet.convert",
    "duckdb": "a20_parquet.database",
    "info": "a20_parquet.info",
    "inspect": "a20_parquet.inspect",
    "npy_json": "a20_parquet.npy_json",
    "plan": "a20_parquet.plan",
    "read_windows": "a20_parquet.stream",
    "repair": "a20_parquet.repair",
    "report": "a20_parquet.report",
    "scan": "a20_parquet.scan",
    "similar": "a20_parquet.similar",
    "verify": "a20_parquet.verify",
}


class _Package(ModuleType):
    """Imports its functions when they are first used, so that the import itself stays quick."""

    def __getattr__(self, name: str) -> Any:
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        """List what is public, whether it was imported yet or not."""
        return sorted({*__all__, *(name for name in vars(self) if name.startswith("__"))})

    def __setattr__(self, name: str, value: object) -> None:
        # Importing the module ``convert`` must not hide the function of the same name.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


# Whoever uses the package says whether its log is shown.
logging.getLogger(__name__).addHandler(logging.NullHandler())
sys.modules[__name__].__class__ = _Package

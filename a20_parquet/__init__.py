"""Streams Perch embeddings from TFRecord shards into Hive-partitioned Parquet."""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from a20_parquet._version import __version__ as __version__

if TYPE_CHECKING:
    from a20_parquet.conversion.convert import convert
    from a20_parquet.conversion.repair import Repair, repair
    from a20_parquet.conversion.result import Conversion
    from a20_parquet.decoding.inspect_shards import Inspection, inspect
    from a20_parquet.decoding.read_windows import read_windows
    from a20_parquet.errors import A20ParquetError
    from a20_parquet.exporting.export import Export, export
    from a20_parquet.notebook.npy_json import NotebookFiles, npy_json
    from a20_parquet.planning.plan import ConversionPlan, plan
    from a20_parquet.query.connect import connect
    from a20_parquet.query.describe import DatasetDescription, describe
    from a20_parquet.query.duckdb_file import DuckDBFile, duckdb
    from a20_parquet.query.info import DatasetInfo, info
    from a20_parquet.query.kept_links import link
    from a20_parquet.query.label import label
    from a20_parquet.query.read_numpy import iter_numpy, read_numpy
    from a20_parquet.query.scan import scan
    from a20_parquet.query.score import Scores, score
    from a20_parquet.query.similar import similar
    from a20_parquet.query.take import take, take_numpy
    from a20_parquet.reporting.report import report
    from a20_parquet.verification.verify import Verification, verify

_MODULES: Final = {
    "A20ParquetError": "errors",
    "Conversion": "conversion.result",
    "ConversionPlan": "planning.plan",
    "DatasetDescription": "query.describe",
    "DatasetInfo": "query.info",
    "DuckDBFile": "query.duckdb_file",
    "Export": "exporting.export",
    "Inspection": "decoding.inspect_shards",
    "NotebookFiles": "notebook.npy_json",
    "Repair": "conversion.repair",
    "Scores": "query.score",
    "Verification": "verification.verify",
    "connect": "query.connect",
    "convert": "conversion.convert",
    "describe": "query.describe",
    "duckdb": "query.duckdb_file",
    "export": "exporting.export",
    "info": "query.info",
    "inspect": "decoding.inspect_shards",
    "label": "query.label",
    "link": "query.kept_links",
    "iter_numpy": "query.read_numpy",
    "npy_json": "notebook.npy_json",
    "plan": "planning.plan",
    "read_numpy": "query.read_numpy",
    "read_windows": "decoding.read_windows",
    "repair": "conversion.repair",
    "report": "reporting.report",
    "scan": "query.scan",
    "score": "query.score",
    "similar": "query.similar",
    "take": "query.take",
    "take_numpy": "query.take",
    "verify": "verification.verify",
}
# A list that a type checker can read has to be written out.
__all__ = [
    "A20ParquetError",
    "Conversion",
    "ConversionPlan",
    "DatasetDescription",
    "DatasetInfo",
    "DuckDBFile",
    "Export",
    "Inspection",
    "NotebookFiles",
    "Repair",
    "Scores",
    "Verification",
    "connect",
    "convert",
    "describe",
    "duckdb",
    "export",
    "info",
    "inspect",
    "iter_numpy",
    "label",
    "link",
    "npy_json",
    "plan",
    "read_numpy",
    "read_windows",
    "repair",
    "report",
    "scan",
    "score",
    "similar",
    "take",
    "take_numpy",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing the package stays quick."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


# The application decides whether the log is shown.
logging.getLogger(__name__).addHandler(logging.NullHandler())

"""Writes the schemas beside it: run ``python schemas/export.py``."""

import ast
import inspect
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from a20_parquet.dataset import manifest, options, quarantine, summaries
from a20_parquet.dataset.manifest import Manifest, ManifestHead
from a20_parquet.dataset.quarantine import Entry
from a20_parquet.notebook.render import NotebookWindow
from a20_parquet.query import classifier_file
from a20_parquet.query.classifier_file import ClassifierFile
from a20_parquet.query.sql import comments, create_table
from a20_parquet.windows import schema as table_schema
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.rejection import Reason
from a20_parquet.windows.schema import KEYS, columns

A2O_DIMS = 1280


def windows_json() -> str:
    """The columns of the A2O's dataset as JSON: name, Arrow type, nullability, unit, meaning."""
    described = [
        {
            "name": column.name,
            "type": str(column.type),
            "nullable": column.nullable,
            "unit": column.unit,
            "meaning": column.meaning,
        }
        for column in (*columns(A2O_DIMS), *KEYS.values())
    ]
    files, keys = described[: -len(KEYS)], described[-len(KEYS) :]
    return _json({"columns": files, "hive_keys": keys})


def manifest_json() -> str:
    """The JSON Schema of ``manifest.json``: later versions of the program may add fields."""
    schema = Manifest.model_json_schema(mode="serialization")
    for module in (manifest, options, summaries, table_schema):
        _describe(schema, module)
    # It has the fields of both.
    _describe(schema | {"title": ManifestHead.__name__}, manifest)
    for model in (schema, *schema["$defs"].values()):
        model.pop("additionalProperties", None)
    return _json(schema)


def classifier_json() -> str:
    """The JSON Schema of a file that ``score`` takes."""
    schema = ClassifierFile.model_json_schema(mode="validation")
    _describe(schema, classifier_file)
    return _json(schema)


def quarantine_json() -> str:
    """The JSON Schema of a line of ``quarantine/SHARD.jsonl``, the reasons described."""
    schema = Entry.model_json_schema(mode="serialization")
    _describe(schema, quarantine)
    schema["$defs"][Reason.__name__] = {
        "oneOf": [{"const": reason.value, "description": reason.meaning} for reason in Reason]
    }
    return _json(schema)


def npy_json_metadata_json() -> str:
    """The JSON Schema of the notebook's ``metadata/SHARD.json``."""
    schema = TypeAdapter(list[NotebookWindow]).json_schema()
    window = schema["$defs"][NotebookWindow.__name__]
    window["additionalProperties"] = False
    for name, hint in get_type_hints(NotebookWindow, include_extras=True).items():
        window["properties"][name]["description"] = hint.__metadata__[0]
    return _json(schema)


def windows_sql() -> str:
    """The DDL of the A2O's dataset as a DuckDB table, as ``a20-parquet duckdb`` makes it."""
    by = PartitionBy.SITE_DATE
    statements = [create_table(A2O_DIMS, by), *comments(A2O_DIMS, by)]
    return "".join(f"{statement};\n" for statement in statements)


def _describe(schema: dict[str, Any], module: ModuleType) -> None:
    """Add what the texts under the fields of a module's models say.

    Pydantic can do so for each model when it is made, and takes 15 ms a model of every process.
    """
    models = {schema["title"]: schema, **schema.get("$defs", {})}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef) and node.name in models:
            # An enumeration's values have no place for what is said of them.
            properties = models[node.name].get("properties", {})
            for field, text in pairwise(node.body):
                match field, text:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str(words))),
                    ) if name in properties:
                        described = properties[name] | {"description": inspect.cleandoc(words)}
                        properties[name] = dict(sorted(described.items()))


def _json(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"


EXPORTS: dict[str, Callable[[], str]] = {
    "classifier.schema.json": classifier_json,
    "manifest.schema.json": manifest_json,
    "npy-json-metadata.schema.json": npy_json_metadata_json,
    "quarantine.schema.json": quarantine_json,
    "windows.json": windows_json,
    "windows.sql": windows_sql,
}
"""The text of each file."""


if __name__ == "__main__":
    for name, text in EXPORTS.items():
        (Path(__file__).parent / name).write_text(text())

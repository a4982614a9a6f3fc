"""The exported schema is the code's."""

import json
import subprocess
import sys
from pathlib import Path

from a20_parquet.table.schema import columns, window_schema

SCHEMAS = Path(__file__).parents[1] / "schemas"


def test_exported_schema_is_current() -> None:
    """``schemas/windows.json`` says what the code says; export it again after a change."""
    code = f"import sys; sys.path.insert(0, {str(SCHEMAS)!r}); import export; "
    code += "print(export.windows_json(), end='')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (SCHEMAS / "windows.json").read_text()


def test_exported_schema_is_the_tables() -> None:
    """Names, types and nullability in the export are those of the Arrow schema."""
    exported = json.loads((SCHEMAS / "windows.json").read_text())["columns"]
    schema = window_schema(1280)
    assert [(c["name"], c["type"], c["nullable"]) for c in exported] == [
        (field.name, str(field.type), field.nullable) for field in schema
    ]
    assert all(column.meaning for column in columns(1280))

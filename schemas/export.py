"""Writes the table schema as ``schemas/windows.json``: run ``python schemas/export.py``."""

import json
from pathlib import Path

from a20_parquet.table.schema import columns

A2O_DIMS = 1280


def windows_json() -> str:
    """The columns of the A2O's dataset as JSON: name, Arrow type, nullability and meaning."""
    described = [
        {
            "name": column.name,
            "type": str(column.type),
            "nullable": column.nullable,
            "meaning": column.meaning,
        }
        for column in columns(A2O_DIMS)
    ]
    return json.dumps({"columns": described}, indent=1) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "windows.json").write_text(windows_json())

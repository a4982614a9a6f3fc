"""The exported schemas, for tests."""

import json
from pathlib import Path

import jsonschema

SCHEMAS = Path(__file__).parents[2] / "schemas"


def schema_validator(name: str) -> jsonschema.Draft202012Validator:
    """What checks JSON against an exported schema."""
    schema = json.loads((SCHEMAS / name).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)

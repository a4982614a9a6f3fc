"""The exported schema is the code's."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import a20_parquet
from a20_parquet.notebook.render import NotebookWindow
from a20_parquet.windows.rejection import Reason
from a20_parquet.windows.schema import columns, window_schema
from tests.helpers.schemas import SCHEMAS, schema_validator
from tests.helpers.shards import make_record, random_tensor, write_shard


def test_exported_schemas_are_current() -> None:
    """What lies in ``schemas/`` says what the code says; export it again after a change."""
    code = f"import sys; sys.path.insert(0, {str(SCHEMAS)!r}); import export, json; "
    code += "print(json.dumps({name: text() for name, text in export.EXPORTS.items()}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    exported = json.loads(done.stdout)
    assert exported.keys() == {
        path.name for path in SCHEMAS.iterdir() if path.suffix != ".py" and path.is_file()
    }
    assert {name: (SCHEMAS / name).read_text() for name in exported} == exported


def test_exported_schema_is_the_tables() -> None:
    """Names, types and nullability in the export are those of the Arrow schema."""
    described = json.loads((SCHEMAS / "windows.json").read_text())
    exported = described["columns"]
    schema = window_schema(1280)
    assert [(c["name"], c["type"], c["nullable"]) for c in exported] == [
        (field.name, str(field.type), field.nullable) for field in schema
    ]
    assert all(column.meaning for column in columns(1280))
    times = [c for c in exported if c["type"].startswith(("timestamp", "double"))]
    assert all(c["unit"] for c in times)
    assert [key["name"] for key in described["hive_keys"]] == ["site", "date", "month", "year"]


def test_manifest_has_its_schema(tmp_path: Path) -> None:
    """A converted dataset's manifest is valid; with an item missing it is not."""
    shard = write_shard(tmp_path / "a-00000-of-00001", [make_record(random_tensor((2, 1, 4)))])
    a20_parquet.convert(shard, tmp_path / "dataset")
    manifest = json.loads((tmp_path / "dataset" / "manifest.json").read_text())
    validator = schema_validator("manifest.schema.json")
    validator.validate(manifest)
    assert not validator.is_valid({key: manifest[key] for key in manifest if key != "totals"})


def test_quarantine_has_its_schema(tmp_path: Path) -> None:
    """Each line of a list in quarantine is valid, and every reason is described."""
    good = make_record(random_tensor((2, 1, 4)))
    shard = write_shard(tmp_path / "a.tfrecord", [good, b"no record", good])
    shard.write_bytes(shard.read_bytes()[:-1])
    a20_parquet.convert(shard, tmp_path / "dataset")
    validator = schema_validator("quarantine.schema.json")
    text = (tmp_path / "dataset" / "quarantine" / "a.tfrecord.jsonl").read_text()
    entries = [json.loads(line) for line in text.splitlines()]
    assert [entry["reason"] for entry in entries] == ["not_an_example", "truncated"]
    for entry in entries:
        validator.validate(entry)
        assert not validator.is_valid({**entry, "reason": "unknown"})
    described = json.loads((SCHEMAS / "quarantine.schema.json").read_text())["$defs"]["Reason"]
    assert {each["const"] for each in described["oneOf"]} == set(Reason)


def test_notebook_metadata_has_its_schema(real_data: Path) -> None:
    """What the notebook wrote is valid; with an item missing, added or of another type it isn't."""
    validator = schema_validator("npy-json-metadata.schema.json")
    for path in (real_data / "notebook" / "metadata").iterdir():
        windows = json.loads(path.read_text())
        validator.validate(windows)
        for window in windows[:1]:
            assert list(window) == [field.name for field in fields(NotebookWindow)]
            assert not validator.is_valid([{**window, "file_timestamp": "1"}])
            assert not validator.is_valid([{**window, "more": 1}])
            assert not validator.is_valid([{k: window[k] for k in window if k != "site_id"}])

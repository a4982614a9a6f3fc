"""Reads datasets with one reader and prints what is not as it should be, as JSON.

``python -m tests.conformance.check READER FOLDER``, a process of its own: a reader that crashes
takes no other one along, and one of another environment needs nothing here but pyarrow and NumPy.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tests.conformance.compare import differences
from tests.conformance.limits import OPENED
from tests.conformance.readers import READERS, Reader

FILTERS = {
    "site": ["site_0285", "Site-3"],
    "date": ["2020-10-14", "2021-03-01"],
    "month": ["2020-10", "2021-03"],
    "year": ["2020", "2021"],
}
"""Values of each key for two partitions, of one of which the site has no id."""
# Where a reader takes a local time for an instant or the other way round, it shows.
_TIME_ZONE = "Australia/Adelaide"


def check_all(reader: Reader, folder: Path) -> dict[str, list[str]]:
    """What is wrong with each dataset of the folder, by its name."""
    listing: Mapping[str, list[str]] = json.loads((folder / "datasets.json").read_text())
    return {name: check(reader, folder / name, keys) for name, keys in listing.items()}


def check(reader: Reader, dataset: Path, keys: list[str]) -> list[str]:
    """What is wrong with one dataset."""
    with pa.memory_map(str(dataset.with_name(f"{dataset.name}.arrow"))) as file:
        expected = pa.ipc.open_file(file).read_all()
    found = _read(reader, dataset, keys, {})
    if isinstance(found, BaseException):
        return [f"{OPENED}{_first_line(found)}"]
    lines = differences(found, expected)
    for values in zip(*(FILTERS[key] for key in keys), strict=True):
        lines += _check_filter(reader, dataset, dict(zip(keys, values, strict=True)), expected)
    return sorted(set(lines))


def _check_filter(
    reader: Reader, dataset: Path, where: Mapping[str, str], expected: Any
) -> list[str]:
    """Which rows are wrong where the reader is asked for some."""
    wanted = pa.scalar(value=True)
    for key, text in where.items():
        wanted = pc.and_(wanted, pc.equal(expected[key].cast(pa.string()), text))
    found = _read(reader, dataset, list(where), where)
    if isinstance(found, BaseException):
        return [f"filter: {_first_line(found)}"]
    names = ["filename", "recording_offset_in_file", "channel", "embedding"]
    rows = expected.filter(wanted).select(names)
    assert rows.num_rows
    return [f"filter: {line}" for line in differences(found.select(names), rows)]


def _read(reader: Reader, dataset: Path, keys: list[str], where: Mapping[str, str]) -> Any:
    """What the reader gives, or the error that it raises."""
    try:
        return reader.read(dataset / "data", keys, where)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - Rust's panics are no Exception
        return error


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return f"{type(error).__name__}: {text.splitlines()[0][:300]}"


def main() -> None:
    """Check one reader."""
    name, folder = sys.argv[1:]
    os.environ["TZ"] = _TIME_ZONE
    time.tzset()
    # What readers print of themselves is not the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    reader = READERS[name]
    try:
        version = reader.version()
    except ImportError as error:
        json.dump({"skipped": str(error)}, answer)
        return
    json.dump({"version": version, "found": check_all(reader, Path(folder))}, answer)


if __name__ == "__main__":
    main()

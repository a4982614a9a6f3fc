"""Footers that make pyarrow end the process if it is asked for a column chunk."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tests.helpers.datasets import encode_with_pyarrow, make_dataset
from tests.helpers.parquet_files import encode, windows

READ = """
import sys
from pathlib import Path
import numpy as np
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile
from a20_parquet.errors import DatasetError
from a20_parquet.windows.schema import METADATA

catalog = Catalog.open(sys.argv[1])
path, size, rows = catalog.files.select("path", "bytes", "rows").row(0)
target = Path(sys.argv[1], path)
whole = target.read_bytes()
length = int.from_bytes(whole[-8:-4], "little")
refused = 0
for position in range(size - 8 - length, size):
    for mask in map(int, sys.argv[2:]):
        changed = bytearray(whole)
        changed[position] ^= mask
        target.write_bytes(changed)
        try:
            with DataFile(catalog, path, rows=rows, size=size) as file:
                for group in range(len(file.rows)):
                    for pages, page in file.pages(group):
                        file.read_page(pages, page, np.empty((page.rows, 4), np.float32))
                    file.metadata([group], [column.name for column in METADATA])
        except DatasetError as error:
            assert str(target) in str(error)
            refused += 1
print(length, refused)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "masks"), [(10, "1 16"), (10, "2 64"), (25, "255")])
@pytest.mark.parametrize("writer", ["ours", "pyarrow"])
def test_size_statistics_that_do_not_fit(
    tmp_path: Path, rows: int, masks: str, writer: str
) -> None:
    """Each byte of a footer with such statistics is changed; the process goes on."""
    batch = windows(rows, 4)
    if writer == "ours":
        content = encode([batch.slice(start, 10) for start in range(0, rows, 10)])
    else:
        content = encode_with_pyarrow(pa.Table.from_batches([batch]), row_group_size=10)
    make_dataset(tmp_path, [content], [rows], dims=4, row_group_rows=10)
    command = [sys.executable, "-c", READ, str(tmp_path), *masks.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    length, refused = map(int, done.stdout.split())
    assert length > 1000
    assert 0 < refused < length * len(masks.split())

"""Changes datasets as damage or a faulty writer might, and reads what ``verify`` says of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import crc32c
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from a20_parquet.dataset.file_bounds import BOUNDS
from a20_parquet.verification.verify import Verification, verify
from tests.helpers.manifests import edit_manifest


def largest(dataset: Path) -> Path:
    """The dataset's largest file."""
    return max((dataset / "data").rglob("*.parquet"), key=lambda path: path.stat().st_size)


def messages(verification: Verification) -> list[str]:
    """What is wrong, a line each."""
    assert verification.problem_count == len(verification.problems)
    return [str(problem) for problem in verification.problems]


def only_by_shards(dataset: Path, shards: Path) -> list[str]:
    """What is wrong by the shards; without them at most that the manifest's sums differ."""
    sums = messages(verify(dataset))
    assert all(line.startswith("manifest.json: its shards have ") for line in sums)
    return [line for line in messages(verify(dataset, shards)) if line not in sums]


def accept(dataset: Path, path: Path) -> None:
    """Make the dataset's lists say what a changed file is now, but for its times and bounds."""
    content = path.read_bytes()
    relist(
        dataset,
        path,
        rows=pq.ParquetFile(path).metadata.num_rows,
        bytes=len(content),
        checksum=f"{crc32c.crc32c(content):08x}",
        **dict.fromkeys(BOUNDS),
    )


def relist(dataset: Path, file: Path, /, **values: Any) -> None:
    """Change values of a file in ``files.parquet``, which the manifest then vouches for."""
    files = pl.read_parquet(dataset / "files.parquet")
    is_it = pl.col("path") == file.relative_to(dataset).as_posix()
    changed = [
        pl.when(is_it).then(pl.lit(value)).otherwise(name).alias(name)
        for name, value in values.items()
    ]
    replace_files(dataset, files.with_columns(changed))


def replace_files(dataset: Path, files: pl.DataFrame) -> None:
    """Write another list of files, which the manifest then vouches for."""
    files.write_parquet(dataset / "files.parquet")
    checksum = crc32c.crc32c((dataset / "files.parquet").read_bytes())

    def change(manifest: dict[str, Any]) -> None:
        manifest["files_checksum"] = f"{checksum:08x}"
        manifest["totals"]["windows"] = int(files["rows"].sum())
        manifest["totals"]["bytes"] = int(files["bytes"].sum())

    edit_manifest(dataset, change)


def rewrite(dataset: Path, change: Callable[[Any], Any], **options: Any) -> Path:
    """Change the rows of a file, as if they had been written so."""
    path = largest(dataset)
    pq.write_table(change(pq.ParquetFile(path).read()), path, **options)
    accept(dataset, path)
    return path


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def set_column(table: Any, name: str, values: Any) -> Any:
    """The table with other values in one column."""
    index = table.schema.get_field_index(name)
    return table.set_column(index, table.schema.field(name), values)


def change_value(table: pa.Table) -> pa.Table:
    """The table with the lowest bit of one float changed."""
    column = table["embedding"].combine_chunks()
    bits = column.flatten().to_numpy().view(np.uint32).copy()
    bits[8 * 11 + 5] ^= 1
    floats = pa.array(bits.view(np.float32))
    return set_column(
        table, "embedding", pa.FixedSizeListArray.from_arrays(floats, type=column.type)
    )

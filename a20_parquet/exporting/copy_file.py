"""Copies data files from one dataset to another."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import crc32c

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.errors import DatasetError
from a20_parquet.storage.files import create_file
from a20_parquet.storage.locate import check_regular

_COPY_BYTES: Final = 1 << 20


def copy_file(catalog: Catalog, file: FileSummary, name: str, layout: DatasetLayout) -> FileSummary:
    """Copy a data file byte for byte, and compare it with its checksum.

    Args:
        catalog: the dataset that it belongs to.
        file: its entry in the dataset's list.
        name: path of the copy below ``layout``'s folder, such as ``data/site=…/part-0000.parquet``.
        layout: of the other dataset.

    Returns:
        The entry of the copy.

    Raises:
        DatasetError: it is damaged.
        OSError: it cannot be read or written.
    """
    size = checksum = 0
    with create_file(layout.root / name) as new:
        for block in _blocks(catalog, file.path):
            new.file.write(block)
            size += len(block)
            checksum = crc32c.crc32c(block, checksum)
        new.expect(size, checksum)
        if (size, f"{checksum:08x}") != (file.bytes, file.checksum):
            raise DatasetError(
                f"{catalog.url(file.path)}: its size or CRC32C is not the one in files.parquet: it "
                "is damaged or was changed. Copy it again from where it is whole; a20-parquet "
                "verify finds all such files."
            )
    return file.model_copy(update={"path": name})


def _blocks(catalog: Catalog, relative: str) -> Iterator[bytes]:
    path = catalog.path(relative)
    try:
        if catalog.is_local:
            check_regular(Path(path))
            opened: Any = open(path, "rb", buffering=0)  # noqa: SIM115 - closed below
        else:
            opened = catalog.filesystem.open(path)
        with opened as reader:
            while block := reader.read(_COPY_BYTES):
                yield block
    except OSError as error:
        raise DatasetError(f"{catalog.url(relative)}: cannot be read: {error}") from error

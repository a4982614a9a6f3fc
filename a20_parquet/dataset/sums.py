"""Checksums of whole files."""

from pathlib import Path

import crc32c

_PIECE_BYTES = 1 << 20


def file_sum(path: Path) -> str:
    """CRC32C of a whole file, eight hexadecimal digits.

    Raises:
        OSError: it can't be read.
    """
    buffer = memoryview(bytearray(_PIECE_BYTES))
    value = 0
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            value = crc32c.crc32c(buffer[:count], value)
    return f"{value:08x}"


def has_sum(path: Path, size: int, checksum: str) -> bool:
    """Whether a file is there with this size in bytes and this ``file_sum``."""
    try:
        return path.stat().st_size == size and file_sum(path) == checksum
    except OSError:
        return False

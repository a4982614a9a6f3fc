"""Reads and writes the dataset card in a dataset's folder, where users write too."""

import logging
from pathlib import Path
from typing import Final

from a20_parquet.dataset.card_parts import merge_cards
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.storage.files import file_size, write_whole
from a20_parquet.storage.path import AnyPath, read_whole

_LOGGER = logging.getLogger(__name__)
_MOST_BYTES: Final = 1 << 22


def read_card(path: AnyPath) -> str | None:
    """Read a card; None if there is none. Bytes that are not UTF-8 become lone surrogates.

    Raises:
        ValueError: it is a link, no file or very large, and must be left alone.
        OSError: it cannot be read.
    """
    if isinstance(path, Path) and path.is_symlink():
        raise ValueError("it is a symbolic link")
    if not path.exists():
        return None
    if path.is_dir():
        raise ValueError("it is a folder")
    if file_size(path) > _MOST_BYTES:
        raise ValueError(f"it is larger than {_MOST_BYTES:,} bytes")
    return read_whole(path).decode(errors="surrogateescape")


def update_card(layout: DatasetLayout, new: str) -> None:
    """Put this program's parts of a new card into the dataset's card, and leave the rest of it.

    A card that cannot be read as a text file, or whose head is in a form that is not understood,
    stays as it is.

    Raises:
        OSError: it cannot be written.
    """
    content = _outdated(layout.card, new)
    if content is not None:
        write_whole(layout.card, content.encode(errors="surrogateescape"))


def is_current(path: AnyPath, new: str) -> bool:
    """Whether ``update_card`` would change nothing."""
    return _outdated(path, new) is None


def _outdated(path: AnyPath, new: str) -> str | None:
    """Return what a card should be; None if it is that, or must be left alone."""
    try:
        existing = read_card(path)
        content = new if existing is None else merge_cards(existing, new)
    except (OSError, ValueError) as error:
        _LOGGER.warning("%s is left as it is: %s", path, error)
        return None
    return None if content == existing else content

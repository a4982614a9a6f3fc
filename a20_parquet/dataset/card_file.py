"""Reads and writes the dataset card in a dataset's folder, where users write too."""

import logging
from pathlib import Path
from typing import Final

from a20_parquet.dataset.card_parts import BEGIN, merge_cards
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

    A card that cannot be read as a text file stays as it is.

    Raises:
        OSError: it cannot be written.
    """
    try:
        existing = read_card(layout.card)
    except (OSError, ValueError) as error:
        _LOGGER.warning("%s is left as it is: %s", layout.card, error)
        return
    content = new if existing is None else merge_cards(existing, new)
    if content != existing:
        write_whole(layout.card, content.encode(errors="surrogateescape"))


def is_current(path: AnyPath, new: str) -> bool:
    """Whether ``update_card`` would change nothing."""
    try:
        existing = read_card(path)
    except (OSError, ValueError):
        return True
    return existing is not None and merge_cards(existing, new) == existing


def is_our_card(path: AnyPath) -> bool:
    """Whether a file is a card with a part that this program wrote."""
    try:
        return BEGIN in (read_card(path) or "")
    except (OSError, ValueError):
        return False

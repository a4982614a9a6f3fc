"""Files as earlier versions wrote them, whose pages carry no checksum."""

from typing import Any

import pytest

from a20_parquet.parquet import pages
from a20_parquet.parquet.flat.columns import FlatChunk
from a20_parquet.parquet.flat.small_groups import GroupColumn
from a20_parquet.parquet.flat.values import Values


def without_checksum(header: bytes) -> bytes:
    """Take field 4 out of a page header, where it is 0; the next is then further from field 3."""
    for checked, unchecked in (("15001c15", "2c15"), ("15003c15", "4c15")):
        header = header.replace(bytes.fromhex(checked), bytes.fromhex(unchecked))
    return header


def write_no_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the encoder write what earlier versions wrote."""
    for name in ("data_page_header", "dictionary_page_header"):
        written = getattr(pages, name)

        def header(*described: Any, written: Any = written) -> bytes:
            return without_checksum(written(*described[:-1], 0))

        monkeypatch.setattr(pages, name, header)

    def plain(self: Any, body: bytes, low: bytes, high: bytes, rows: int) -> FlatChunk:
        chunk: FlatChunk = self._column.encode(Values(body, low, high), rows, 0, None, self._pages)
        return chunk

    # The shortcut for plain numbers puts its headers together by itself.
    monkeypatch.setattr(GroupColumn, "_plain", plain)

"""Text from outside as a terminal may show it: names in shards, datasets and folders."""

import re
from typing import Final

_UNSHOWN: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # control characters: C0, DEL, C1
    r"\u2028\u2029"  # line and paragraph separators
    r"\u202a-\u202e\u2066-\u2069"  # changes of the writing direction
    r"\ud800-\udfff]"  # bytes of a path that are no UTF-8, as Python holds them
)
_NO_UNICODE: Final = re.compile("[\ud800-\udfff]")
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_FIRST_BYTE, _LAST_BYTE, _BYTE = 0xDC80, 0xDCFF, 0xDC00


def escape(text: str) -> str:
    r"""Write characters that steer a terminal, or that it cannot show, as escapes such as ``\x1b``.

    A newline is escaped as well: what is printed on several lines is escaped line by line.
    """
    return _UNSHOWN.sub(_escape, text)


def is_unicode(text: str) -> bool:
    """Whether a text is Unicode: no path, or argument, with bytes that are no UTF-8."""
    return _NO_UNICODE.search(text) is None


def as_unicode(path: str) -> str:
    r"""Write a path as Unicode: bytes that are no UTF-8 as escapes such as ``\xff``."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    number = ord(character)
    if _FIRST_BYTE <= number <= _LAST_BYTE:
        number -= _BYTE
    return _SHORT.get(character) or (f"\\x{number:02x}" if number < 1 << 8 else f"\\u{number:04x}")

"""Which parts of a dataset card are this program's, and how they get into a card that is there.

Of the YAML head these are the keys in ``HEAD_KEYS``, of the text the part between ``BEGIN`` and
``END``. All other lines are the user's, and are never changed.
"""

import re
from collections.abc import Iterator
from typing import Final

BEGIN: Final = "<!-- a20-parquet: begin"
"""How the line that begins the marked part begins."""
END: Final = "<!-- a20-parquet: end -->"
"""The line that ends the marked part."""
HEAD_KEYS: Final = ("configs", "size_categories")
"""Keys of the YAML head that this program writes."""
_PART: Final = re.compile(
    rf"^{re.escape(BEGIN)}\b.*?^{re.escape(END)}[ \t]*(?=\r?$)", re.MULTILINE | re.DOTALL
)
_FILES: Final = re.compile(rf"^{re.escape(BEGIN)}, files ([0-9a-f]{{8}})\b", re.MULTILINE)
# After a byte-order mark no reader finds a head, so that mark goes. Empty lines may precede one.
_HEAD: Final = re.compile(
    r"\A\ufeff?(?:[ \t]*\r?\n)*---[ \t]*\r?\n(?:(.*?)\n)??---[ \t]*(?:\r?\n|\Z)", re.DOTALL
)
_KEY: Final = re.compile(
    r"""(?P<quote>["'])(?P<quoted>[^"'\\]*)(?P=quote)[ \t]*:(?:\s|$)"""
    r"""|(?P<plain>[^\s"'#{}\[\],&*!|<>%@`?-].*?)[ \t]*:(?:\s|$)"""
)
_MORE: Final = re.compile(r"[ \t]|-(?:\s|$)")


def described_files(card: str) -> str | None:
    """Return the checksum of the ``files.parquet`` that a card describes; None if it tells none."""
    found = _FILES.search(card)
    return found[1] if found and _PART.search(card) else None


def merge_cards(existing: str, new: str) -> str:
    """Return an existing card with this program's parts of a new one.

    Args:
        existing: what is there. If its text has no marked part, its text stays as it is; if it has
            no head, it gets one; if it has no text at all, it gets that of ``new``.
        new: a card from ``make_card``.

    Raises:
        ValueError: the head has other lines than entries in block style, with keys that are not
            indented. No keys can be put among them without a YAML parser.
    """
    if not existing.strip("\ufeff \t\r\n"):
        return new
    part = _PART.search(new)
    text = existing if part is None else _PART.sub(lambda _: part[0], existing, count=1)
    wanted = {name: lines for name, lines in _entries(_head(new)) if name in HEAD_KEYS}
    found = _HEAD.match(text)
    if found is None:
        return f"---\n{''.join(wanted.values())}---\n\n{text}"
    lines = []
    for name, entry in _entries(_head(text)):
        # A key that is there twice stays once.
        lines.append(wanted.pop(name, "") if name in HEAD_KEYS else entry)
    body = text[found.end() :]
    if not body.strip():
        body = _HEAD.sub("", new)
    return f"---\n{''.join([*lines, *wanted.values()])}---\n{body}"


def _head(card: str) -> str:
    """Return the lines of the YAML head, each with its end; empty if there are none."""
    found = _HEAD.match(card)
    return f"{found[1]}\n" if found and found[1] is not None else ""


def _entries(head: str) -> Iterator[tuple[str, str]]:
    """Divide a YAML head into its entries: name and lines.

    Empty lines and comments between entries have an empty name.

    Raises:
        ValueError: a line is something else.
    """
    name, lines, between = "", "", ""
    for line in head.splitlines(keepends=True):
        is_comment = line.startswith("#") or (between and line.lstrip().startswith("#"))
        if is_comment or not line.strip():
            between += line
        elif lines and _MORE.match(line):
            # What belongs to a key is indented, or an item of a list.
            lines += between + line
            between = ""
        elif key := _KEY.match(line):
            yield from _filled((name, lines), ("", between))
            name, lines, between = key["quoted"] or key["plain"] or "", line, ""
        else:
            raise ValueError(
                f"its YAML head has the line {line.strip()!r}, expected `key: value`, with lists "
                "or indented lines below it. Write it so, and give a20-parquet repair DATASET"
            )
    yield from _filled((name, lines), ("", between))


def _filled(*entries: tuple[str, str]) -> Iterator[tuple[str, str]]:
    return (entry for entry in entries if entry[1])

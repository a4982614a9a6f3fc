"""Site tokens: values of the Hive key ``site``, from the site's id or the recorder's name.

The token of a name depends on the name alone, so that shards, workers and later conversions agree.
Two names never share a token, also on file systems that ignore case: if characters are replaced or
cut off, or another capitalisation of the name has the plain token, a hash of the name in Unicode
normal form C is appended.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

SHARED_TOKENS: Final = 1
"""The rule of datasets written before 2026-12: unsafe characters become ``_``, names may share a
token."""
DISTINCT_TOKENS: Final = 2
"""The rule of all others: each name has its own token."""

_MAX_LENGTH: Final = 100
"""A folder's name may have 255 bytes, a path on some systems 260."""
_HASH_DIGITS: Final = 10
_MOST_LETTERS_OF_A_CODE: Final = 3
# Words that polars, DuckDB or pyarrow read as a number, a boolean, a date or null.
_VALUE_WORDS: Final = (
    "true|false|t|f|yes|no|y|n|on|off|null|none|na|nan|inf|infinity|epoch|now|today|tomorrow"
    "|yesterday"
)
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")
_NEEDS_PREFIX: Final = re.compile(rf"(?:[^A-Za-z].*|(?i:{_VALUE_WORDS}))?")
_PREFIX: Final = "name_"
# Names that look like other tokens: with the prefix, of site ids, with a hash.
_LIKE_OTHERS: Final = re.compile(rf"(?i:name_.*|site_\d{{4,}}|.*_[0-9a-f]{{{_HASH_DIGITS}}})")
_ONLY_TOKENS: Final = re.compile(rf"site_\d{{4,}}|.*_[0-9a-f]{{{_HASH_DIGITS}}}")
_NUMBERED: Final = re.compile(r"site_\d{4,}")
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_ABBREVIATIONS: Final = frozenset({"seqp", "swwa"})
"""Words in capitals in the A2O's names."""


def recording_sites(
    site_id: Any, site_name: Any, subsite_name: Any, rule: int = DISTINCT_TOKENS
) -> Any:
    """The Hive value of ``site`` for each recording, an Arrow string array.

    ``site_0285`` if the id is known, else the token of the recorder's name; null if neither is
    known. The arguments are the columns of ``Recordings``, and the rule for ``name_tokens``.
    """
    numbered = pc.binary_join_element_wise(
        "site_", pc.utf8_lpad(site_id.cast(pa.string()), 4, "0"), ""
    )
    if not numbered.null_count:
        return numbered
    return pc.coalesce(numbered, name_tokens(recorder_names(site_name, subsite_name), rule))


def recorder_names(site_name: Any, subsite_name: Any) -> Any:
    """The recorders' full names, such as ``Arkaba-Dry-A``; null if ``site_name`` is."""
    suffix = pc.if_else(
        subsite_name.is_valid(), pc.binary_join_element_wise("-", subsite_name, ""), ""
    )
    return pc.binary_join_element_wise(site_name, suffix, "")


def name_tokens(names: Any, rule: int = DISTINCT_TOKENS) -> Any:
    """Turn an Arrow string array of recorders' names into tokens by a rule; null stays null."""
    make = _shared_token if rule == SHARED_TOKENS else site_token
    distinct = pc.unique(names)
    tokens = [None if name is None else make(name) for name in distinct.to_pylist()]
    return pa.array(tokens, pa.string()).take(pc.index_in(names, distinct))


@lru_cache(maxsize=1 << 14)
def site_token(name: str) -> str:
    """Return the token of a recorder's name.

    It begins with a letter, consists of at most ``_MAX_LENGTH`` of ``A-Za-z0-9_-``, and is read as
    nothing but a string. It is the name itself if that meets all this, does not look like
    another kind of token, and has the usual capitals of places and recorders: only the first letter
    of each word between ``-`` and ``_``, or all letters of codes such as ``SM4`` and of the A2O's
    abbreviations. A code has digits, and at most three letters or no more letters than digits.
    """
    name = unicodedata.normalize("NFC", name)
    safe = _UNSAFE.sub("_", name)
    token = _with_prefix(safe)
    is_plain = safe == name == _WORD.sub(_capitalise, name) and not _LIKE_OTHERS.fullmatch(safe)
    if is_plain and len(token) <= _MAX_LENGTH:
        return token
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{token[: _MAX_LENGTH - _HASH_DIGITS - 1]}_{digest}"


def may_be_shared(token: str) -> bool:
    """Whether several names may have this token by the rule ``SHARED_TOKENS``."""
    return not _NUMBERED.fullmatch(token) and ("_" in token or site_token(token) != token)


def folded_alike(tokens: Iterable[str]) -> tuple[str, str] | None:
    """Return two tokens that differ in case only, or None; tokens of names never do."""
    folded: dict[str, str] = {}
    for token in sorted(tokens):
        first = folded.setdefault(token.casefold(), token)
        if first != token:
            return first, token
    return None


def chosen_token(text: str, rule: int = DISTINCT_TOKENS) -> str:
    """Return the text if it can be a value of ``site``, else the token of the name."""
    if rule == SHARED_TOKENS:
        return _shared_token(text)
    is_safe = _with_prefix(_UNSAFE.sub("_", text)) == text and len(text) <= _MAX_LENGTH
    return text if is_safe else site_token(text)


def meant_tokens(text: str, rule: int = DISTINCT_TOKENS) -> tuple[str, ...]:
    """Return the values of ``site`` that a user may mean: the text, a recorder's token, or both."""
    chosen = chosen_token(text, rule)
    if chosen != text or rule == SHARED_TOKENS or _ONLY_TOKENS.fullmatch(text):
        return (chosen,)
    return tuple(dict.fromkeys((text, site_token(text))))


def _shared_token(name: str) -> str:
    return _with_prefix(_UNSAFE.sub("_", name))


def _with_prefix(safe: str) -> str:
    return f"{_PREFIX}{safe}" if _NEEDS_PREFIX.fullmatch(safe) else safe


def _capitalise(word: re.Match[str]) -> str:
    text = word[0]
    digits = sum(char.isdigit() for char in text)
    letters = len(text) - digits
    is_code = digits > 0 and letters <= max(digits, _MOST_LETTERS_OF_A_CODE)
    in_capitals = is_code or text.lower() in _ABBREVIATIONS
    return text.upper() if in_capitals else text.capitalize()

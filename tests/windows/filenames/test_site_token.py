"""Tokens of recorders' names: safe, readable, and of one name each."""

import json
import re
import string
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.windows.filenames.site_token import (
    DISTINCT_TOKENS,
    SHARED_TOKENS,
    chosen_token,
    may_be_shared,
    meant_tokens,
    name_tokens,
    site_token,
)

SAFE = set(string.ascii_letters + string.digits + "_-")
ANGSTROM = "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}"
CASES = [
    f"{ANGSTROM}sg{ANGSTROM.lower()}rd",
    f"\N{LATIN CAPITAL LETTER O WITH STROKE}sg{ANGSTROM.lower()}rd",
    "\u5317\u5c71",
    "\u5357\u5c71",
    "Site A",
    "Site.A",
    "Site_A",
    "Rio+Norte",
    "Rio Norte",
    "Ridge",
    "ridge",
    "RIDGE",
]
"""Places that once shared tokens, or tokens that differ in case only."""

PIECES = st.sampled_from(
    [
        *"aAbB09_-. \n\0",
        *(ANGSTROM, "A\N{COMBINING RING ABOVE}", "\N{KELVIN SIGN}", "K", "k", "\u0131", "\u017f"),
        *(
            "name_",
            "Name_",
            "NAME_",
            "site_",
            "Site_",
            "0285",
            "00285",
            "true",
            "True",
            "4E2",
            "4e2",
        ),
        *("Seqp", "SEQP", "seqp", "Ridge", "ridge", "RIDGE", "Ridge-", "1a2b3c4d5e", "x" * 99),
    ]
)
NAMES = st.lists(PIECES, max_size=5).map("".join) | st.text(max_size=12)
# Tokens of others are the nastiest names.
NASTY = NAMES | NAMES.map(site_token) | NAMES.map(site_token).map(str.swapcase)


def nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("Arkaba", "Arkaba"),
        ("Arkaba-Dry-A", "Arkaba-Dry-A"),
        ("SEQP-Samford-Wet-A", "SEQP-Samford-Wet-A"),
        ("Strzelecki-93-Dry-A", "Strzelecki-93-Dry-A"),
        ("Clarkesdale-H23-Bushland-Reserve-Wet-B", "Clarkesdale-H23-Bushland-Reserve-Wet-B"),
        ("Site-3", "Site-3"),
        ("Site_A", "Site_A"),
        ("KL9", "KL9"),
        ("ARU7", "ARU7"),
        ("SM4", "SM4"),
        ("AM01", "AM01"),
        ("SMA00355", "SMA00355"),
        ("Plot12", "Plot12"),
        ("3", "name_3"),
        ("4E2", "name_4E2"),
        ("24E144085F256431", "name_24E144085F256431"),
        ("-Wet-A", "name_-Wet-A"),
        ("_A", "name__A"),
        ("Nan", "name_Nan"),
        ("", "name_"),
    ],
)
def test_plain_tokens(name: str, token: str) -> None:
    """Names in the A2O's capitalisation stay as they are, with a prefix where readers need one."""
    assert site_token(name) == token


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("A B.C", "A_B_C"),
        (f"{ANGSTROM}s", "name__s"),
        ("..", "name___"),
        ("ridge", "ridge"),
        ("nan", "name_nan"),
        ("trueblue", "trueblue"),
        ("Seqp-Samford-Wet-A", "Seqp-Samford-Wet-A"),
        ("SiteA", "SiteA"),
        ("Kl9", "Kl9"),
        ("SITE3", "SITE3"),
        ("site_0285", "site_0285"),
        ("Site_0285", "Site_0285"),
        ("name_nan", "name_nan"),
        ("Name_Nan", "Name_Nan"),
        ("Foo_1234567890", "Foo_1234567890"),
        ("X" * 101, "X" * 89),
        ("Name-" * 40, ("Name-" * 40)[:89]),
    ],
)
def test_tokens_with_a_hash(name: str, stem: str) -> None:
    """Lost characters, another capitalisation, and what looks like another token, add a hash."""
    assert re.fullmatch(re.escape(stem) + "_[0-9a-f]{10}", site_token(name))


def test_tokens_of_the_cases_differ() -> None:
    """Each place has its token in any Unicode form, also on disks that ignore case."""
    tokens = [site_token(name) for name in CASES]
    assert len({token.casefold() for token in tokens}) == len(CASES)
    assert [site_token(unicodedata.normalize("NFD", name)) for name in CASES] == tokens


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(NASTY, min_size=2, max_size=12))
def test_no_two_names_share_a_token(names: list[str]) -> None:
    """Different names have tokens that differ in more than case; composing changes nothing."""
    assert len({site_token(name).casefold() for name in names}) == len(set(map(nfc, names)))


@settings(max_examples=300)
@given(NASTY)
def test_tokens_are_safe(name: str) -> None:
    """A token begins with a letter, is short, holds safe characters only, and is no site's id."""
    token = site_token(name)
    assert set(token) <= SAFE
    assert token[0] in string.ascii_letters
    assert len(token) <= 100
    assert not re.fullmatch(r"site_\d{4,9}", token.casefold())
    assert site_token(unicodedata.normalize("NFD", name)) == token


def test_arrays_of_names() -> None:
    """Names are turned each by itself, null to null, in plain and chunked arrays."""
    names = ["Ridge", None, "ridge", "Ridge", None]
    expected = [None if name is None else site_token(name) for name in names]
    assert name_tokens(pa.array(names)).to_pylist() == expected
    chunked = pa.chunked_array([names[:2], names[2:]], pa.string())
    assert name_tokens(chunked).to_pylist() == expected
    assert name_tokens(pa.array([], pa.string())).to_pylist() == []
    assert name_tokens(pa.array([None], pa.string())).to_pylist() == [None]


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("unknown", "unknown"),
        ("site_0285", "site_0285"),
        ("Ridge", "Ridge"),
        ("RIDGE", "RIDGE"),
        ("name_nan", "name_nan"),
        ("nan", site_token("nan")),
        ("Site A", site_token("Site A")),
        ("3", "name_3"),
        ("x" * 101, site_token("x" * 101)),
    ],
)
def test_chosen_tokens(text: str, token: str) -> None:
    """What a user chooses is the token itself where it can be one, else a name."""
    assert chosen_token(text) == token


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Ridge", ("Ridge",)),
        ("ridge", ("ridge", site_token("ridge"))),
        ("Site A", (site_token("Site A"),)),
        (site_token("Site A"), (site_token("Site A"),)),
        ("site_0285", ("site_0285",)),
        ("Site_0285", ("Site_0285", site_token("Site_0285"))),
        ("nan", (site_token("nan"),)),
    ],
)
def test_meant_tokens(text: str, tokens: tuple[str, ...]) -> None:
    """A name and its token mean the same; what may be either means both."""
    assert meant_tokens(text) == tokens
    assert meant_tokens(text, SHARED_TOKENS) == (chosen_token(text, SHARED_TOKENS),)


@pytest.mark.parametrize("rule", [SHARED_TOKENS, DISTINCT_TOKENS])
def test_the_names_of_the_a2o_keep_their_tokens(rule: int, real_data: Path) -> None:
    """By both rules the A2O's recorders are written as in its filenames."""
    filenames = (real_data / "a2o-filenames.txt").read_text().splitlines()
    names = {re.findall(r"(?:Z|[+-]\d{4})_(.*)_\d+\.", name)[0] for name in filenames}
    sites = json.loads((real_data / "a2o-sites.json").read_text())
    names |= {name.replace("-&-", "-").title().replace("Swwa", "SWWA") for name in sites} - {
        name for name in names if name.startswith("Seqp")
    }
    names = {name.replace("Seqp", "SEQP") for name in names}
    listed = sorted(names)
    assert len(listed) > 300
    assert name_tokens(pa.array(listed), rule).to_pylist() == listed


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("Site A", "Site_A"),
        ("nan", "name_nan"),
        ("ridge", "ridge"),
        ("", "name_"),
        ("..", "name___"),
    ],
)
def test_tokens_of_datasets_from_before(name: str, token: str) -> None:
    """The rule of earlier versions loses characters and adds nothing."""
    assert name_tokens(pa.array([name]), SHARED_TOKENS).to_pylist() == [token]
    assert chosen_token(name, SHARED_TOKENS) == token


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("site_0285", False),
        ("Arkaba-Dry-A", False),
        ("SEQP-Samford-Wet-A", False),
        ("Site_A", True),
        ("ridge", True),
        ("_", True),
    ],
)
def test_tokens_that_may_be_shared(token: str, *, expected: bool) -> None:
    """Only tokens that another name has too by the earlier rule are suspected."""
    assert may_be_shared(token) is expected

"""Which parts of a dataset card are the program's; all others stay, whatever they are."""

from importlib import import_module
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from a20_parquet.dataset.card_parts import BEGIN, END, described_files, merge_cards

yaml: Any = import_module("yaml")  # has no types

NEW = (
    "---\n# license\nconfigs:\n- name: new\nsize_categories:\n- n<1K\n---\n\n# Title\n\n"
    f"{BEGIN}, files 00000001. -->\nnew\n{END}\n"
)
HEAD = "configs:\n- name: new\nsize_categories:\n- n<1K\n"
# Pieces that a card may be made of, those that mean something among them.
PIECES = st.sampled_from(
    [
        *(
            "---\n",
            "---\r\n",
            "configs:\n",
            "- a: b\n",
            "  c: d\n",
            "license: mit\n",
            "# x\n",
            "\n",
        ),
        *("size_categories: [a]\n", "text\n", '"configs": 1\n', "configs: {}\n", "...\n", "---"),
        *(f"{BEGIN}, files 0000ffff. -->\n", f"{END}\n", f"{END}", BEGIN, "\ufeff", "é", "\udcff"),
    ]
)


def user_lines(card: str) -> list[str]:
    """All lines that are not between marks."""
    before, _, rest = card.partition(BEGIN)
    return [*before.splitlines(), *rest.partition(END)[2].splitlines()]


def test_a_card_that_was_not_touched_is_replaced_by_the_new_one() -> None:
    """All that differs is the program's."""
    old = NEW.replace("name: new", "name: old").replace("00000001", "0000ffff")
    assert merge_cards(old.replace("new\n<", "old\n<"), NEW) == NEW


def test_what_users_wrote_stays() -> None:
    """Keys and comments in the head, text before and after the marked part."""
    old = (
        "---\nlicense: cc-by-4.0\nconfigs:\n- old\n  # ours\n# theirs\ntags:\n- birds\n---\nMine\n"
        f"{BEGIN}, files 0000ffff. -->\nold\n{END}\nMine too\n"
    )
    assert merge_cards(old, NEW) == (
        "---\nlicense: cc-by-4.0\nconfigs:\n- name: new\n# theirs\ntags:\n- birds\n"
        "size_categories:\n- n<1K\n---\nMine\n"
        f"{BEGIN}, files 00000001. -->\nnew\n{END}\nMine too\n"
    )


def test_text_without_marks_stays() -> None:
    """Whoever removed the part, or one of its marks, has written a card of their own."""
    for text in ("Mine\n", f"{BEGIN}, files 0000ffff. -->\nMine\n", f"Mine\n{END}\n"):
        assert merge_cards(text, NEW) == f"---\n{HEAD}---\n\n{text}"
        assert merge_cards(f"---\nlicense: mit\n---\n{text}", NEW) == (
            f"---\nlicense: mit\n{HEAD}---\n{text}"
        )
        assert described_files(text) is None


def test_empty_heads_are_filled() -> None:
    """With and without an empty line."""
    for head in ("---\n---\n", "---\n\n---\n", "---\r\n---\r\n"):
        merged = merge_cards(f"{head}text", NEW)
        assert yaml.safe_load(merged.split("---")[1]) == yaml.safe_load(HEAD)
        assert merged.endswith("---\ntext")


@pytest.mark.parametrize("head", ["", "---\nlicense: mit\n---\n", "\n---\r\nlicense: mit\r\n---"])
def test_a_card_without_text_gets_it(head: str) -> None:
    """A new repository of the Hub has a head at most; empty lines may precede it."""
    merged = merge_cards(f"{head}\n\n", NEW)
    assert merged.partition("# Title")[1:] == NEW.partition("# Title")[1:]
    expected = yaml.safe_load(HEAD) | ({"license": "mit"} if head else {})
    assert yaml.safe_load(merged.split("---")[1]) == expected


@pytest.mark.parametrize(
    "head",
    [
        "{license: cc}",
        "{license: cc,\n  tags: [a]}",
        "  license: cc\n  tags: [a]",
        "- license",
        "? license\n: cc",
        "license: cc\nconfigs: [\na\n]",
        "&all\nlicense: cc",
        "just text",
        "license: cc\n...",
    ],
)
def test_heads_in_other_forms_are_refused(head: str) -> None:
    """Keys among such lines would make other YAML of them."""
    assert yaml.safe_load(head) is not None
    with pytest.raises(ValueError, match="its YAML head has the line"):
        merge_cards(f"---\n{head}\n---\ntext", NEW)


HEAD_LINES = st.sampled_from(
    [
        *("license: cc\n", "license: mit\n", "pretty name: a b\n", "'tags':\n", "tags: [a,\n"),
        *("- b\n", "  - c\n", "  c]\n", "]\n", "\n", "# x\n", "  # y\n", "text: |\n", "  a: b\n"),
        *("configs:\n", '"configs": {a: 1}\n', "configs: {a:\n", "  1}\n", "size_categories:\n"),
        *(
            "{a: b}\n",
            "? a\n",
            ": b\n",
            "été: 'x\n",
            "  y'\n",
            "https://x: y\n",
            "<<: {z: 1}\n",
            "a: b: c\n",
        ),
    ]
)


@given(st.lists(HEAD_LINES, max_size=8).map("".join))
def test_heads_stay_the_same_yaml(head: str) -> None:
    """A reader finds all that users wrote, and the program's keys; or nothing is changed."""
    try:
        before = yaml.safe_load(head)
        merged = merge_cards(f"---\n{head}---\ntext\n", NEW)
    except (yaml.YAMLError, ValueError):
        return
    assume(before is None or isinstance(before, dict))
    found = yaml.safe_load(merged.removeprefix("---\n").removesuffix("---\ntext\n"))
    assert found == (before or {}) | yaml.safe_load(HEAD)


def test_cards_of_windows_editors_are_kept_up_to_date() -> None:
    """Lines that end in CRLF, and a byte-order mark, after which no reader finds a head."""
    old = f"---\nlicense: mit\n---\nMine\n{BEGIN}, files 0000ffff. -->\nold\n{END}\nMine too\n"
    for mark in ("", "\ufeff"):
        crlf = mark + old.replace("\n", "\r\n")
        assert described_files(crlf) == "0000ffff"
        assert merge_cards(crlf, NEW) == (
            f"---\nlicense: mit\r\n{HEAD}---\nMine\r\n"
            f"{BEGIN}, files 00000001. -->\nnew\n{END}\r\nMine too\r\n"
        )
    assert merge_cards("\ufeff" + old, NEW) == merge_cards(old, NEW)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_merging_again_changes_nothing(card: str) -> None:
    """Whatever lies there, one merge is enough, and repeats are the same."""
    try:
        once = merge_cards(card, NEW)
    except ValueError:
        return
    assert merge_cards(once, NEW) == once


@given(st.lists(PIECES, max_size=6).map("".join), st.lists(PIECES, max_size=6).map("".join))
def test_no_text_outside_of_the_marks_changes(before: str, after: str) -> None:
    """The text around the first part is the same before and after."""
    card = f"---\nlicense: mit\n---\n{before}\n{BEGIN}, files 0000ffff. -->\nold\n{END}\n{after}"
    merged = merge_cards(card, NEW)
    if BEGIN not in before and END not in before:
        head, _, rest = merged.partition(f"\n{BEGIN}")
        assert head == f"---\nlicense: mit\n{HEAD}---\n{before}"
        assert rest == f", files 00000001. -->\nnew\n{END}\n{after}"
        assert described_files(merged) == "00000001"


def test_marks_name_the_files() -> None:
    """A card tells which files it describes."""
    assert described_files(NEW) == "00000001"
    assert described_files(NEW.replace(END, "")) is None

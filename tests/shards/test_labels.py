"""What shards are called."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.shards.labels import make_labels


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], []),
        (["/d/x"], ["x"]),
        (["/d/a/x", "/d/b/x"], ["a__x", "b__x"]),
        (["/d/a/x", "/d/b/y"], ["x", "y"]),
        (["/d/a/p/x", "/d/b/p/x", "/d/c/q/x"], ["a__p__x", "b__p__x", "q__x"]),
        (["/d/x", "/d/sub/x"], ["x", "sub__x"]),
        (["/d/b__x", "/d/b/x", "/d/c/x"], ["b__x~2", "b__x", "c__x"]),
        (["s3://one/x", "s3://two/x"], ["one__x", "two__x"]),
        (["/a/x", "memory:///a/x"], ["a__x", "__a__x"]),
    ],
)
def test_labels(paths: list[str], expected: list[str]) -> None:
    """A label is the file's name and as many folders as make it unique."""
    assert make_labels(paths) == expected


path_lists = st.lists(
    st.lists(
        st.sampled_from(["a", "b", "x", "_", "a_", "_x", "a__x", "x~2"]), min_size=1, max_size=4
    )
    .map("/".join)
    .map("/r/".__add__),
    unique=True,
    min_size=1,
    max_size=10,
)


@given(path_lists, st.randoms())
def test_labels_are_unique(paths: list[str], random: Any) -> None:
    """Different paths have different labels, in any order and in any folder."""
    found = dict(zip(paths, make_labels(paths), strict=True))
    assert len(set(found.values())) == len(paths)

    moved = [path.replace("/r/", "/some/where/else/") for path in paths]
    assert make_labels(moved) == list(found.values())

    shuffled = random.sample(paths, len(paths))
    assert make_labels(shuffled) == [found[path] for path in shuffled]


@given(
    st.lists(
        st.lists(st.sampled_from("abx"), min_size=1, max_size=4).map("/".join),
        unique=True,
        min_size=2,
        max_size=10,
    )
)
def test_labels_are_shortest(paths: list[str]) -> None:
    """A label is the path's tail, and with a folder less it would be another path's tail too."""
    for path, label in zip(paths, make_labels(paths), strict=True):
        tail = label.split("__")
        assert path.split("/")[-len(tail) :] == tail
        if len(tail) > 1:
            shorter = tail[1:]
            sharing = [other for other in paths if other.split("/")[-len(shorter) :] == shorter]
            assert len(sharing) > 1


@pytest.mark.parametrize(
    ("taken", "paths", "expected"),
    [
        ({"x": "/a/x"}, ["/b/x"], ["b__x"]),
        ({"x": "/a/x"}, ["/a/y"], ["y"]),
        ({"x": "/a/x"}, ["/a/x"], ["x~2"]),
        ({"x": "/a/x", "a__x": "/c/a/x"}, ["/a/x"], ["a__x~2"]),
        ({"x": "/a/x"}, ["/b/x", "/c/x", "/c/y"], ["b__x", "c__x", "y"]),
        ({"x": "s3://bucket/a/x"}, ["/b/x"], ["b__x"]),
    ],
)
def test_labels_of_an_append(taken: dict[str, str], paths: list[str], expected: list[str]) -> None:
    """New shards get other labels than those held: longer tails first, then numbers."""
    assert make_labels(paths, taken) == expected


@given(
    st.lists(st.text("ab_/", min_size=1, max_size=6), unique=True, max_size=6),
    st.dictionaries(
        st.text("ab_", min_size=1, max_size=4), st.text("ab_/", min_size=1), max_size=4
    ),
)
def test_labels_of_an_append_are_new(paths: list[str], taken: dict[str, str]) -> None:
    """Whatever is held, new labels are unique and none of the held ones."""
    found = make_labels(paths, taken)
    assert len(set(found)) == len(paths)
    assert not set(found) & set(taken)

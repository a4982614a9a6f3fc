"""The model and the length of windows, as Perch's config.json says them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.errors import UsageError
from a20_parquet.shards.discover import find_shards
from a20_parquet.shards.perch_config import read_configs
from a20_parquet.shards.perch_model import Model, find_model, model_name
from a20_parquet.tfrecord.shard import Shard
from tests.helpers.shards import frame


def shards_of(folder: Path, *configs: Mapping[str, Any] | None) -> tuple[Shard, ...]:
    """A shard for each model's configuration, beside it but for None."""
    for number, config in enumerate(configs):
        place = folder / str(number)
        place.mkdir(parents=True)
        (place / "embeddings-00000-of-00001").write_bytes(frame(b""))
        if config is not None:
            whole = {"embed_fn_config": {"model_key": "kind", "model_config": config}}
            (place / "config.json").write_text(json.dumps(whole))
    return read_configs(find_shards([folder / str(n) for n in range(len(configs))])).shards


@pytest.mark.parametrize(
    ("key", "config", "name"),
    [
        ("taxonomy_model_tf", {}, "taxonomy_model_tf"),
        ("taxonomy_model_tf", {"model_path": ""}, "taxonomy_model_tf"),
        ("taxonomy_model_tf", {"model_path": "", "tfhub_version": 4}, "taxonomy_model_tf 4"),
        ("birdnet", {"model_path": "/home/me/models/birdnet.tflite"}, "birdnet.tflite"),
        ("k", {"model_path": "https://tfhub.dev/google/perch/4"}, "perch 4"),
        ("k", {"model_path": "google/perch/4/", "tfhub_version": 8}, "perch 8"),
        ("k", {"model_path": "C:\\models\\perch\\2"}, "perch 2"),
        ("k", {"model_path": "/8"}, "k 8"),
        ("k", {"tfhub_version": True}, "k"),
        ("k", {"model_path": 5, "tfhub_version": [1]}, "k"),
        (None, {}, None),
        (" ", {}, None),
        ("a\nb", {}, "a b"),
    ],
)
def test_names(key: object, config: Mapping[str, Any], name: str | None) -> None:
    """The last part of the path that is no version, else the kind; with the version."""
    assert model_name(key, config) == name


@given(st.recursive(st.text() | st.integers() | st.none(), st.lists), st.text() | st.integers())
def test_any_values_make_a_short_name(key: object, value: object) -> None:
    """Whatever a file says, the name is one line of text that the manifest takes, or None."""
    for config in ({"model_path": value}, {"tfhub_version": value}, {"model_path": key}):
        name = model_name(key, config)
        assert name is None or (0 < len(name) <= 100 and name.isprintable())


def test_one_model(tmp_path: Path) -> None:
    """Folders that do not tell are assumed to be of the model of the others."""
    perch = {"model_path": "perch/4", "window_size_s": 5}
    both = shards_of(tmp_path / "a", perch, perch)
    assert find_model(both, None) == Model("perch 4", 5.0)
    assert find_model(both, "mine") == Model("mine", 5.0)
    found = find_model(shards_of(tmp_path / "b", perch, None), None)
    assert (found.name, found.window_size_s) == ("perch 4", 5.0)
    assert found.assumed == f"perch 4, also in {tmp_path / 'b' / '1'} (--model)"
    assert find_model(shards_of(tmp_path / "c", None), None) == Model(None)


def test_several_models(tmp_path: Path) -> None:
    """They are refused by name, unless the user says which one it is."""
    shards = shards_of(tmp_path, {"model_path": "perch/4"}, {"model_path": "perch/8"})
    with pytest.raises(UsageError, match=r"perch 4 in .*/0; perch 8 in .*/1\. .*with model\."):
        find_model(shards, None)
    assert find_model(shards, "perch 8").name == "perch 8"


def test_another_model_than_the_dataset(tmp_path: Path) -> None:
    """Appending is refused, and the message has the dataset's model and the shards'."""
    shards = shards_of(tmp_path / "a", {"model_path": "perch/8"})
    with pytest.raises(UsageError, match=r"names the model perch 8, the dataset has perch 4: .*'p"):
        find_model(shards, None, Model("perch 4"))
    assert find_model(shards, None, Model("perch 8")) == Model("perch 8")
    assert find_model(shards, None, Model(None)) == Model(None)
    silent = find_model(shards_of(tmp_path / "b", None), None, Model("perch 4"))
    assert silent == Model("perch 4", None, "perch 4, as the dataset has it (--model)")
    assert find_model((), None, Model("perch 4")) == Model("perch 4")


def test_another_length_than_the_dataset(tmp_path: Path) -> None:
    """Windows of other lengths are refused too, unless the user says that the file is wrong."""
    shards = shards_of(tmp_path, {"window_size_s": 3.0, "model_path": "m"})
    with pytest.raises(UsageError, match=r"windows are 3 s long, those of the dataset are 5 s"):
        find_model(shards, None, Model("m", 5.0))
    assert find_model(shards, "m", Model("m", 5.0)) == Model("m", 5.0)
    assert find_model(shards, None, Model("m", 5.0), takes_any_hop=True) == Model("m", 5.0)
    assert find_model(shards, None, Model("m")) == Model("m")


def test_lengths_that_differ_are_not_told(tmp_path: Path) -> None:
    """One value for all windows would be wrong."""
    same = {"model_path": "m"}
    shards = shards_of(tmp_path, {**same, "window_size_s": 3.0}, {**same, "window_size_s": 5.0})
    assert find_model(shards, None) == Model("m")

"""The hop between windows and the sample rate, as Perch's config.json says them."""

import json
from pathlib import Path
from typing import Any

import pytest

from a20_parquet.errors import SourceError, UsageError
from a20_parquet.shards.discover import Listing, find_shards
from a20_parquet.shards.perch_config import DEFAULT_HOP_S, Hop, find_hop, read_configs
from a20_parquet.tfrecord.shard import Shard
from tests.helpers.shards import frame

HOP = {"hop_size_s": 2.5, "window_size_s": 3.0}


def folder_with(folder: Path, config: object) -> Path:
    """A folder with a shard and, but for None, a config.json: text, bytes, or written as JSON."""
    folder.mkdir(parents=True)
    (folder / "embeddings-00000-of-00001").write_bytes(frame(b""))
    if isinstance(config, bytes | str):
        (folder / "config.json").write_bytes(config.encode() if isinstance(config, str) else config)
    elif config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def told_by(folder: Path) -> tuple[float | None, float | None]:
    """Hop and sample rate of the one shard below a folder."""
    (shard,) = read_configs(find_shards(folder)).shards
    return shard.hop_s, shard.sample_rate_hz


def perch(hop_s: Any) -> dict[str, Any]:
    return {"embed_fn_config": {"model_config": {"hop_size_s": hop_s}}}


def separating(**model: Any) -> dict[str, Any]:
    """The configuration of a model that separates, around a taxonomy model."""
    whole = {"sample_rate": 22_050, "window_size_s": 60, "taxonomy_model_tf_config": model}
    return {"model_key": "separate_embed_model", "model_config": whole}


def shards_of(*folders: Path) -> tuple[Shard, ...]:
    return read_configs(find_shards(folders)).shards


def test_without_configuration(tmp_path: Path) -> None:
    """Windows are assumed to start five seconds apart, and that is said."""
    folder = folder_with(tmp_path / "a", None)
    assert told_by(folder) == (None, None)
    assert find_hop(shards_of(folder), None) == Hop(DEFAULT_HOP_S, "5 s (--window-seconds)")
    assert find_hop(shards_of(folder), 3.0) == Hop(3.0)


@pytest.mark.parametrize("hop_s", [5.0, 2.5, 1, 0.001, 86_400])
def test_configured(tmp_path: Path, hop_s: float) -> None:
    """The configuration says the hop, as a float."""
    found, _ = told_by(folder_with(tmp_path / "a", perch(hop_s)))
    assert found == hop_s
    assert isinstance(found, float)


@pytest.mark.parametrize("is_nested", [True, False])
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_key": "birdnet", "model_config": HOP}, (2.5, None)),
        ({"model_config": {"window_size_s": 3, "sample_rate": 48_000}}, (3.0, 48_000.0)),
        ({"model_config": {"hop_size_s": 0, "window_size_s": 3}}, (3.0, None)),
        ({"model_config": {"hop_size_s": None, "window_size_s": 3}}, (3.0, None)),
        (separating(**HOP, sample_rate=32_000), (2.5, 22_050.0)),
        (separating(window_size_s=3), (3.0, 22_050.0)),
        (separating(), (None, 22_050.0)),
        # Only that key's model keeps its windows in a model within.
        ({"model_key": "other", "model_config": HOP | separating(hop_size_s=9)}, (2.5, None)),
        ({"model_key": "separate_embed_model", "model_config": HOP}, (None, None)),
        ({"hop_size_s": 5}, (None, None)),
    ],
)
def test_perchs_rule(
    tmp_path: Path, config: Any, expected: tuple[float, float], *, is_nested: bool
) -> None:
    """The same below ``embed_fn_config`` and, of older writers, at the top."""
    whole = {"shard_len_s": 60, "embed_fn_config": config} if is_nested else config
    assert told_by(folder_with(tmp_path / "a", whole)) == expected


def test_real_configuration(real_data: Path) -> None:
    """The file that perch-hoplite's own writer left is understood."""
    config = json.loads((real_data / "hoplite" / "config.json").read_text())
    model = config["embed_fn_config"]["model_config"]
    assert told_by(real_data / "hoplite") == (model["hop_size_s"], model["sample_rate"])


def test_each_folder_has_its_own(tmp_path: Path) -> None:
    """A folder's configuration is that of its shards alone, not of those below it."""
    folder_with(tmp_path / "a", perch(2.5))
    folder_with(tmp_path / "a" / "b", {"model_config": {"sample_rate": 16_000}})
    folder_with(tmp_path / "a" / "c", None)
    listing = find_shards(tmp_path)
    told = {Path(s.url).parent.name: (s.hop_s, s.sample_rate_hz) for s in rated(listing, None)}
    assert told == {"a": (2.5, None), "b": (None, 16_000.0), "c": (None, None)}
    assert {s.sample_rate_hz for s in rated(listing, 8_000.0)} == {8_000.0}


def rated(listing: Listing, rate_hz: float | None) -> tuple[Shard, ...]:
    return read_configs(listing, rate_hz).shards


def test_agreement(tmp_path: Path) -> None:
    """Configurations that agree are no difference."""
    folders = [folder_with(tmp_path / name, perch(2.5)) for name in "ab"]
    assert find_hop(shards_of(*folders), None) == Hop(2.5)


def test_disagreement(tmp_path: Path) -> None:
    """Two hops are an error that names both, their folders and the option."""
    folders = [folder_with(tmp_path / f"folder_{hop}", perch(hop)) for hop in (5, 2.5)]
    with pytest.raises(UsageError) as caught:
        find_hop(shards_of(*folders), None)
    for part in ("2.5 s in", "5 s in", "/folder_5", "/folder_2.5", "window_seconds"):
        assert part in str(caught.value)
    assert find_hop(shards_of(*folders), 2.5) == Hop(2.5)


def test_a_folder_without(tmp_path: Path) -> None:
    """It never takes the others' hop in silence: it is refused, or what is assumed agrees."""
    silent = folder_with(tmp_path / "silent", None)
    five = folder_with(tmp_path / "five", perch(5))
    other = folder_with(tmp_path / "other", perch(2.5))
    found = find_hop(shards_of(silent, five), None)
    assert found == Hop(5.0, f"5 s in {silent} (--window-seconds)")
    with pytest.raises(UsageError) as caught:
        find_hop(shards_of(silent, other), None)
    for part in (f"2.5 s in {other}", f"no config.json that gives it in {silent}"):
        assert part in str(caught.value)


def test_what_a_dataset_has_is_assumed(tmp_path: Path) -> None:
    """Shards that are appended are assumed to be like those before."""
    silent = folder_with(tmp_path / "silent", None)
    other = folder_with(tmp_path / "other", perch(2.5))
    why = "2.5 s, as the dataset has it"
    assert find_hop(shards_of(silent), None, 2.5) == Hop(2.5, f"{why} (--window-seconds)")
    found = find_hop(shards_of(silent, other), None, 2.5)
    assert found == Hop(2.5, f"{why} in {silent} (--window-seconds)")
    with pytest.raises(UsageError, match="differ"):
        find_hop(shards_of(silent, other), None, 5.0)
    assert find_hop((), None, 2.5) == Hop(2.5)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[" * 100_000,
        b"\xff\xfe\x00",
        b"\x80abc",
        "null",
        "[]",
        '"text"',
        "7",
        '{"embed_fn_config": []}',
        '{"embed_fn_config": {"model_config": 3}}',
        '{"embed_fn_config": {"model_key": [], "model_config": {"hop_size_s": "5"}}}',
    ],
)
def test_other_programs_file(tmp_path: Path, content: str | bytes) -> None:
    """A config.json of another program, or no JSON at all, says nothing."""
    assert told_by(folder_with(tmp_path / "a", content)) == (None, None)


@pytest.mark.parametrize(
    "value",
    [0, -5, -0.0, True, False, None, "5", [5], float("nan"), float("inf"), 10**400, 1e10],
)
def test_no_number(tmp_path: Path, value: Any) -> None:
    """What is no positive number of a sensible size says nothing."""
    model = {"hop_size_s": value, "window_size_s": value, "sample_rate": value}
    config = {"embed_fn_config": {"model_config": model}}
    assert told_by(folder_with(tmp_path / "a", config)) == (None, None)


def test_unreadable(tmp_path: Path) -> None:
    """A configuration that vanished is an error, for the hop would be a guess."""
    listing = find_shards(folder_with(tmp_path / "a", perch(5)))
    (tmp_path / "a" / "config.json").unlink()
    with pytest.raises(SourceError, match=r"config\.json: cannot be read"):
        read_configs(listing)

"""The hop between windows, as Perch's config.json says it."""

import json
from pathlib import Path
from typing import Any

import fsspec
import pytest

from a20_parquet.errors import SourceError, UsageError
from a20_parquet.source.discover import find_shards
from a20_parquet.source.perch_config import DEFAULT_HOP_S, read_hop_s


def config_of(path: Path, content: str | bytes) -> tuple[Any, str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return fsspec.filesystem("file"), str(path)


def perch(hop_s: Any) -> str:
    return json.dumps({"embed_fn_config": {"model_config": {"hop_size_s": hop_s}}})


def test_without_configuration() -> None:
    """Perch's windows start five seconds apart unless something says otherwise."""
    assert read_hop_s([]) == DEFAULT_HOP_S == 5.0


@pytest.mark.parametrize("hop_s", [5.0, 2.5, 1, 0.001])
def test_configured(tmp_path: Path, hop_s: float) -> None:
    """The configuration says the hop, as a float."""
    found = read_hop_s([config_of(tmp_path / "config.json", perch(hop_s))])
    assert found == hop_s
    assert isinstance(found, float)


def test_real_configuration(real_data: Path) -> None:
    """The file that perch-hoplite's own writer left is understood."""
    listing = find_shards([real_data / "hoplite"])
    assert len(listing.configs) == 1
    config = json.loads((real_data / "hoplite" / "config.json").read_text())
    assert read_hop_s(listing.configs) == config["embed_fn_config"]["model_config"]["hop_size_s"]


def test_agreement(tmp_path: Path) -> None:
    """Configurations that agree, or say nothing, are no difference."""
    configs = [
        config_of(tmp_path / "a" / "config.json", perch(2.5)),
        config_of(tmp_path / "b" / "config.json", perch(2.5)),
        config_of(tmp_path / "c" / "config.json", "{}"),
    ]
    assert read_hop_s(configs) == 2.5


def test_disagreement(tmp_path: Path) -> None:
    """Two hops are an error that names both, their files and the option."""
    configs = [
        config_of(tmp_path / "a" / "config.json", perch(5)),
        config_of(tmp_path / "b" / "config.json", perch(2.5)),
    ]
    with pytest.raises(UsageError) as caught:
        read_hop_s(configs)
    for part in ("2.5 s", "5.0 s", "a/config.json", "b/config.json", "window_seconds"):
        assert part in str(caught.value)


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
        '{"embed_fn_config": {"model_config": "perch"}}',
        '{"embed_fn_config": {"model_config": {}}}',
        '{"hop_size_s": 3}',
    ],
)
def test_other_programs_file(tmp_path: Path, content: str | bytes) -> None:
    """A config.json of another program, or no JSON at all, says nothing."""
    assert read_hop_s([config_of(tmp_path / "config.json", content)]) == DEFAULT_HOP_S


@pytest.mark.parametrize(
    "hop_s",
    [0, -5, -0.0, True, False, None, "5", [5], float("nan"), float("inf"), 10**400],
)
def test_no_length_of_time(tmp_path: Path, hop_s: Any) -> None:
    """What is no positive number of seconds says nothing."""
    assert read_hop_s([config_of(tmp_path / "config.json", perch(hop_s))]) == DEFAULT_HOP_S


def test_unreadable(tmp_path: Path) -> None:
    """A configuration that vanished is an error, for the hop would be a guess."""
    config = config_of(tmp_path / "config.json", perch(5))
    (tmp_path / "config.json").unlink()
    with pytest.raises(SourceError, match=r"config\.json: can't be read"):
        read_hop_s([config])

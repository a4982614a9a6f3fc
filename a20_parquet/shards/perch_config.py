"""Reads hop, sample rate and model from Perch's ``config.json`` beside the shards."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from a20_parquet.errors import SourceError, UsageError
from a20_parquet.shards.config_folders import folders_by_value, listed
from a20_parquet.shards.discover import Listing, PassedOver
from a20_parquet.shards.listing import CONFIG_NAME, SourceFile
from a20_parquet.shards.perch_model import model_name
from a20_parquet.storage.concurrent import MOST_AT_ONCE, map_at_once
from a20_parquet.storage.locate import is_local, read_content
from a20_parquet.tfrecord.shard import Shard

DEFAULT_HOP_S = 5.0
_MOST_HOP_S = 86_400.0
# Divided by these, any senseless int64 offset stays senseless.
_LEAST_SAMPLE_RATE_HZ, _MOST_SAMPLE_RATE_HZ = 1.0, 1e9
_SEPARATES = "separate_embed_model"


@dataclass(frozen=True, slots=True)
class Hop:
    """Seconds from one window's start to the next."""

    seconds: float
    assumed: str | None = None
    """A note for the user if no input gives the hop, else None."""


@dataclass(frozen=True, slots=True)
class _Config:
    """The content of a ``config.json``; None for missing values."""

    hop_s: float | None = None
    sample_rate_hz: float | None = None
    window_size_s: float | None = None
    model: str | None = None
    is_json: bool = True

    @property
    def fault(self) -> str | None:
        """Why it gives no hop, or None."""
        if not self.is_json:
            return "not valid JSON, so that it gives no hop"
        return "gives no hop" if self.hop_s is None else None


def read_configs(
    listing: Listing, sample_rate_hz: float | None = None, hop_s: float | None = None
) -> Listing:
    """Read each folder's ``config.json`` and add its values to the folder's shards.

    Files with a hop are removed from ``passed_over``; the others get the reason why they have none.

    Args:
        listing: the files of the sources.
        sample_rate_hz: of all recordings, from the user; overrides the files.
        hop_s: from one window's start to the next, from the user; only compared with the files.

    Raises:
        SourceError: a configuration cannot be read.
    """
    configs = listing.configs
    is_remote = not all(is_local(config.filesystem) for config in configs)
    texts = map_at_once(_read, configs, is_remote=is_remote, at_once=MOST_AT_ONCE)
    parsed = list(map(_parse, texts))
    config_of = {
        (file.filesystem, file.folder): config for file, config in zip(configs, parsed, strict=True)
    }

    def with_config(shard: Shard) -> Shard:
        config = config_of.get((shard.filesystem, shard.path.rpartition("/")[0]), _Config())
        rate_hz = sample_rate_hz or config.sample_rate_hz
        return replace(
            shard,
            hop_s=config.hop_s,
            sample_rate_hz=rate_hz,
            window_size_s=config.window_size_s,
            model=config.model,
        )

    urls = [config.url for config in configs]
    folders = [url.rpartition("/")[0] for url in urls]
    rates_hz = [config.sample_rate_hz for config in parsed]
    hops_s = [config.hop_s for config in parsed]
    faults = dict(zip(urls, (config.fault for config in parsed), strict=True))
    return replace(
        listing,
        shards=tuple(map(with_config, listing.shards)),
        passed_over=tuple(_with_faults(listing.passed_over, faults)),
        remarks=(
            *_contradictions("--sample-rate", "Hz", sample_rate_hz, rates_hz, folders),
            *_contradictions("--window-seconds", "s", hop_s, hops_s, folders),
        ),
    )


def _with_faults(
    passed_over: Iterable[PassedOver], faults: Mapping[str, str | None]
) -> Iterator[PassedOver]:
    for item in passed_over:
        fault = faults.get(item.url)
        if fault is not None:
            yield PassedOver(item.url, fault)
        elif item.url not in faults:
            yield item


def _contradictions(
    option: str, unit: str, given: float | None, known: Sequence[float | None], folders: list[str]
) -> Iterator[str]:
    """Yield a sentence for each number in the files that differs from the user's."""
    others: dict[float, set[str]] = {}
    for number, folder in zip(known, folders, strict=True):
        if given is not None and number is not None and number != given:
            others.setdefault(number, set()).add(folder)
    for number, where in sorted(others.items()):
        yield (
            f"{CONFIG_NAME} in {listed(where)} says {number:.15g} {unit}; {given:.15g} {unit} "
            f"counts, as {option} says"
        )


def check_sample_rate(sample_rate_hz: float | None) -> None:
    """Raise UsageError if a user's sample rate is invalid."""
    if sample_rate_hz is not None and not (
        _LEAST_SAMPLE_RATE_HZ <= sample_rate_hz <= _MOST_SAMPLE_RATE_HZ
    ):
        raise UsageError(f"--sample-rate is {sample_rate_hz}, expected Hz, at least 1")


def find_hop(shards: Sequence[Shard], given_s: float | None, dataset_s: float | None = None) -> Hop:
    """Find the one hop of all shards.

    Args:
        shards: as ``read_configs`` returns them.
        given_s: from the user; overrides the configurations.
        dataset_s: of the dataset that the shards are appended to, or None.

    Returns:
        The user's hop, else that of the configurations, else that of the dataset, else 5 s; the
        last two are assumed.

    Raises:
        UsageError: two folders differ, or one differs from the hop assumed for another.
    """
    if given_s is not None:
        return Hop(given_s)
    known, silent = folders_by_value(shards, lambda shard: shard.hop_s)
    fallback_s = dataset_s or DEFAULT_HOP_S
    hop_s = next(iter(known), fallback_s)
    if len(known) > 1 or (silent and hop_s != fallback_s):
        named = [f"{_seconds(hop)} in {listed(folders)}" for hop, folders in sorted(known.items())]
        if silent:
            named.append(f"no config.json that gives it in {listed(silent)}")
        raise UsageError(
            f"the shards' windows differ: {'; '.join(named)}. Convert these folders into datasets "
            "of their own, or say which hop they all have with --window-seconds."
        )
    if dataset_s is not None and hop_s != dataset_s:
        raise UsageError(
            f"{CONFIG_NAME} in {listed(known[hop_s])} says {_seconds(hop_s)}, the dataset has "
            f"{_seconds(dataset_s)}: convert these shards into a dataset of their own. "
            f"--window-seconds {dataset_s:.15g} adds them anyway, if that file is wrong."
        )
    if not silent:
        return Hop(hop_s)
    why = ", as the dataset has it" if dataset_s else ""
    where = f" in {listed(silent)}" if known else ""
    return Hop(hop_s, f"{_seconds(hop_s)}{why}{where} (--window-seconds)")


def _seconds(hop_s: float) -> str:
    return f"{hop_s:.15g} s"


def _read(config: SourceFile) -> bytes:
    try:
        return read_content(config.filesystem, config.path)
    except OSError as error:
        raise SourceError(f"{config.url}: cannot be read: {error}") from error


def _parse(text: bytes) -> _Config:
    """Find hop, sample rate, window size and model.

    Source: chirp/inference/embed_lib.py and models.py of google-research/perch. The taxonomy model
    of a separating one has windows of its own; audio is read at the outer model's rate.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        # Any program may call its file config.json.
        return _Config(is_json=False)
    outer = _dict(found)
    # Older files lack this level.
    outer = _dict(outer.get("embed_fn_config", outer))
    key = outer.get("model_key")
    model = whole = _dict(outer.get("model_config"))
    if key == _SEPARATES:
        model = _dict(whole.get("taxonomy_model_tf_config"))
    hops_s = model.get("hop_size_s"), model.get("window_size_s")
    rates_hz = whole.get("sample_rate"), model.get("sample_rate")
    return _Config(
        _first_number(hops_s, 0.0, _MOST_HOP_S),
        _first_number(rates_hz, _LEAST_SAMPLE_RATE_HZ, _MOST_SAMPLE_RATE_HZ),
        _first_number((model.get("window_size_s"),), 0.0, _MOST_HOP_S),
        model_name(key, model),
    )


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first_number(values: Sequence[object], least: float, most: float) -> float | None:
    """Return the first that is a positive number within bounds, None if none is."""
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        # Zero is no hop.
        if value and least <= value <= most:
            return float(value)
    return None

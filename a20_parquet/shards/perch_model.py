"""Which model made the embeddings of shards, as Perch's ``config.json`` beside them says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from a20_parquet.errors import UsageError
from a20_parquet.shards.config_folders import folders_by_value, listed
from a20_parquet.shards.listing import CONFIG_NAME
from a20_parquet.tfrecord.shard import Shard

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Model:
    """The model of all shards of a conversion."""

    name: str | None
    """Name and version; None if nothing tells them."""
    window_size_s: float | None = None
    """Seconds of audio of a window; None if nothing tells them."""
    assumed: str | None = None
    """A note for the user if some shards do not tell the model, else None."""


def model_name(key: object, config: Mapping[str, Any]) -> str | None:
    """Return name and version of a model, such as ``bird-vocalization-classifier 4``.

    Source: chirp/inference/models.py of google-research/perch. A path of TensorFlow Hub or Kaggle
    ends with the version; other paths are of the machine that ran the model, and only their last
    part counts.

    Args:
        key: ``model_key``, the kind of model, which is its name if there is no path.
        config: ``model_config`` of the model.
    """
    path = config.get("model_path")
    parts = PurePosixPath(path.replace("\\", "/")).parts if isinstance(path, str) else ()
    names = [part for part in parts if part.strip("/")]
    version = config.get("tfhub_version")
    if names and names[-1].isdecimal():
        last = names.pop()
        version = last if version is None else version
    name = names[-1] if names else key
    if not isinstance(name, str) or not name.strip():
        return None
    is_version = isinstance(version, int | str) and not isinstance(version, bool)
    words = f"{name} {version}" if is_version else name
    text = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return text[:_LONGEST] or None


def find_model(
    shards: Sequence[Shard],
    given: str | None,
    dataset: Model | None = None,
    *,
    takes_any_hop: bool = False,
) -> Model:
    """Find the one model of all shards.

    Args:
        shards: as ``read_configs`` returns them.
        given: its name, from the user; overrides the configurations.
        dataset: of the dataset that the shards are appended to, or None for a new one.
        takes_any_hop: whether the user gave the hop, because the configurations are wrong.

    Raises:
        UsageError: two folders differ, or one differs from the dataset.
    """
    size_s = _window_size(shards, dataset, is_free=takes_any_hop or given is not None)
    if given is not None:
        return Model(given, size_s)
    known, silent = folders_by_value(shards, lambda shard: shard.model)
    if len(known) > 1:
        named = "; ".join(f"{name} in {listed(folders)}" for name, folders in sorted(known.items()))
        raise UsageError(
            f"the shards are of several models: {named}. Convert these folders into datasets of "
            "their own, or say which model they all have with --model."
        )
    name = next(iter(known), None)
    if dataset is None:
        where = f", also in {listed(silent)}" if silent else ""
        return Model(name, size_s, f"{name}{where} (--model)" if name and silent else None)
    if dataset.name is None:
        return Model(None, size_s)
    if name not in {None, dataset.name}:
        raise UsageError(
            f"{CONFIG_NAME} in {listed(known[str(name)])} names the model {name}, the dataset has "
            f"{dataset.name}: convert these shards into a dataset of their own. --model "
            f"'{dataset.name}' adds them anyway, if that file is wrong."
        )
    assumed = f"{dataset.name}, as the dataset has it (--model)" if silent else None
    return Model(dataset.name, size_s, assumed)


def _window_size(shards: Sequence[Shard], dataset: Model | None, *, is_free: bool) -> float | None:
    """Return the seconds of audio of all windows, None if they are not known or not the same."""
    known = {shard.window_size_s: shard.url for shard in shards if shard.window_size_s is not None}
    dataset_s = dataset.window_size_s if dataset else None
    for size_s, url in known.items():
        if dataset_s is not None and size_s != dataset_s and not is_free:
            raise UsageError(
                f"{CONFIG_NAME} in {url.rpartition('/')[0]} says that windows are {size_s:.15g} s "
                f"long, those of the dataset are {dataset_s:.15g} s: convert these shards into a "
                "dataset of their own. --model adds them anyway, if that file is wrong."
            )
    if dataset is not None:
        return dataset_s
    return next(iter(known)) if len(known) == 1 else None

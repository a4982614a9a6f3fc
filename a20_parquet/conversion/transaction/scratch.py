"""Scratch folders: folders of a conversion's runs, and which of them it may remove.

Runs are in the dataset's own ``conversion/runs``, or in folders elsewhere that were made for one
conversion. A plan may have been copied or forged: a scratch folder that it names is used and
removed only if a marker in the folder names this conversion of this dataset.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from a20_parquet.conversion.transaction.lock import guarded_like
from a20_parquet.dataset.layout import DatasetLayout, is_file_name
from a20_parquet.errors import UsageError
from a20_parquet.storage.files import TEMPORARY, remove_tree, write_whole
from a20_parquet.storage.path import AnyPath, parse_path, read_whole

INSIDE: Final = "runs"
"""Name of the folder in the dataset, whatever the path of the dataset."""
_MARKER: Final = ".a20-parquet-scratch.json"
_ELSEWHERE: Final = re.compile(r"(/|[A-Za-z][\w+.-]*:).*[/\\]a20-parquet-runs-[0-9a-f]{16}")


def _scratch_name(name: str) -> str:
    if name != INSIDE and not _ELSEWHERE.fullmatch(name):
        raise ValueError(f"{name!r} is not a scratch folder of a conversion")
    return name


ScratchName = Annotated[str, AfterValidator(_scratch_name)]
"""``INSIDE``, or the absolute path or URL of a folder that ``new_scratch`` named."""


class _Marker(BaseModel):
    """The conversion that a folder was made for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    """Absolute path or URL."""
    conversion: str
    """Identifier of its plan."""

    @classmethod
    def read(cls, folder: AnyPath) -> Self | None:
        """Read the marker of a folder; None if it has none."""
        try:
            return cls.model_validate_json(read_whole(folder / _MARKER))
        except (OSError, ValidationError):
            return None


def new_scratch(parent: str | Path | None) -> str:
    """Name a folder for the runs of a new conversion, inside the dataset if ``parent`` is None."""
    if parent is None:
        return INSIDE
    return str(parse_path(parent) / f"a20-parquet-runs-{secrets.token_hex(8)}")


def scratch_place(layout: DatasetLayout, name: str) -> AnyPath:
    """Return the path of a scratch folder; in a store it is guarded by the dataset's lock."""
    inside = layout.conversion / INSIDE
    return inside if name == INSIDE else guarded_like(layout, parse_path(name))


def make_scratch(layout: DatasetLayout, conversion: str, name: str) -> None:
    """Create the scratch folder ``name`` of a plan, or take it over if the dataset was moved.

    Raises:
        OSError: it cannot be created.
    """
    folder = scratch_place(layout, name)
    folder.mkdir(parents=True, exist_ok=True)
    marker = _Marker(dataset=str(layout.root), conversion=conversion)
    if name != INSIDE and _Marker.read(folder) != marker:
        write_whole(folder / _MARKER, marker.model_dump_json())


def own_scratch(layout: DatasetLayout, conversion: str, names: Sequence[str]) -> dict[str, AnyPath]:
    """Return the scratch folders in a plan that its own conversion made, by name."""
    own = {}
    for name in names:
        with suppress(UsageError):
            folder = scratch_place(layout, name)
            if name == INSIDE or _is_made_for(layout, conversion, folder):
                own[name] = folder
    return own


def _is_made_for(layout: DatasetLayout, conversion: str, folder: AnyPath) -> bool:
    if isinstance(folder, Path) and folder.is_symlink():
        return False
    if _is_hardly_made(folder):
        return True
    marker = _Marker.read(folder)
    if marker is None or marker.conversion != conversion:
        return False
    other = DatasetLayout.at(marker.dataset)
    if other.location == layout.location or _is_same_folder(other.root, layout.root):
        return True
    # A copy of an unfinished dataset must not use folders that the original still needs.
    return _conversion_at(other) != conversion


def _is_hardly_made(folder: AnyPath) -> bool:
    """Whether a folder exists and is empty, as before its marker is written."""
    if not isinstance(folder, Path) or not folder.is_dir():
        return False
    return {path.name for path in folder.iterdir()} <= {f"{_MARKER}{TEMPORARY}"}


def _is_same_folder(one: AnyPath, other: AnyPath) -> bool:
    if not (isinstance(one, Path) and isinstance(other, Path)):
        return False
    try:
        return one.samefile(other)
    except OSError:
        return False


def _conversion_at(layout: DatasetLayout) -> str | None:
    """Return the identifier of the unfinished conversion there, or None."""
    try:
        plan = json.loads(read_whole(layout.plan))
    except (OSError, ValueError):
        return None
    return plan.get("id") if isinstance(plan, dict) else None


def remove_scratch(folders: Sequence[AnyPath]) -> None:
    """Remove scratch folders that ``own_scratch`` returned."""
    for folder in folders:
        if folder.name != INSIDE:
            # The marker last: without it the owner of the runs is unknown.
            remove_tree(folder, keep=(_MARKER,))
        remove_tree(folder)


def stored_run(layout: DatasetLayout, path: str) -> str:
    """Return a run's path for a commit marker; relative in the dataset, which may be moved."""
    folder, _, name = path.rpartition("/")
    return f"{INSIDE}/{name}" if folder == str(layout.conversion / INSIDE) else path


def find_run(stored: str, own: Mapping[str, AnyPath]) -> str | None:
    """Return the path of a run in a commit marker; None if its folder is not in ``own``."""
    folder, _, name = stored.rpartition("/")
    if folder not in own or not is_file_name(name):
        return None
    return str(own[folder] / name)

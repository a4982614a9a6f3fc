"""Scratch folders: where the runs of a conversion lie, and which of them it may remove.

Runs are in the dataset's own ``conversion/runs``, or in folders elsewhere that were made for one
conversion. A plan may have been copied, or written by anybody: what it calls a scratch folder is
used, and removed, only where a marker in the folder names this conversion of this dataset.
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
"""What a plan calls the folder in the dataset, wherever the dataset lies."""
_MARKER: Final = ".a20-parquet-scratch.json"
_ELSEWHERE: Final = re.compile(r"(/|[A-Za-z][\w+.-]*:).*[/\\]a20-parquet-runs-[0-9a-f]{16}")


def _scratch_name(name: str) -> str:
    if name != INSIDE and not _ELSEWHERE.fullmatch(name):
        raise ValueError(f"{name!r} is not a scratch folder of a conversion")
    return name


ScratchName = Annotated[str, AfterValidator(_scratch_name)]
"""``INSIDE``, or the absolute path or URL of a folder that ``new_scratch`` has named."""


class _Marker(BaseModel):
    """Says for which conversion a folder was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    """Absolute path or URL."""
    conversion: str
    """Identifier of its plan."""

    @classmethod
    def read(cls, folder: AnyPath) -> Self | None:
        """Return None if the folder has no such marker."""
        try:
            return cls.model_validate_json(read_whole(folder / _MARKER))
        except (OSError, ValidationError):
            return None


def new_scratch(parent: str | Path | None) -> str:
    """Name a folder for the runs of a new conversion, in the dataset if there is no parent."""
    if parent is None:
        return INSIDE
    return str(parse_path(parent) / f"a20-parquet-runs-{secrets.token_hex(8)}")


def scratch_place(layout: DatasetLayout, name: str) -> AnyPath:
    """Where a scratch folder lies; nothing in a store changes there once the lock is lost."""
    inside = layout.conversion / INSIDE
    return inside if name == INSIDE else guarded_like(layout, parse_path(name))


def make_scratch(layout: DatasetLayout, conversion: str, name: str) -> None:
    """Make a scratch folder, or take over that of a dataset which was moved here.

    Args:
        layout: of the dataset.
        conversion: identifier of its plan.
        name: what the plan calls the folder.

    Raises:
        OSError: it cannot be made.
    """
    folder = scratch_place(layout, name)
    folder.mkdir(parents=True, exist_ok=True)
    marker = _Marker(dataset=str(layout.root), conversion=conversion)
    if name != INSIDE and _Marker.read(folder) != marker:
        write_whole(folder / _MARKER, marker.model_dump_json())


def own_scratch(layout: DatasetLayout, conversion: str, names: Sequence[str]) -> dict[str, AnyPath]:
    """Return those of a plan's scratch folders that its conversion made, by name."""
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
    # A copy of an unfinished dataset must not take what the original still needs.
    return _conversion_at(other) != conversion


def _is_hardly_made(folder: AnyPath) -> bool:
    """Whether a folder is there and holds nothing, as before its marker is written and after."""
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
    """Identifier of the conversion that is under way there, if any is."""
    try:
        plan = json.loads(read_whole(layout.plan))
    except (OSError, ValueError):
        return None
    return plan.get("id") if isinstance(plan, dict) else None


def remove_scratch(folders: Sequence[AnyPath]) -> None:
    """Remove scratch folders that ``own_scratch`` has returned."""
    for folder in folders:
        if folder.name != INSIDE:
            # The marker goes last: without it nothing tells whose the runs are.
            remove_tree(folder, keep=(_MARKER,))
        remove_tree(folder)


def stored_run(layout: DatasetLayout, path: str) -> str:
    """Name a run for a marker: one in the dataset moves with it."""
    folder, _, name = path.rpartition("/")
    return f"{INSIDE}/{name}" if folder == str(layout.conversion / INSIDE) else path


def located_run(stored: str, own: Mapping[str, AnyPath]) -> str | None:
    """Return where a run lies that a marker names; None if that is in no folder of one's own.

    Args:
        stored: what ``stored_run`` has returned.
        own: see ``own_scratch``.
    """
    folder, _, name = stored.rpartition("/")
    if folder not in own or not is_file_name(name):
        return None
    return str(own[folder] / name)

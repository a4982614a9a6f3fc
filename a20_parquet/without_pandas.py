"""Keeps pandas out of the command line's process, which has no use for it."""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Hidden(MetaPathFinder, Loader):
    """Finds a pandas that can't be imported."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        del path, target
        return ModuleSpec(name, self) if name == "pandas" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Needed by whoever asks whether this is a loader."""


def hide_pandas() -> None:
    """Make pandas look as if it were not installed, for what is imported from now on.

    pyarrow imports it for its first array, and TensorFlow when it is imported itself: where it is
    installed that takes as long as all other imports of a conversion.
    """
    sys.meta_path.insert(0, _Hidden())

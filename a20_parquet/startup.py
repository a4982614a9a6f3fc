"""What keeps the command line's process, which does one thing, from wasting time on others."""

import gc
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
    if not any(isinstance(finder, _Hidden) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Hidden())


def collect_seldom() -> None:
    """Look for garbage a hundred times less often than Python does by default.

    Nearly all objects of a process that starts and soon ends are what it imports, which stays.
    """
    gc.set_threshold(70_000)

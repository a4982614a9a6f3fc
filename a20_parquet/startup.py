"""Start-up optimizations for the command line."""

import gc
import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Hidden(MetaPathFinder, Loader):
    """Import hook that makes pandas look as if it were not installed."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        del path, target
        return ModuleSpec(name, self) if name == "pandas" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Never called, but a loader must have it."""


def hide_pandas() -> None:
    """Make pandas look as if it were not installed, for later imports.

    pyarrow imports it for its first array, and TensorFlow at its own import; that takes as long as
    all other imports of a conversion.
    """
    if not any(isinstance(finder, _Hidden) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Hidden())


def skip_plugins() -> None:
    """Keep pydantic from looking through all installed packages for plugins."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def collect_seldom() -> None:
    """Collect garbage a hundred times less often than by default.

    Nearly all objects of a short process come from imports, and stay.
    """
    gc.set_threshold(70_000)

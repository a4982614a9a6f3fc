"""Datasets in local folders, as tests look into them."""

from typing import TYPE_CHECKING

from a20_parquet.dataset.layout import DatasetLayout

if TYPE_CHECKING:
    from pathlib import Path


class LocalLayout(DatasetLayout):
    """A dataset in a local folder: its places are paths."""

    if TYPE_CHECKING:
        root: Path
        data: Path
        manifest: Path
        files: Path
        sites: Path
        quarantine: Path
        conversion: Path
        lock: Path
        plan: Path
        sorted: Path
        units: Path
        staged_quarantine: Path
        staged_files: Path
        staged_sites: Path
        commit: Path

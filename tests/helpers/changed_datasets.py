"""A dataset after the changes that conversions make to it."""

import shutil
from pathlib import Path

import a20_parquet
from tests.helpers.duckdb_windows import DIMS
from tests.helpers.shards import make_record, random_tensor, write_shard


def change(dataset: Path, root: Path) -> list[Path]:
    """Copy a dataset of ``convert_odd_values`` and change the copies.

    Args:
        dataset: stays as it is.
        root: an empty folder for the copies.

    Returns:
        The dataset after an append, then after a retry of what that put in quarantine (windows
        without a date), then after an overwrite by the appended shard alone.
    """
    names = ["site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac", "odd.wav"]
    records = [make_record(random_tensor((6, 1, DIMS), 99), name, 3600.0) for name in names]
    write_shard(root / "in" / "b-00000-of-00001", records)
    appended, retried, overwritten = (root / name for name in ("append", "retry", "overwrite"))
    shutil.copytree(dataset, appended)
    a20_parquet.convert(root / "in", appended, decoder="wire")
    shutil.copytree(appended, retried)
    a20_parquet.convert(retried / "quarantine", retried, unknown_site="Site-3", decoder="wire")
    shutil.copytree(retried, overwritten)
    a20_parquet.convert(root / "in", overwritten, decoder="wire", overwrite=True)
    return [appended, retried, overwritten]

"""Windows with features, for tests."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.windows.schema import Feature, window_schema
from tests.helpers.parquet_files import windows

Mask = npt.NDArray[np.bool_]
"""One item a row."""


def feature_array(size: int, valid: Mask, seed: int = 0) -> Any:
    """Lists of floats of any bits, NaN with payloads among them, null where not ``valid``."""
    words = np.random.default_rng(seed).integers(0, 2**32, len(valid) * size, np.uint32)
    kind = Feature("any", size).column.type
    floats = pa.array(words.view(np.float32))
    return pa.FixedSizeListArray.from_arrays(floats, type=kind, mask=pa.array(~valid))


def windows_with(features: Mapping[Feature, Mask], rows: int, dims: int, seed: int = 0) -> Any:
    """Windows with features, of each of which a mask tells where it is not null."""
    batch = windows(rows, dims, seed=seed)
    arrays = [
        feature_array(feature.size, valid, seed + index)
        for index, (feature, valid) in enumerate(features.items())
    ]
    schema = window_schema(dims, tuple(features))
    return pa.record_batch([*batch.columns, *arrays], schema=schema)


def list_bits(column: Any) -> tuple[list[bool], list[int]]:
    """Which lists of an Arrow column are not null, and the bits of their floats."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    floats = column.drop_null().flatten()
    return column.is_valid().to_pylist(), floats.view(pa.int32()).to_pylist()

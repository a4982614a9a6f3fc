"""Values of further features as records hold them: one list or tensor for all windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.windows.schema import Feature, FeatureKind, FeatureScope

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """A feature's values in some rows.

    Raises:
        pa.ArrowException: the column is not the feature's.
    """

    feature: Feature
    present: npt.NDArray[np.bool_]
    """Whether each row has a value, shape ``(rows,)``."""
    values: npt.NDArray[Any]
    """Float32, int64, or bytes as objects; shape ``(rows, width)``."""
    codes: npt.NDArray[np.int64]
    """Numbers that are equal where values have the same bits, shape ``(rows, width)``."""

    @classmethod
    def of(cls, feature: Feature, column: Any) -> "FeatureRows":
        """Take the values of a column of ``feature.column.type``."""
        present = column.is_valid().to_numpy(zero_copy_only=False)
        if feature.kind.is_text:
            encoded = column.cast(pa.binary()).dictionary_encode()
            codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            texts = np.array([*encoded.dictionary.to_pylist(), b""], object)
            return cls(feature, present, texts[codes][:, None], codes.astype(np.int64)[:, None])
        flat = column
        if feature.is_list:
            start = column.offset * feature.size
            flat = column.values.slice(start, len(column) * feature.size)
        values = flat.fill_null(0).to_numpy(zero_copy_only=False).reshape(-1, feature.width)
        values = np.ascontiguousarray(values)
        bits = np.int32 if values.dtype == np.float32 else np.int64
        codes = values.view(bits).astype(np.int64)
        return cls(feature, present, values, np.where(present[:, None], codes, 0))

    def continues(self, rows: Numbers, before: Numbers, *, in_window: bool) -> Any:
        """Say for pairs of rows whether a record may hold both.

        Args:
            rows: numbers of rows.
            before: the row before each of them.
            in_window: whether each pair is two channels of a window.
        """
        same = self.present[rows] == self.present[before]
        kind, scope = self.feature.kind, self.feature.scope
        is_shared = scope is FeatureScope.RECORD or (in_window and scope is FeatureScope.WINDOW)
        if is_shared and kind is not FeatureKind.TENSOR:
            same &= (self.codes[rows] == self.codes[before]).all(axis=1)
        return same

    def of_record(self, rows: Numbers) -> npt.NDArray[Any] | None:
        """Return the values of a record; None if it lacks the feature.

        Args:
            rows: of the record, shape ``(windows, channels)``.

        Returns:
            A tensor's, shape ``(windows, channels, size)``; else those of a list, flat.
        """
        if not self.present[rows[0, 0]]:
            return None
        if self.feature.kind is FeatureKind.TENSOR:
            tensor: npt.NDArray[Any] = self.values[rows]
            return tensor
        match self.feature.scope:
            case FeatureScope.RECORD:
                rows = rows[:1, :1]
            case FeatureScope.WINDOW:
                rows = rows[:, :1]
        flat: npt.NDArray[Any] = self.values[rows].reshape(-1)
        return flat


def feature_rows(features: Sequence[Feature], windows: Any) -> tuple[FeatureRows, ...]:
    """Take the features' values of a record batch of windows."""
    return tuple(FeatureRows.of(each, windows.column(each.name)) for each in features)

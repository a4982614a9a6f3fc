"""Computes the bounds of data files from their rows."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from a20_parquet.dataset.file_bounds import FileBounds

_INT64: Final = np.iinfo(np.int64)
_LONGEST: Final = 128
"""Most characters of a filename in the bounds: the list of files is read for each query. Not bytes:
texts that are cut within a character would change their order, and merged bounds with it."""
_LAST_CHARACTER: Final = "\U0010ffff"
# UTF-8 has no surrogates.
_BEFORE_SURROGATES, _AFTER_SURROGATES = "\ud7ff", "\ue000"


def bound_groups(metadata: Any, rows: Sequence[int]) -> list[FileBounds]:
    """Compute the bounds of consecutive groups of rows.

    Args:
        metadata: a ``pyarrow.RecordBatch`` with the columns ``filename``, ``file_seq_id`` and
            ``site_id``.
        rows: of each group, 1 or more; together those of ``metadata``.
    """
    ends = np.cumsum(np.asarray(rows, np.int64))
    starts = np.append(0, ends[:-1])
    names = _bound_names(metadata.column("filename"), starts)
    ids = _bound_ids(metadata.column("file_seq_id"), starts)
    null_sites = _count_nulls(metadata.column("site_id"), starts)
    return [
        FileBounds(
            first_filename=_shorten(first),
            last_filename=_shorten_up(last),
            first_file_seq_id=None if nulls == count else least,
            last_file_seq_id=None if nulls == count else most,
            null_file_seq_ids=nulls,
            null_site_ids=no_site,
        )
        for first, last, least, most, nulls, no_site, count in zip(
            *names, *ids, null_sites, rows, strict=True
        )
    ]


def merge_bounds(parts: Iterable[FileBounds]) -> FileBounds:
    """Return the bounds of all rows of several parts, at least one."""
    all_parts = tuple(parts)
    lasts = [part.last_filename for part in all_parts]
    least = [part.first_file_seq_id for part in all_parts if part.first_file_seq_id is not None]
    most = [part.last_file_seq_id for part in all_parts if part.last_file_seq_id is not None]
    return FileBounds(
        # Python compares code points, which is the order of UTF-8 bytes.
        first_filename=min(part.first_filename for part in all_parts),
        last_filename=None if None in lasts else max(last for last in lasts if last is not None),
        first_file_seq_id=min(least, default=None),
        last_file_seq_id=max(most, default=None),
        null_file_seq_ids=sum(part.null_file_seq_ids for part in all_parts),
        null_site_ids=sum(part.null_site_ids for part in all_parts),
    )


class _NameBounds(NamedTuple):
    """Items are texts, one per group."""

    first: list[str]
    last: list[str]


class _IdBounds(NamedTuple):
    """Items are one per group; ``least`` and ``most`` mean nothing if all are null."""

    least: list[int]
    most: list[int]
    nulls: list[int]


def _bound_names(names: Any, starts: npt.NDArray[np.int64]) -> _NameBounds:
    # A recording has many windows: only distinct names are compared as texts.
    if len(starts) == 1:
        limits = pc.min_max(names)
        return _NameBounds([limits["min"].as_py()], [limits["max"].as_py()])
    encoded = names.dictionary_encode()
    in_order = encoded.dictionary.take(pc.array_sort_indices(encoded.dictionary))
    rank = pc.index_in(encoded.dictionary, in_order).to_numpy()[encoded.indices.to_numpy()]
    firsts, lasts = (
        in_order.take(pa.array(function.reduceat(rank, starts))).to_pylist()
        for function in (np.minimum, np.maximum)
    )
    return _NameBounds(firsts, lasts)


def _bound_ids(ids: Any, starts: npt.NDArray[np.int64]) -> _IdBounds:
    least = np.minimum.reduceat(ids.fill_null(_INT64.max).to_numpy(), starts)
    most = np.maximum.reduceat(ids.fill_null(_INT64.min).to_numpy(), starts)
    return _IdBounds(least.tolist(), most.tolist(), _count_nulls(ids, starts))


def _count_nulls(values: Any, starts: npt.NDArray[np.int64]) -> list[int]:
    if not values.null_count:
        return [0] * len(starts)
    is_null = values.is_null().to_numpy(zero_copy_only=False)
    counts: list[int] = np.add.reduceat(is_null, starts, dtype=np.int64).tolist()
    return counts


def _shorten(text: str) -> str:
    """Return a short text that is not after ``text``."""
    return text[:_LONGEST]


def _shorten_up(text: str) -> str | None:
    """Return a short text that is not before ``text``, None if there is none."""
    cut = _shorten(text)
    if cut == text:
        return text
    kept = cut.rstrip(_LAST_CHARACTER)
    if not kept:
        return None
    last = kept[-1]
    raised = _AFTER_SURROGATES if last == _BEFORE_SURROGATES else chr(ord(last) + 1)
    return kept[:-1] + raised

"""Digests of what a window holds, bit for bit."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

DIGEST_BYTES = 16
"""128 bits: among a trillion windows two that differ share one with a chance of 1 in 10^15."""

_ABSENT, _PRESENT = b"\0", b"\1"


def content_digests(
    embeddings: npt.NDArray[np.float32], features: Sequence[Any] = ()
) -> Iterator[bytes]:
    """Digest each window's embedding and further features: equal when all their bits are.

    Args:
        embeddings: shape ``(rows, dims)``, C-contiguous.
        features: for each further feature an Arrow array, fixed-size lists of float32 that may be
            null; the same features in the same order wherever digests are compared.

    Yields:
        For each row the BLAKE2b of the little-endian floats, ``DIGEST_BYTES`` long.
    """
    tables = [
        (feature.is_valid().to_numpy(zero_copy_only=False), _floats(feature))
        for feature in features
    ]
    for row, embedding in enumerate(_little_endian(embeddings)):
        digest = hashlib.blake2b(embedding, digest_size=DIGEST_BYTES)
        for valid, floats in tables:
            digest.update(_PRESENT if valid[row] else _ABSENT)
            if valid[row]:
                digest.update(floats[row])
        yield digest.digest()


def _floats(lists: Any) -> npt.NDArray[np.float32]:
    """The values of fixed-size lists, shape ``(rows, size)``; anything where they are null."""
    size = lists.type.list_size
    values = lists.values.slice(lists.offset * size, len(lists) * size)
    return _little_endian(values.to_numpy(zero_copy_only=False).reshape(-1, size))


def _little_endian(floats: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(floats, np.dtype("<f4"))


@dataclass(frozen=True, slots=True)
class WindowBlock:
    """Some windows of a dataset or of a shard."""

    metadata: Any
    """A record batch that holds the columns of ``metadata_schema()``; those of a shard also
    ``record``, the record's number in the shard."""
    embeddings: npt.NDArray[np.float32]
    """Shape ``(rows, dims)``, C-contiguous."""

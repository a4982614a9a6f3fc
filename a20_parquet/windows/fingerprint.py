"""Digests of windows' contents, bit for bit."""

import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from a20_parquet.windows.schema import METADATA

DIGEST_BYTES = 16
"""128 bits: two of a trillion different windows share a digest with a chance of 1 in 10^15."""

_ABSENT, _PRESENT = b"\0", b"\1"


def content_digests(
    embeddings: npt.NDArray[np.float32], features: Sequence[Any] = ()
) -> Iterator[bytes]:
    """Digest each window's embedding and further features: equal if all their bits are.

    Args:
        embeddings: shape ``(rows, dims)``, C-contiguous.
        features: an Arrow array for each further feature (fixed-size lists, numbers or texts, with
            or without nulls), in the same order wherever digests are compared.

    Yields:
        For each row the BLAKE2b of the little-endian numbers, ``DIGEST_BYTES`` long.
    """
    columns = [
        (feature.is_valid().to_numpy(zero_copy_only=False), _contents(feature))
        for feature in features
    ]
    for row, embedding in enumerate(np.ascontiguousarray(embeddings, np.dtype("<f4"))):
        digest = hashlib.blake2b(embedding, digest_size=DIGEST_BYTES)
        for valid, contents in columns:
            digest.update(_PRESENT if valid[row] else _ABSENT)
            if valid[row]:
                digest.update(contents[row])
        yield digest.digest()


def _contents(column: Any) -> Any:
    """The bytes of each row; undefined if a row is null."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        texts: list[bytes | None] = column.cast(pa.binary()).to_pylist()
        # The length keeps the texts of two columns apart.
        return [len(text or b"").to_bytes(4, "little") + (text or b"") for text in texts]
    size, items = 1, column
    if pa.types.is_fixed_size_list(kind):
        size = kind.list_size
        items = column.values.slice(column.offset * size, len(column) * size)
    item = np.dtype(items.type.to_pandas_dtype()).newbyteorder("<")
    first = items.offset * item.itemsize
    stored = memoryview(items.buffers()[1] or b"")[first : first + len(items) * item.itemsize]
    return np.frombuffer(stored, item).reshape(-1, size)


@dataclass(frozen=True, slots=True)
class WindowBlock:
    """Windows of a dataset or of a shard."""

    metadata: Any
    """A record batch with the columns of ``metadata_schema()``; of a shard also ``record``, the
    record's number in the shard."""
    embeddings: npt.NDArray[np.float32]
    """Shape ``(rows, dims)``, C-contiguous."""


BlockSink: TypeAlias = Callable[[str, WindowBlock], None]
"""Called from any thread with the name of a shard or file and its windows, which are valid until it
returns."""

BUCKETS = 1 << 16
"""Number of groups into which windows are divided by their names."""

Buckets: TypeAlias = npt.NDArray[np.uint32]
"""Group of each window."""

Hashes: TypeAlias = npt.NDArray[np.uint64]
"""Hash of each window's name and content, shape ``(rows, 2)``."""

_COMPARED = [
    column.name
    for column in METADATA
    if column.name not in {"filename", "recording_offset_in_file", "channel"}
]
_TAIL = np.dtype([("offset", "<f8"), ("channel", "<i2")])


def window_hashes(
    block: WindowBlock, features: Sequence[str] = (), among: npt.NDArray[np.bool_] | None = None
) -> tuple[npt.NDArray[np.int64], Buckets, Hashes]:
    """Hash windows: equal if metadata, embedding and features are, bit for bit.

    The bucket follows from filename, offset and channel alone, so that windows of one name meet.

    Args:
        block: the windows.
        features: names of the further features to include.
        among: hash only windows of these buckets, shape ``(BUCKETS,)``; None for all.

    Returns:
        Rows of the block, their buckets and their hashes.
    """
    names = block.metadata.column("filename").cast(pa.binary()).to_pylist()
    tails = np.empty(len(names), _TAIL)
    tails["offset"] = block.metadata.column("recording_offset_in_file").to_numpy()
    tails["channel"] = block.metadata.column("channel").to_numpy()
    tail = tails.tobytes()
    size = _TAIL.itemsize
    keys = [name + tail[row * size : (row + 1) * size] for row, name in enumerate(names)]
    buckets = np.array([zlib.crc32(key) % BUCKETS for key in keys], np.uint32)
    rows = np.arange(len(keys)) if among is None else np.flatnonzero(among[buckets])
    embeddings, arrays = block.embeddings, [block.metadata.column(name) for name in features]
    if len(rows) < len(keys):
        embeddings = embeddings[rows]
        arrays = [array.take(pa.array(rows)) for array in arrays]
    digests = content_digests(embeddings, arrays)
    others = _other_columns(block.metadata)
    hashes = b"".join(
        hashlib.blake2b(keys[row] + others[row] + digest, digest_size=DIGEST_BYTES).digest()
        for row, digest in zip(rows.tolist(), digests, strict=True)
    )
    return rows, buckets[rows], np.frombuffer(hashes, np.uint64).reshape(-1, 2)


def _other_columns(metadata: Any) -> list[bytes]:
    """Bytes of each row's columns except its name; a null differs from any value."""
    names = [name for name in _COMPARED if name in metadata.schema.names]
    columns = [metadata.column(name) for name in names]
    numbers = [column for column in columns if not pa.types.is_string(column.type)]
    values = np.zeros((len(metadata), 2 * len(numbers)), "<i8")
    for index, column in enumerate(numbers):
        values[:, 2 * index] = column.cast(pa.int64()).fill_null(0).to_numpy()
        values[:, 2 * index + 1] = column.is_valid().to_numpy(zero_copy_only=False)
    texts = [column.to_pylist() for column in columns if pa.types.is_string(column.type)]
    texts_of = [repr(row).encode() for row in zip(*texts, strict=True)] or [b""] * len(metadata)
    return [row.tobytes() + text for row, text in zip(values, texts_of, strict=True)]


class Fingerprint:
    """Sums of windows' hashes, bucket by bucket: equal for the same windows in any order.

    A bucket's hashes are added up as two numbers modulo 2**64 each.

    Attributes:
        counts: number of windows of each bucket.
        sums: sum of each bucket's hashes.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(BUCKETS, np.int64)
        self.sums = np.zeros((BUCKETS, 2), np.uint64)

    def add(self, buckets: Buckets, hashes: Hashes) -> None:
        """Add windows."""
        np.add.at(self.counts, buckets, 1)
        np.add.at(self.sums, buckets, hashes)

    def differing(self, other: "Fingerprint") -> npt.NDArray[np.int64]:
        """Return the buckets whose windows differ from those of ``other``."""
        same = (self.sums == other.sums).all(axis=1) & (self.counts == other.counts)
        return np.flatnonzero(~same)


@dataclass(frozen=True, slots=True)
class HashDifference:
    """Hashes that occur a different number of times in a dataset and its shards."""

    frame: pl.DataFrame
    """One row per hash: ``bucket``, ``high``, ``low``."""

    @classmethod
    def of(
        cls,
        shards: tuple[Buckets, Hashes],
        dataset: tuple[Buckets, Hashes],
        *,
        as_sets: bool,
        in_part: bool = False,
    ) -> Self:
        """Compare hashes.

        Args:
            shards: of the windows in the shards, in any order.
            dataset: of the windows in the dataset, in any order.
            as_sets: whether to ignore how often a hash occurs.
            in_part: whether the dataset may have windows of further shards.
        """
        keys = ["bucket", "high", "low"]
        counted = _counted(*shards).join(
            _counted(*dataset), on=keys, how="full", coalesce=True, suffix=" dataset"
        )
        times = [pl.col("len").fill_null(0), pl.col("len dataset").fill_null(0)]
        if as_sets:
            times = [each.clip(0, 1) for each in times]
        differ = times[0] > times[1] if in_part else times[0] != times[1]
        return cls(counted.filter(differ).select(keys))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Join differences without common buckets."""
        return cls(pl.concat(part.frame for part in parts).sort("bucket", "high", "low"))

    def __len__(self) -> int:
        """Count the hashes."""
        return len(self.frame)

    def first(self, most: int) -> Self:
        """The hashes of the first buckets: about ``most``, because no bucket is divided."""
        if len(self) <= most:
            return self
        last = self.frame["bucket"][most - 1]
        return type(self)(self.frame.filter(pl.col("bucket") <= last))

    def buckets(self) -> npt.NDArray[np.bool_]:
        """The buckets of the hashes as a mask, shape ``(BUCKETS,)``."""
        mask = np.zeros(BUCKETS, np.bool_)
        mask[self.frame["bucket"].to_numpy()] = True
        return mask

    def hashes(self) -> frozenset[bytes]:
        """The hashes."""
        content = np.ascontiguousarray(self.frame.select("high", "low").to_numpy()).tobytes()
        starts = range(0, len(content), DIGEST_BYTES)
        return frozenset(content[start : start + DIGEST_BYTES] for start in starts)


def _counted(buckets: Buckets, hashes: Hashes) -> pl.DataFrame:
    frame = pl.DataFrame({"bucket": buckets, "high": hashes[:, 0], "low": hashes[:, 1]})
    return frame.group_by("bucket", "high", "low").len().with_columns(pl.col("len").cast(pl.Int64))

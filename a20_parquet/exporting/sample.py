"""A stratified sample of windows that depends on the windows alone."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from a20_parquet.checks import check_count
from a20_parquet.errors import UsageError
from a20_parquet.formatting import first_names

Hashes = npt.NDArray[np.uint64]

KEY_COLUMNS: Final = ("filename", "recording_offset_in_file", "channel")
"""What identifies a window."""
NUMBER: Final = "a20_number"
"""Column with the number of a window in the dataset."""
_HASH: Final = "a20_hash"
_LOCAL: Final = "window_start_local"
_DERIVED: Final = {
    "date": pl.col(_LOCAL).dt.date(),
    "month": pl.col(_LOCAL).dt.strftime("%Y-%m"),
    "year": pl.col(_LOCAL).dt.year(),
    "hour": pl.col(_LOCAL).dt.hour(),
}
"""Groups by local time, for datasets that lack the column."""
_MOST_SEED: Final = (1 << 63) - 1
_MOST_SAMPLE: Final = 1 << 31
# Candidates to collect before those that cannot be in the sample are dropped.
_BUFFERED: Final = 1 << 18
# Constants of SplitMix64, a generator whose output passes tests of randomness.
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_FACTOR: Final = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Up to ``most`` windows of each group, those with the smallest hashes of their keys.

    The hash depends on filename, offset, channel and ``seed`` alone. Windows that share all three
    are taken in the dataset's order.
    """

    per: tuple[str, ...]
    """Columns whose values make groups."""
    most: int
    seed: int

    @classmethod
    def of(
        cls, per: str | Sequence[str], most: object, seed: object, schema: Mapping[str, Any]
    ) -> "Sample":
        """Check user input.

        Args:
            per: names of columns, or one text with commas.
            most: windows of each group.
            seed: a whole number.
            schema: type of each column of the dataset.

        Raises:
            UsageError: a column does not exist or cannot make groups, or a number is not valid.
        """
        names = per.split(",") if isinstance(per, str) else [*per]
        columns = tuple(dict.fromkeys(name.strip() for name in names))
        for name in columns:
            kind = schema.get(name)
            if kind is None and name not in _DERIVED:
                known = [*(n for n, t in schema.items() if not t.is_nested()), *_DERIVED]
                raise UsageError(
                    f"--per: there is no column {name!r}, expected one or more of "
                    f"{', '.join(dict.fromkeys(known))}"
                )
            if kind is not None and kind.is_nested():
                raise UsageError(f"--per: the lists of column {name!r} make no groups")
        return cls(
            per=columns,
            most=check_count("per", most, most=_MOST_SAMPLE),
            seed=check_count("seed", seed, least=0, most=_MOST_SEED),
        )

    def columns(self, schema: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the columns that it needs."""
        groups = (name if name in schema else _LOCAL for name in self.per)
        return tuple(dict.fromkeys((*KEY_COLUMNS, *groups)))

    def candidates(self, windows: pl.DataFrame) -> pl.DataFrame:
        """Return those of some windows that may be in the sample.

        Args:
            windows: ``columns()`` and ``NUMBER``.

        Returns:
            A column for each of ``per``, the hash and ``NUMBER``.
        """
        groups = [
            (pl.col(name) if name in windows.columns else _DERIVED[name]).alias(name)
            for name in self.per
        ]
        hashes = pl.Series(_HASH, key_hashes(windows, self.seed), pl.UInt64)
        return self._smallest(windows.select(*groups, hashes, NUMBER))

    def _smallest(self, candidates: pl.DataFrame) -> pl.DataFrame:
        return (
            candidates.sort(_HASH, NUMBER).group_by(self.per, maintain_order=True).head(self.most)
        )


class SampleCollector:
    """Collects the candidates of batches; for one thread."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._found: list[pl.DataFrame] = []
        self._buffered = 0
        self._most = _BUFFERED

    def add(self, candidates: pl.DataFrame) -> None:
        """Add candidates of a batch."""
        self._found.append(candidates)
        self._buffered += len(candidates)
        if self._buffered > self._most:
            self._compact()
            self._most = max(_BUFFERED, 2 * self._buffered)

    def _compact(self) -> pl.DataFrame:
        whole = self._sample._smallest(pl.concat(self._found))  # noqa: SLF001 - of this file
        self._found, self._buffered = [whole], len(whole)
        return whole

    def finish(self) -> tuple[npt.NDArray[np.int64], pl.DataFrame]:
        """Return the numbers of the windows in the sample, ascending, and ``count`` by group."""
        if not self._found:
            return np.zeros(0, np.int64), pl.DataFrame()
        whole = self._compact()
        per = self._sample.per
        groups = whole.group_by(per).len("count").sort(per)
        return np.sort(whole[NUMBER].to_numpy()), groups


def describe_small(groups: pl.DataFrame, most: int, named: int = 3) -> str | None:
    """Say which groups have fewer than ``most`` windows; None if there is none."""
    small = groups.filter(pl.col("count") < most) if len(groups) else groups
    if not len(small):
        return None
    texts = ["/".join(map(str, row[:-1])) + f" ({row[-1]:,})" for row in small.head(named).rows()]
    texts += [""] * (len(small) - len(texts))
    return (
        f"{len(small):,} of {len(groups):,} groups have fewer than {most:,} windows, all taken: "
        f"{first_names(texts, named)}"
    )


def key_hashes(windows: pl.DataFrame, seed: int) -> Hashes:
    """Hash the keys of windows; the same on every machine.

    Args:
        windows: with ``KEY_COLUMNS``.
        seed: from 0 to 2^63 - 1.
    """
    encoded = windows["filename"].to_arrow().cast(pa.string()).dictionary_encode()
    salt = seed.to_bytes(8, "little")
    digests = b"".join(
        hashlib.blake2b(name.encode(), digest_size=8, salt=salt).digest()
        for name in encoded.dictionary.to_pylist()
    )
    of_name = np.frombuffer(digests, "<u8").astype(np.uint64)
    # Adding 0 turns -0 into 0.
    offset = (windows["recording_offset_in_file"].to_numpy() + 0.0).view(np.uint64)
    channel = windows["channel"].to_numpy().astype(np.uint64)
    hashes = of_name[encoded.indices.to_numpy()] if len(windows) else np.zeros(0, np.uint64)
    for part in (offset, channel):
        hashes = _mix(hashes ^ _mix(part))
    return hashes


def _mix(values: Hashes) -> Hashes:
    values = values + _STEP
    values = (values ^ (values >> np.uint64(30))) * _FIRST_FACTOR
    values = (values ^ (values >> np.uint64(27))) * _SECOND_FACTOR
    return values ^ (values >> np.uint64(31))

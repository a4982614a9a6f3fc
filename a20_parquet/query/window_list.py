"""A list of windows, each named by its recording, offset and channel."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

import polars as pl

from a20_parquet.checks import check_count
from a20_parquet.errors import UsageError

FILENAME, OFFSET, CHANNEL = "filename", "recording_offset_in_file", "channel"
KEYS: Final = (FILENAME, OFFSET, CHANNEL)

WindowNames: TypeAlias = pl.DataFrame | Iterable[Sequence[Any]]
"""``(filename, offset)`` or ``(filename, offset, channel)`` of each window, or a frame with the
columns ``filename``, ``recording_offset_in_file`` and, if wanted, ``channel``. Offsets are in
seconds."""

_SAME_OFFSET_S = 5e-4
_FLOAT32_STEP = 2.0**-23


def offset_tolerance(offset_s: float) -> float:
    """Seconds by which a typed offset may differ from the window's: shards have float32 offsets."""
    return max(_SAME_OFFSET_S, _FLOAT32_STEP * abs(offset_s))


@dataclass(frozen=True, slots=True)
class WindowList:
    """Windows to look up, in the order in which they are wanted."""

    items: pl.DataFrame
    """``filename``, ``recording_offset_in_file`` (seconds, finite) and ``channel``; no nulls."""

    @classmethod
    def of(cls, windows: WindowNames, channel: int) -> Self:
        """Parse a list of windows.

        Args:
            windows: the list.
            channel: of windows for which none is given.

        Raises:
            UsageError: an item has another form.
        """
        channel = check_count("channel", channel, least=0)
        frame = windows if isinstance(windows, pl.DataFrame) else _framed(windows, channel)
        if CHANNEL not in frame.columns:
            frame = frame.with_columns(pl.lit(channel).alias(CHANNEL))
        try:
            found = frame.select(
                pl.col(FILENAME).cast(pl.String),
                pl.col(OFFSET).cast(pl.Float64),
                pl.col(CHANNEL).cast(pl.Int16),
            )
        except pl.exceptions.PolarsError as error:
            raise UsageError(f"the list of windows cannot be read: {error}") from error
        is_good = pl.all_horizontal(pl.all().is_not_null()) & pl.col(OFFSET).is_finite()
        if len(bad := found.filter(~is_good)):
            raise UsageError(
                f"{bad.row(0)} does not name a window: each value must be given, and finite."
            )
        return cls(found)

    @property
    def filter(self) -> pl.Expr:
        """A filter that windows pass which are near one of the list, as ``find`` compares them."""
        names = self.items[FILENAME].unique()
        is_near = pl.map_batches(
            [pl.col(name) for name in KEYS],
            lambda columns: self._are_near(pl.DataFrame(list(columns))),
            return_dtype=pl.Boolean,
        )
        return pl.col(FILENAME).is_in(names.implode()) & is_near

    def find(self, windows: pl.DataFrame) -> pl.Series:
        """Find each item of the list among windows.

        Args:
            windows: with the columns ``KEYS``, in the dataset's order.

        Returns:
            For each item the row of the window with the nearest offset, the first one of several,
            if it is near enough; else null.
        """
        rows = (
            windows.select(KEYS)
            .with_row_index("row")
            .unique(KEYS, keep="first", maintain_order=True)
            .with_columns(at=pl.col(OFFSET))
        )
        found = _nearest(self.items.with_row_index("item"), rows).sort("item")
        return found.select(pl.when(_is_near(OFFSET, "at")).then("row")).to_series()

    def _are_near(self, windows: pl.DataFrame) -> pl.Series:
        rows = windows.with_row_index("row").filter(
            pl.col(FILENAME).is_in(self.items[FILENAME].unique().implode())
        )
        found = _nearest(rows, self.items.with_columns(at=pl.col(OFFSET)))
        near = found.filter(_is_near("at", OFFSET))["row"]
        all_rows = pl.int_range(len(windows), dtype=pl.UInt32, eager=True)
        return all_rows.is_in(near.implode())


def _framed(windows: Iterable[Sequence[Any]], channel: int) -> pl.DataFrame:
    names: list[str] = []
    offsets_s: list[float] = []
    channels: list[int] = []
    for each in windows:
        try:
            filename, offset_s, of_channel = each if len(each) == len(KEYS) else (*each, channel)
            offsets_s.append(float(offset_s))
            channels.append(int(of_channel))
        except (TypeError, ValueError) as error:
            raise _no_window(each) from error
        if not isinstance(filename, str):
            raise _no_window(each)
        names.append(filename)
    kinds = {FILENAME: pl.String, OFFSET: pl.Float64, CHANNEL: pl.Int64}
    return pl.DataFrame({FILENAME: names, OFFSET: offsets_s, CHANNEL: channels}, schema=kinds)


def _no_window(item: object) -> UsageError:
    return UsageError(
        f"{item!r} does not name a window, expected (filename, offset in seconds) or (filename, "
        "offset, channel)."
    )


def _nearest(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """Join each row of ``left`` with the one of ``right`` that has the nearest offset."""
    return left.sort(OFFSET, maintain_order=True).join_asof(
        right.sort(OFFSET, maintain_order=True),
        on=OFFSET,
        by=[FILENAME, CHANNEL],
        strategy="nearest",
        check_sortedness=False,
    )


def _is_near(asked: str, found: str) -> pl.Expr:
    away_s = (pl.col(asked) - pl.col(found)).abs()
    least_s = pl.max_horizontal(pl.lit(_SAME_OFFSET_S), _FLOAT32_STEP * pl.col(asked).abs())
    return away_s <= least_s

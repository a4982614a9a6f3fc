"""What a user asks an export for, checked, and what to say about it afterwards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.options import ListedFile
from a20_parquet.dataset.summaries import Origin
from a20_parquet.dataset.where import parse_where
from a20_parquet.dataset.window_list_file import read_window_list
from a20_parquet.errors import NoWindowsError, UsageError
from a20_parquet.exporting.sample import Sample, describe_small
from a20_parquet.exporting.select_rows import Found, Part
from a20_parquet.formatting import format_count
from a20_parquet.windows.window_list import RECORD_S, ListForm, WindowMatcher


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """Which windows to export."""

    part: Part
    origin: Origin
    """The same, for the manifest."""
    assumed: tuple[str, ...]
    """Lists whose records are taken to last a minute."""

    @classmethod
    def of(  # noqa: PLR0913, PLR0917 - the options that select
        cls,
        catalog: Catalog,
        where: str | None,
        windows: str | Path | None,
        exclude: str | Path | None,
        per: tuple[str | Sequence[str], int] | None,
        seed: int,
    ) -> Self:
        """Check options and read the lists; see ``export``.

        Raises:
            UsageError: one of them is invalid.
        """
        schema = catalog.schema
        condition = None if where is None else parse_where(where, schema)
        sample = None if per is None else Sample.of(*_pair(per), seed, schema)
        listed, listed_file, listed_form = _list(catalog, windows)
        excluded, excluded_file, excluded_form = _list(catalog, exclude)
        forms = ((listed_file, listed_form), (excluded_file, excluded_form))
        head = catalog.head
        return cls(
            part=Part(where=condition, listed=listed, excluded=excluded, sample=sample),
            origin=Origin(
                dataset=catalog.location,
                files_checksum=head.files_checksum,
                total_shards=head.totals.shards,
                total_records=head.totals.records,
                total_windows=head.totals.windows,
                where=where,
                windows=listed_file,
                exclude=excluded_file,
                per=() if sample is None else sample.per,
                sample=None if sample is None else sample.most,
                seed=0 if sample is None else sample.seed,
            ),
            assumed=tuple(file.name for file, form in forms if file and form is ListForm.RECORDS),
        )

    def check(self, found: Found) -> None:
        """Raise NoWindowsError if no window was found."""
        if found.rows.counts.sum():
            return
        origin = self.origin
        given = [
            f"--where {origin.where!r}" if origin.where is not None else "",
            f"--windows {origin.windows}" if origin.windows else "",
            f"--exclude {origin.exclude}" if origin.exclude else "",
        ]
        asked = " and ".join(filter(None, given)) or "the dataset has none"
        raise NoWindowsError(
            f"none of {format_count(origin.total_windows, 'window')} of {origin.dataset} is "
            f"selected: {asked}. Nothing was written."
        )

    def remarks(self, found: Found) -> Iterator[str]:
        """Yield lines on what a user may not expect."""
        unused = (
            (self.origin.windows, found.unused_listed),
            (self.origin.exclude, found.unused_excluded),
        )
        for file, count in unused:
            if file is not None and count:
                yield unused_rows(file, count)
        for name in self.assumed:
            yield (
                f"{name}: a dataset does not know its records, so each timestamp_s stands for the "
                f"windows that start within {RECORD_S:g} s from there"
            )
        if self.origin.sample is not None:
            small = describe_small(found.groups, self.origin.sample)
            if small is not None:
                yield small


def unused_rows(file: ListedFile, count: int) -> str:
    """Return a line on rows of a list that name no window."""
    name = "names" if count == 1 else "name"
    return f"{file.name}: {count:,} of {format_count(file.rows, 'row')} {name} no window"


def _pair(per: object) -> tuple[str | Sequence[str], object]:
    match per:
        case (str() | tuple() | list()) as columns, most:
            return columns, most
    raise UsageError(
        f"--per is {per!r}, expected columns and a number of windows, such as ('site,date', 100)"
    )


def _list(
    catalog: Catalog, path: str | Path | None
) -> tuple[WindowMatcher | None, ListedFile | None, ListForm | None]:
    if path is None:
        return None, None, None
    listed, file = read_window_list(path)
    matcher = WindowMatcher(listed, catalog.head.options.window_seconds, knows_records=False)
    return matcher, file, listed.form

"""Options for reading filenames and selecting windows, compared with earlier conversions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Self

from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.conversion.transaction.checkpoints import option_differences
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.options import ListedFile, ReadingOptions
from a20_parquet.dataset.summaries import ShardSummary
from a20_parquet.errors import UsageError
from a20_parquet.formatting import format_count
from a20_parquet.windows.filenames.parse import FilenameRules
from a20_parquet.windows.filenames.site_token import DISTINCT_TOKENS
from a20_parquet.windows.selection import Selection
from a20_parquet.windows.window_list import WindowList

if TYPE_CHECKING:
    from a20_parquet.windows.filenames.site_table import SiteTable

_MOST_GROUPS = 3
# Options that may mend quarantine.
_MENDING = ("filename_pattern", "unknown_site", "sample_rate", "sites")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Options of one conversion for reading filenames and selecting windows."""

    existing: ExistingDataset | None
    """The dataset that it appends to, or None."""
    options: ReadingOptions
    sites: "SiteTable | None"
    """The table in use: the dataset's, merged with the given one."""
    new_sites: "SiteTable | None"
    """The dataset's new table; None if it gets none, or keeps its own."""
    given_sites: "SiteTable | None"
    """The table that ``--sites`` names."""
    listed: WindowList | None
    """The list that ``--exclude`` names."""

    @classmethod
    def of(cls, options: ConvertOptions, existing: ExistingDataset | None) -> Self:
        """Read the sites table and check all options of this kind.

        Raises:
            UsageError: the sites table cannot be read or contradicts the dataset's, or the value of
                an option is not valid.
        """
        given, used, new = _sites(options, existing)
        listed, listed_file = _list(options)
        reading = cls(
            existing=existing,
            options=ReadingOptions(
                filename_pattern=options.filename_pattern,
                unknown_site=options.unknown_site,
                sample_rate=options.sample_rate,
                sites=used.fingerprint if used else None,
                site=options.site,
                from_date=options.from_date,
                until_date=options.until_date,
                exclude=listed_file,
                where=options.where,
                drop_duplicates=options.drop_duplicates,
            ),
            sites=used,
            new_sites=new,
            given_sites=given,
            listed=listed,
        )
        # Check these even if no shard is new.
        _ = reading.filenames
        _selection(reading.options)
        return reading

    @property
    def filenames(self) -> FilenameRules:
        """How filenames are read."""
        options = self.options
        return FilenameRules(options.filename_pattern, self.sites, options.unknown_site)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Lines if the given table has columns that are not used, or the list has no rows."""
        lines = []
        table = self.given_sites
        if table is not None and table.ignored:
            known = ", ".join(table.frame.columns)
            unused = ", ".join(table.ignored)
            lines.append(f"--sites: columns that are not used: {unused}; known: {known}")
        if self.options.exclude is not None and not self.options.exclude.rows:
            name = self.options.exclude.name
            lines.append(f"--exclude: {name} has no rows, so that it leaves out nothing")
        return tuple(lines)

    def check_existing(self, shards: Sequence[ShardSummary]) -> tuple[str, ...]:
        """Compare with how the dataset's shards were read, if no other shard is given.

        The options must be those of the last conversion that read any of them, or of the last
        retry: repeating that command then does nothing.

        Returns:
            A line for each group of shards that an earlier conversion read with other options.

        Raises:
            UsageError: the options differ.
        """
        if self.existing is None:
            return ()
        existing = self.existing
        different = self._group(existing, shards)
        last = {
            max((shard.conversion for shard in shards), default=0),
            max((n for shard in shards for n in _conversions(existing, shard)), default=0),
        }
        if different and all(any(self._differences(existing, number)) for number in last):
            differences = "; ".join(
                text if len(different) == 1 else f"{n}: {text}" for n, text in different
            )
            raise UsageError(
                f"{existing.layout.root} contains all given shards already, converted with other "
                f"options: {differences}. Nothing was done. Give the options that they were "
                "converted with, name another folder, or replace the dataset with --overwrite."
                f"{self._cheaper_way(existing, shards)}"
            )
        return _lines(different)

    def _cheaper_way(self, existing: ExistingDataset, shards: Sequence[ShardSummary]) -> str:
        """Suggest converting the quarantine alone, if the options may mend it; else ""."""
        last = max((shard.conversion for shard in shards), default=0)
        was, now = self._was_and_now(existing, last)
        new = [getattr(now, n) for n in _MENDING if getattr(now, n) != getattr(was, n)]
        is_given = any(value is not None for value in new)
        if not is_given or not any(shard.quarantined for shard in shards):
            return ""
        root = quote(str(existing.layout.root))
        return (
            " To convert only what could not be converted before: a20-parquet convert "
            f"{root}/quarantine {root} with the new options."
        )

    def compare_existing(self, *, is_retry: bool) -> tuple[str, ...]:
        """Compare with how the dataset's shards were read, if others or quarantine are added.

        Returns:
            A line for each group of its shards that were read with other options.
        """
        if self.existing is None:
            return ()
        shards = self.existing.manifest.shards
        return _lines(self._group(self.existing, shards, but=_MENDING if is_retry else ()))

    @property
    def has_kept(self) -> bool:
        """Whether the dataset has windows that were selected with the same options."""
        if self.existing is None:
            return False
        manifest = self.existing.manifest
        same = {
            number
            for number in range(len(manifest.conversions))
            if not any(self._differences(self.existing, number))
        }
        return any(
            shard.windows and same.intersection((shard.conversion, *shard.retried))
            for shard in manifest.shards
        )

    def _group(
        self, existing: ExistingDataset, shards: Sequence[ShardSummary], but: Sequence[str] = ()
    ) -> list[tuple[str, str]]:
        """Group shards that were read with other options: their number, and the differences."""
        counts: dict[str, int] = {}
        differences = {
            number: "; ".join(self._differences(existing, number, but))
            for number in {number for shard in shards for number in _conversions(existing, shard)}
        }
        for shard in shards:
            if all(differences[number] for number in _conversions(existing, shard)):
                text = differences[shard.conversion]
                counts[text] = counts.get(text, 0) + 1
        return [(format_count(count, "shard"), text) for text, count in counts.items()]

    def _differences(
        self, existing: ExistingDataset, number: int, but: Sequence[str] = ()
    ) -> Iterator[str]:
        """Name the options that differ from those of a conversion."""
        was, now = self._was_and_now(existing, number)
        same = [*but]
        rule = existing.manifest.options.site_tokens
        if set(_selection(was, rule).sites) == set(_selection(now, rule).sites):
            same.append("site")
        now = now.model_copy(update={name: getattr(was, name) for name in same})
        yield from option_differences(was, now)

    def _was_and_now(
        self, existing: ExistingDataset, number: int
    ) -> tuple[ReadingOptions, ReadingOptions]:
        """Return the options of a conversion, and these options as it would have had them."""
        was = _reading(existing, number)
        if self.given_sites is None:
            # The dataset's table need not be given again.
            fingerprint = was.sites
        elif was.sites is None or existing.sites is None:
            fingerprint = self.given_sites.fingerprint
        else:
            from a20_parquet.windows.filenames.site_table import merged

            fingerprint = merged(existing.sites.until(number), self.given_sites).fingerprint
        return was, self.options.model_copy(update={"sites": fingerprint})


def _conversions(existing: ExistingDataset, shard: ShardSummary) -> tuple[int, ...]:
    """The conversions whose options a shard was read with.

    The first one read the whole shard. Later ones read its quarantine, and count if they selected
    the same windows.
    """
    whole = _reading(existing, shard.conversion)
    rule = existing.manifest.options.site_tokens
    same = (n for n in shard.retried if _selects_alike(_reading(existing, n), whole, rule))
    return (shard.conversion, *same)


def _reading(existing: ExistingDataset, number: int) -> ReadingOptions:
    """The options of a conversion; the defaults if an early version did not store them."""
    conversions = existing.manifest.conversions
    return conversions[number].reading if number < len(conversions) else ReadingOptions()


def _selects_alike(one: ReadingOptions, other: ReadingOptions, rule: int) -> bool:
    first, second = (_selection(each, rule) for each in (one, other))
    is_same = set(first.sites) == set(second.sites) and (first.first, first.last) == (
        second.first,
        second.last,
    )
    is_same &= (one.exclude, one.where) == (other.exclude, other.where)
    return is_same and one.drop_duplicates == other.drop_duplicates


def _lines(groups: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    lines = [
        f"the dataset keeps {shards} as converted before, with other options: {differences}"
        for shards, differences in groups[:_MOST_GROUPS]
    ]
    if len(groups) > _MOST_GROUPS:
        lines.append("the dataset keeps more, with still others: a20-parquet info lists them")
    return tuple(lines)


def _selection(options: ReadingOptions, rule: int = DISTINCT_TOKENS) -> Selection:
    return Selection.of(options.site, options.from_date, options.until_date, site_tokens=rule)


def _list(options: ConvertOptions) -> tuple[WindowList | None, ListedFile | None]:
    if options.exclude is None:
        return None, None
    from a20_parquet.dataset.window_list_file import read_window_list

    return read_window_list(options.exclude)


def _sites(
    options: ConvertOptions, existing: ExistingDataset | None
) -> "tuple[SiteTable | None, SiteTable | None, SiteTable | None]":
    """Return the given sites table, the one in use, and the dataset's new one."""
    kept = existing.sites if existing else None
    if kept is None and options.sites is None:
        return None, None, None
    from a20_parquet.dataset.sites import read_sites
    from a20_parquet.windows.filenames.site_table import merged

    before = kept.until(len(existing.manifest.conversions)) if existing and kept else None
    given = None if options.sites is None else read_sites(options.sites)
    new = merged(before, given) if before and given else given
    return given, new or before, new

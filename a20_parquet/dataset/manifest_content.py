"""Content of ``manifest.json``, which is written last."""

import hashlib
import json
import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import crc32c
from pydantic import ValidationError
from pydantic_core import from_json

from a20_parquet.dataset.manifest import VERSION, Manifest, ManifestHead, QuarantinedShard, Totals
from a20_parquet.dataset.options import TableOptions
from a20_parquet.dataset.summaries import ConversionSummary, FileSummary, Origin, ShardSummary
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.windows.schema import Store

if TYPE_CHECKING:
    from a20_parquet.windows.order import Partitions

_SIGNED: Final = re.compile(rb'\{"checksum":"([0-9a-f]{8})",')
# Pydantic's error types for an unknown field of a model and of a dataclass.
_UNKNOWN_FIELD: Final = ("extra_forbidden", "unexpected_keyword_argument")


class StoredManifest:
    """The content of ``manifest.json``; shards and quarantine are parsed when they are asked for.

    Attributes:
        head: the rest of it.
    """

    def __init__(self, content: bytes, where: str) -> None:
        """Parse and check the head; messages name the file by ``where``.

        Raises:
            DatasetError: see ``parse_manifest``; an invalid shard may be found later.
        """
        self._content = content
        self._where = where
        self.head = _parse_head(content) or self.manifest

    @cached_property
    def _parsed(self) -> tuple[Manifest, tuple[str, ...]]:
        return parse_manifest(self._content, self._where)

    @property
    def manifest(self) -> Manifest:
        """The whole manifest.

        Raises:
            DatasetError: see ``parse_manifest``.
        """
        return self._parsed[0]

    @property
    def unknown_fields(self) -> tuple[str, ...]:
        """See ``parse_manifest``.

        Raises:
            DatasetError: likewise.
        """
        return self._parsed[1]


def _parse_head(content: bytes) -> ManifestHead | None:
    """Parse a manifest of the form that ``manifest_content`` writes.

    Returns:
        None if it has another form or is not valid, so that all of it must be parsed.
    """
    text = content.replace(b"\n", b"")
    signed = _SIGNED.match(text)
    # A quotation mark inside of a string has a backslash before it.
    start, end = text.find(b',"quarantine":['), text.rfind(b'],"totals":{')
    if signed is None or not 0 < start < end:
        return None
    rest = memoryview(text)[signed.end() :]
    if crc32c.crc32c(rest, crc32c.crc32c(b"{")) != int(signed[1], 16):
        return None
    try:
        return ManifestHead.model_validate(from_json(text[:start] + text[end + 1 :]))
    except (ValueError, UsageError):
        return None


def parse_manifest(content: bytes, where: str) -> tuple[Manifest, tuple[str, ...]]:
    """Parse the content of ``manifest.json``; messages name the file by ``where``.

    Fields that a later version of this package has added are ignored, because the other fields have
    kept their meaning. Writing the manifest again would lose the ignored fields.

    Returns:
        The manifest, and the names of fields that were ignored, such as ``totals.seconds``.

    Raises:
        DatasetError: the content is not a manifest, has another format version, or does not match
            its checksum.
    """
    fields = _parse_json(content, where)
    manifest, unknown = _validate(fields, where)
    if manifest.checksum is not None and manifest.checksum != (found := _checksum(fields)):
        raise DatasetError(
            f"{where}: its content has the checksum {found}, expected {manifest.checksum} as its "
            "field checksum says: it was edited or is damaged. Copy it again from where it is "
            "whole. If the edit is meant, delete that field: the next append, or a20-parquet "
            "repair, writes it anew."
        )
    return manifest, unknown


def manifest_content(manifest: Manifest) -> bytes:
    """Return the content of ``manifest.json`` with its checksum: a line for each item of a list.

    Without line breaks and the checksum, it is the text whose checksum it is. So ``StoredManifest``
    need not parse tens of thousands of shards to check it.
    """
    fields = from_json(manifest.model_dump_json(exclude={"checksum"}))
    lines = ",\n".join(f"{_text(name)}:{_lines(fields[name])}" for name in sorted(fields))
    return f'{{"checksum":"{_checksum(fields)}",\n{lines}}}\n'.encode()


def _lines(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return _text(value)
    items = ",\n".join(map(_text, value))
    return f"[\n{items}\n]"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _checksum(fields: dict[str, Any]) -> str:
    """See ``Manifest.checksum``; unknown fields are included."""
    others = {name: value for name, value in fields.items() if name != "checksum"}
    return f"{crc32c.crc32c(_text(others).encode()):08x}"


def _parse_json(content: bytes, where: str) -> Any:
    try:
        # Tens of thousands of shards have the same few keys, and values of their own.
        return from_json(content, cache_strings="keys")
    except ValueError as error:
        raise DatasetError(
            f"{where} is not a manifest that this version reads: Invalid JSON: {error}. Was it "
            "written by another program or a newer version?"
        ) from error


def _validate(fields: Any, where: str) -> tuple[Manifest, tuple[str, ...]]:
    try:
        return Manifest.model_validate(fields), ()
    except UsageError as error:  # of a feature
        raise DatasetError(f"{where} is not a manifest that this version reads: {error}") from error
    except ValidationError as error:
        if (version := _version_of(fields)) > VERSION:
            raise DatasetError(
                f"{where} has format version {version}, and this version of a20-parquet reads "
                f"format version {VERSION}. Install a newer version."
            ) from error
        problems = error.errors()
        others = [each for each in problems if each["type"] not in _UNKNOWN_FIELD]
        if others:
            raise _no_manifest(where, others[0]) from error
        unknown = dict.fromkeys(_field_name(each["loc"]) for each in problems)
    try:
        return Manifest.model_validate(fields, extra="ignore"), tuple(unknown)
    except ValidationError as error:
        raise _no_manifest(where, error.errors()[0]) from error


def _no_manifest(where: str, problem: Any) -> DatasetError:
    field = ".".join(map(str, problem["loc"])) or "shards"
    return DatasetError(
        f"{where} is not a manifest that this version reads: {field}: {problem['msg']}. Was it "
        "written by another program or a newer version?"
    )


def _version_of(fields: Any) -> int:
    """The format version of a manifest, 0 if it has none."""
    version = fields.get("version") if isinstance(fields, dict) else None
    return version if isinstance(version, int) else 0


def _field_name(loc: Sequence[int | str]) -> str:
    return ".".join(part for part in loc if isinstance(part, str))


def dataset_id(
    options: TableOptions, shards: Sequence[ShardSummary], partitions: "Partitions | None"
) -> str:
    """Return the id of a new dataset: 64 bits of a hash of all that decides what is in its files.

    A random one would make equal conversions differ.

    Args:
        options: of the table.
        shards: that its first conversion adds, in order.
        partitions: of that conversion, which differ where its selection does; None if an earlier
            version of this program wrote it.
    """
    content = {
        "options": _without_later_defaults(options),
        "shards": [shard.checksum for shard in shards],
    }
    if partitions is not None:
        content["partitions"] = [
            partitions.site.to_pylist(),
            partitions.period.to_pylist(),
            partitions.rows.tolist(),
        ]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without_later_defaults(options: TableOptions) -> dict[str, Any]:
    """Return options without those that earlier versions lack: their datasets keep their ids."""
    values = options.model_dump(mode="json")
    if options.store is Store.FLOAT32:
        del values["store"]
    if not options.keys_in_files:
        del values["keys_in_files"]
    return values


def existing_id(manifest: Manifest) -> str:
    """Return the id of an existing dataset, also if an earlier version wrote it."""
    if manifest.id is not None:
        return manifest.id
    first = [shard for shard in manifest.shards if not shard.conversion]
    return dataset_id(manifest.options, first, None)


def make_manifest(  # noqa: PLR0913 - what a manifest holds
    options: TableOptions,
    *,
    id: str | None = None,  # noqa: A002 - the manifest's own name for it
    files: Sequence[FileSummary],
    files_content: Any,
    shards: Sequence[ShardSummary],
    conversions: Sequence[ConversionSummary] = (),
    quarantine: Sequence[QuarantinedShard] = (),
    origins: Sequence[Origin] = (),
) -> Manifest:
    """Make the manifest of a dataset with ``files_content`` in ``files.parquet``."""
    has_period = options.partition_by.period is not None
    return Manifest(
        id=id,
        options=options,
        totals=Totals(
            shards=len(shards),
            records=sum(shard.records for shard in shards),
            windows=sum(file.rows for file in files),
            sites=len({file.site for file in files}),
            dates=len({file.period for file in files}) if has_period else 0,
            files=len(files),
            bytes=sum(file.bytes for file in files),
            quarantined=sum(shard.quarantined for shard in shards),
            damaged=sum(shard.damaged for shard in shards),
        ),
        files_checksum=f"{crc32c.crc32c(files_content):08x}",
        shards=tuple(shards),
        conversions=tuple(conversions),
        quarantine=tuple(quarantine),
        origins=tuple(origins),
    )


def merge_quarantine(
    existing: Sequence[QuarantinedShard], new: Sequence[QuarantinedShard], emptied: Sequence[str]
) -> list[QuarantinedShard]:
    """Return the quarantine after a conversion, sorted by label.

    ``new`` replaces the entries of the same shards; those with ``emptied`` labels are removed.
    """
    by_label = {shard.label: shard for shard in (*existing, *new)}
    for label in emptied:
        by_label.pop(label, None)
    return [by_label[label] for label in sorted(by_label)]

"""Quarantine: records and bytes of a shard that cannot be converted, each with the reason.

A shard has up to three files. ``LABEL.tfrecord`` contains the frames of intact records and is a
valid shard itself. ``LABEL.damaged`` contains damaged bytes, which never get a checksum that would
make them look intact. ``LABEL.jsonl`` lists both, one ``Entry`` per line, in the shard's order.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from io import BufferedWriter, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import crc32c
from pydantic import BaseModel, ConfigDict, ValidationError

from a20_parquet.dataset.manifest import QuarantinedShard, QuarantineFile
from a20_parquet.errors import DatasetError
from a20_parquet.storage.files import Create, NewFile, path_errors
from a20_parquet.storage.path import AnyPath, read_whole
from a20_parquet.windows.rejection import Reason, Rejection

RECORDS, DAMAGED, LIST = ".tfrecord", ".damaged", ".jsonl"
_HEADER_BYTES, _FOOTER_BYTES = 12, 4
_WRITE_BYTES = 4 << 20
# On a full disk a conversion cannot even record its progress.
_LEAST_FREE_BYTES = 64 << 20
_UNCHECKED_BYTES = 64 << 20

Buffer = bytes | memoryview
"""Contiguous bytes."""


class Entry(BaseModel):
    """One record, or one range of damaged bytes, in quarantine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shard: str
    """Label of its shard."""
    record: int
    """Number in the shard, from 0; a damaged range counts as one record."""
    offset: int
    """Offset in the decompressed shard, in bytes."""
    length: int
    """Bytes of the record's frame, or of the damaged range."""
    reason: Reason
    message: str
    """What was found and what was expected."""


class QuarantineWriter:
    """Writes the quarantine of one shard; makes no file if it is empty.

    A context manager, which closes the files; they are complete once ``finish`` has returned.

    Attributes:
        records: number of records.
        damaged: number of ranges of damaged bytes.
        listed: ``list_sum`` of all entries after ``finish``; None if there are none.
    """

    def __init__(
        self,
        folder: AnyPath | None,
        label: str,
        entries: Sequence[Entry] = (),
        files: Sequence[QuarantineFile] = (),
        create: Create | None = None,
    ) -> None:
        """Make no file yet.

        Args:
            folder: folder of the files; None to compute ``listed`` and checksums only.
            label: label of the shard.
            entries: damaged ranges that an earlier conversion has kept.
            files: files of these ranges.
            create: creates the files; by default ``NewFile``.
        """
        self.records = 0
        self.damaged = 0
        self.listed: str | None = None
        self._label = label
        self._entries = list(entries)
        self._kept_before = len(self._entries)
        self._files_before = files
        self._files: dict[str, _SummedFile] = {}
        self._shard_sum = hashlib.sha256()
        self._folder = folder
        self._create = create or NewFile
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: Any) -> None:  # noqa: PYI036 - as they come
        self._open.__exit__(*failure)

    def keep_record(self, rejection: Rejection, offset: int, *frame: Buffer) -> None:
        """Add an intact record.

        Its frame is length, length CRC, payload and payload CRC, byte for byte, in any parts.

        Raises:
            OSError: it cannot be written.
        """
        self.records += 1
        self._entries.append(self._entry(rejection, offset, sum(map(len, frame))))
        self._shard_sum.update(frame[0][:_HEADER_BYTES])
        self._shard_sum.update(frame[-1][-_FOOTER_BYTES:])
        for part in frame:
            self._file(RECORDS).write(part)

    def keep_damage(self, rejection: Rejection, offset: int, content: bytes) -> None:
        """Add a part of a damaged range; its further parts follow with the same number.

        Raises:
            OSError: it cannot be written.
        """
        last = self._entries[-1] if len(self._entries) > self._kept_before else None
        if last is None or last.record != rejection.number:
            self.damaged += 1
            self._entries.append(self._entry(rejection, offset, len(content)))
        else:
            length = last.length + len(content)
            self._entries[-1] = last.model_copy(update={"length": length})
        self._file(DAMAGED).write(content)

    def _entry(self, rejection: Rejection, offset: int, length: int) -> Entry:
        return Entry(
            shard=self._label,
            record=rejection.number,
            offset=offset,
            length=length,
            reason=rejection.reason,
            message=rejection.message,
        )

    def finish(self) -> QuarantinedShard | None:
        """Write the list and close all files; return the quarantine, None if it is empty.

        Raises:
            OSError: it cannot be written.
        """
        if not self._entries:
            return None
        new = map(_with_size, self._entries[self._kept_before :])
        entries = [*self._entries[: self._kept_before], *new]
        entries.sort(key=lambda entry: (entry.record, entry.offset))
        self.listed = list_sum(entries)
        for entry in entries:
            self._file(LIST).write(entry.model_dump_json().encode() + b"\n")
        self._open.close()
        reasons = Counter(entry.reason for entry in entries)
        return QuarantinedShard(
            label=self._label,
            reasons={reason: reasons[reason] for reason in Reason if reasons[reason]},
            files=(
                *self._files_before,
                *(self._files[suffix].summary for suffix in sorted(self._files)),
            ),
            checksum=self._shard_sum.hexdigest() if self.records else None,
        )

    def _file(self, suffix: str) -> "_SummedFile":
        if suffix not in self._files:
            name = f"{self._label}{suffix}"
            self._files[suffix] = _SummedFile(self._open_file(name), name)
        return self._files[suffix]

    def _open_file(self, name: str) -> BinaryIO | None:
        if self._folder is None:
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name
        self._open.enter_context(path_errors(path))
        new = self._open.enter_context(self._create(path))
        if not isinstance(new.file, RawIOBase):
            return new.file
        buffered = BufferedWriter(new.file)
        # Flush before the file gets its name.
        self._open.callback(buffered.detach)
        return cast("BinaryIO", buffered)


def _with_size(entry: Entry) -> Entry:
    if not entry.reason.is_damage:
        return entry
    message = f"{entry.message}; {entry.length:,} bytes skipped"
    return entry.model_copy(update={"message": message})


class _SummedFile:
    """Size and checksum of a file, which is written if it is open."""

    def __init__(self, file: BinaryIO | None, name: str) -> None:
        self._file = file
        self._name = name
        self._bytes = 0
        self._sum = 0
        self._unchecked_bytes = _WRITE_BYTES

    def write(self, content: Buffer) -> None:
        for start in range(0, len(content), _WRITE_BYTES):
            part = content[start : start + _WRITE_BYTES]
            if self._file is not None:
                path = Path(self._file.name)
                if self._unchecked_bytes <= 0:
                    self._check_free_space(path)
                with path_errors(path):
                    self._file.write(part)
                self._unchecked_bytes -= len(part)
            self._bytes += len(part)
            self._sum = crc32c.crc32c(part, self._sum)

    def _check_free_space(self, path: Path) -> None:
        free = shutil.disk_usage(path.parent).free
        if free < _LEAST_FREE_BYTES:
            raise DatasetError(
                f"{path}: what cannot be converted takes {self._bytes:,} bytes here so far, and "
                f"only {free:,} are free on the disk. Free some space, or leave the shard out."
            )
        self._unchecked_bytes = min(free // 4, _UNCHECKED_BYTES)

    @property
    def summary(self) -> QuarantineFile:
        return QuarantineFile(name=self._name, bytes=self._bytes, checksum=f"{self._sum:08x}")


def list_sum(entries: Iterable[Entry]) -> str:
    """SHA-256, in hexadecimal, of a list without its messages, whose wording may change."""
    digest = hashlib.sha256()
    for entry in entries:
        line = f"{entry.shard} {entry.record} {entry.offset} {entry.length} {entry.reason.value}"
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def read_entries(folder: AnyPath, label: str) -> Iterator[Entry]:
    """Read the quarantine of a shard, in the shard's order.

    Raises:
        DatasetError: the list cannot be read, or was changed.
    """
    path = folder / f"{label}{LIST}"
    try:
        content = read_whole(path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(content.splitlines(keepends=True), 1):
        yield parse_entry(line, f"{path}, line {number}")


def parse_entry(line: bytes, where: str) -> Entry:
    """Read one line of a list.

    Raises:
        DatasetError: it was changed; the message names it by ``where``.
    """
    try:
        return Entry.model_validate_json(line)
    except ValidationError as error:
        raise DatasetError(
            f"{where}: found {line[:60]!r}, expected what convert writes of a record in "
            "quarantine. Was the file edited or cut? Convert the shards again."
        ) from error

"""The package's exceptions, and how messages name options."""

import re
from functools import partial
from typing import Any, Final


class A20ParquetError(Exception):
    """Base of every error that this package raises on purpose; the command line exits with 1.

    Messages name options as the command line does: ``--memory``. ``str`` names the function's
    argument instead, ``memory``; see ``in_python``.
    """

    def __str__(self) -> str:
        return in_python(self.console_text)

    @property
    def console_text(self) -> str:
        """The message as the command line prints it."""
        return super().__str__()


class UsageError(A20ParquetError):
    """The options or arguments are wrong or cannot work here; the command line exits with 2."""


class NoWindowsError(UsageError):
    """The selection has no window."""


class SameFolderError(UsageError):
    """Two sites would share a folder on file systems that ignore case."""


class SourceError(A20ParquetError):
    """A source cannot be listed or read, or has no shard."""


class DatasetError(A20ParquetError):
    """A dataset cannot be read or written, or is not as expected."""


class ClusterError(A20ParquetError):
    """The Dask cluster cannot be reached, or was lost."""


class RecordError(A20ParquetError):
    """A shard's bytes are damaged, or a record in it cannot be converted.

    Attributes:
        shard: its path or URL.
        record: number in the shard, from 0.
        offset: byte at which the record's frame starts, in the decompressed shard.
        code: name of the reason, as in the quarantine's list, if it has one.
        reason: what was found and what was expected.
        fix: what the user can do.
    """

    def __init__(  # noqa: PLR0913 -- an error has all of it
        self,
        *,
        shard: str,
        record: int,
        offset: int,
        reason: str,
        fix: str,
        code: str | None = None,
    ) -> None:
        super().__init__(f"{shard}: record {record} at byte {offset}: {reason}. {fix}")
        self.shard = shard
        self.record = record
        self.offset = offset
        self.code = code
        self.reason = reason
        self.fix = fix

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by keywords, for errors from a cluster's workers."""
        values = {name: getattr(self, name) for name in ("shard", "record", "offset", "reason")}
        return partial(type(self), **values, fix=self.fix, code=self.code), ()


_FLAGS: Final = {
    "features": "--feature",
    "from_date": "--from",
    "until_date": "--until",
    "as_": "--as",
}
_ARGUMENTS: Final = {
    **{flag: name for name, flag in _FLAGS.items() if name != "features"},
    "--output": "file",
}
# These are given without a value on the command line.
_SWITCHES: Final = frozenset({"cluster", "drop_duplicates", "force", "overwrite"})
_FLAG: Final = re.compile(
    r"(?<![\w-])(?P<flag>--[a-z]+(?:-[a-z]+)*)(?![\w-])"
    r"(?: (?P<value>fail|lz4|npy|parquet|table|view|wire|zstd)\b)?"
)


def flag(option: str) -> str:
    """Return the name on the command line, and in messages, of an option in Python."""
    return _FLAGS.get(option, f"--{option.replace('_', '-')}")


def in_python(message: str) -> str:
    """Return a message with options as Python's arguments: ``memory`` for ``--memory``."""
    return _FLAG.sub(_argument, message)


def _argument(found: re.Match[str]) -> str:
    given, value = found["flag"], found["value"]
    name = _ARGUMENTS.get(given, given.removeprefix("--").replace("-", "_"))
    if value is not None:
        return f"{name}={value!r}"
    is_compared = found.string.startswith((" is ", ":"), found.end())
    return f"{name}=True" if name in _SWITCHES and not is_compared else name

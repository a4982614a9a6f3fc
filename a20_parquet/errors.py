"""What can go wrong, as one family of exceptions."""

import re
from functools import partial
from typing import Any, Final


class A20ParquetError(Exception):
    """Base of every error this package raises on purpose; the command line prints it, exits 1.

    Messages name options as the command line does: ``--memory``. What Python shows of an error
    names the function's argument instead, ``memory``; see ``in_python``.
    """

    def __str__(self) -> str:
        return in_python(self.console_text)

    @property
    def console_text(self) -> str:
        """The message as the command line prints it."""
        return super().__str__()


class UsageError(A20ParquetError):
    """What was asked for makes no sense or can't be done here; the command line exits 2."""


class NoWindowsError(UsageError):
    """What was selected keeps no window at all."""


class SameFolderError(UsageError):
    """Two sites would have one folder on file systems that fold case."""


class SourceError(A20ParquetError):
    """A source can't be listed or read, or holds no shard."""


class DatasetError(A20ParquetError):
    """A dataset can't be written, or what lies at its place is not what was expected."""


class ClusterError(A20ParquetError):
    """The cluster that does the work can't be reached, or was lost."""


class RecordError(A20ParquetError):
    """A shard's bytes are damaged, or a record in it can't be converted.

    Attributes:
        shard: where the shard lies.
        record: the record's number in the shard, from 0.
        offset: byte at which the record's frame starts, in the decompressed shard.
        code: the reason's name, as quarantine lists it; none where it has none.
        reason: what was found and what was expected.
        fix: what the user can do about it.
    """

    def __init__(  # noqa: PLR0913 -- an error says all of it
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
        """Pickle by keywords: errors of a cluster's workers come from other processes."""
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
    r"(?: (?P<value>fail|lz4|table|view|wire|zstd)\b)?"
)


def flag(option: str) -> str:
    """What the command line, and so every message, calls an option of that name in Python."""
    return _FLAGS.get(option, f"--{option.replace('_', '-')}")


def in_python(message: str) -> str:
    """Write a message for Python: its options as arguments, such as ``memory`` for ``--memory``."""
    return _FLAG.sub(_argument, message)


def _argument(found: re.Match[str]) -> str:
    given, value = found["flag"], found["value"]
    name = _ARGUMENTS.get(given, given.removeprefix("--").replace("-", "_"))
    if value is not None:
        return f"{name}={value!r}"
    is_compared = found.string.startswith((" is ", ":"), found.end())
    return f"{name}=True" if name in _SWITCHES and not is_compared else name

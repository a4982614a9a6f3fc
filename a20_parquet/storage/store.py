"""Any fsspec filesystem but the local one: requests are tried again, and fail in plain words."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, Self, TypeVar

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from a20_parquet.storage.retries import PASSING_CODES, ShortAnswerError, call, is_clients

Answer = TypeVar("Answer")

_REFUSED: Final = {401, 403}
_MIB = 1 << 20
_READ_AHEAD_BYTES = 256 << 10
_PUT_OPTIONS: Final[dict[str, dict[str, int]]] = {
    "s3": {"chunksize": 8 * _MIB, "max_concurrency": 4},
    "s3a": {"chunksize": 8 * _MIB, "max_concurrency": 4},
    "gs": {"chunksize": 8 * _MIB},
    "gcs": {"chunksize": 8 * _MIB},
}
"""How large files are put: by pieces, so that memory stays bounded."""


class Guard(Protocol):
    """Says whether this process may still change what a filesystem holds."""

    def check(self) -> None:
        """Make sure of it, as far as this process knows.

        Raises:
            DatasetError: it may not any more.
        """
        ...

    def confirm(self) -> None:
        """Make sure of it by asking the store.

        Raises:
            DatasetError: it may not any more.
            OSError: the store cannot be asked.
        """
        ...


class StoreFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """A filesystem without memory: nothing of what it lists is kept.

    Attributes:
        inner: the client's own filesystem.
        guard: is asked before each request that changes anything, also before one is repeated; None
            if anybody may. It stays behind when the filesystem goes to another process.
    """

    cachable = False

    def __init__(self, inner: Any) -> None:
        """Wrap a filesystem.

        Args:
            inner: of the store; its own retries, where they are known, are turned off, so that each
                is counted and none is waited for twice.
        """
        super().__init__()
        self.inner = inner
        self.protocol = inner.protocol
        self._scheme = inner.protocol if isinstance(inner.protocol, str) else inner.protocol[0]
        self._strip_protocol = inner._strip_protocol  # noqa: SLF001 - fsspec's way
        self.guard: Guard | None = None
        _try_once(inner)

    def guarded(self, guard: Guard) -> Self:
        """The same, which changes nothing any more once the guard objects."""
        filesystem = type(self)(self.inner)
        filesystem.guard = guard
        return filesystem

    def unstrip_protocol(self, name: str) -> str:
        """The URL of a path."""
        return str(self.inner.unstrip_protocol(name))

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """What the store tells of a file or folder."""

        def look() -> dict[str, Any]:
            try:
                told: dict[str, Any] = self.inner.info(path, **kwargs)
            except FileNotFoundError as error:
                # fsspec's HTTP says so of whatever goes wrong.
                cause = error.__cause__
                status = getattr(cause, "status", None)
                if status in _REFUSED:
                    raise PermissionError(str(cause)) from error
                if cause is not None and (status in PASSING_CODES or isinstance(cause, OSError)):
                    raise cause from None
                raise
            return told

        return self._call(look, path)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:  # noqa: FBT001, FBT002 - fsspec's
        """What is in a folder."""
        return self._call(lambda: list(self.inner.ls(path, detail=detail, **kwargs)), path)

    def find(self, path: str, **kwargs: Any) -> Any:
        """All files below a folder."""
        return self._call(lambda: self.inner.find(path, **kwargs), path)

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Whether there is a file or a folder."""
        return self._kind(path, **kwargs) is not None

    def isfile(self, path: str) -> bool:
        """Whether there is a file."""
        return self._kind(path) == "file"

    def isdir(self, path: str) -> bool:
        """Whether there is a folder."""
        return self._kind(path) == "directory"

    def _kind(self, path: str, **kwargs: Any) -> str | None:
        try:
            return str(self.info(path, **kwargs)["type"])
        except FileNotFoundError:
            return None

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """Bytes ``start`` to before ``end`` of a file, or as many of these as it has.

        Raises:
            OSError: they cannot be read.
        """
        if start is not None and end is not None and start >= end:
            return b""

        def read() -> bytes:
            content: bytes = self.inner.cat_file(path, start=start, end=end, **kwargs)
            return content

        return self._call(read, path)

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Exactly the bytes ``start`` to before ``stop`` of a file.

        Raises:
            OSError: they cannot be read, or the file has fewer.
        """

        def read() -> bytes:
            content: bytes = self.inner.cat_file(path, start=start, end=stop)
            if len(content) != stop - start:
                raise ShortAnswerError(
                    f"asked for bytes {start} to {stop}, expected {stop - start}, got "
                    f"{len(content)}"
                )
            return content

        return self._call(read, path) if stop > start else b""

    def modified(self, path: str) -> Any:
        """When a file was written, a ``datetime``: DuckDB asks for it."""
        return self._call(lambda: self.inner.modified(path), path)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        """Put a whole file."""
        self.change(lambda: self.inner.pipe_file(path, value, mode=mode, **kwargs), path)

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        """Put a local file as a whole one."""
        options = _PUT_OPTIONS.get(self._scheme, {})
        self.change(lambda: self.inner.put_file(lpath, rpath, **{**options, **kwargs}), rpath)

    def rm_file(self, path: str) -> None:
        """Delete a file."""
        self.change(lambda: self.inner.rm_file(path), path)

    def rm_files(self, paths: list[str]) -> None:
        """Delete files, many with a request where the store can; those that are gone count too.

        Where it is tried again, the store may have deleted them the first time.
        """
        if paths:
            with suppress(FileNotFoundError):
                self.change(lambda: self.inner.rm(paths), paths[0])

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copy a file within the store."""
        self.change(lambda: self.inner.cp_file(path1, path2, **kwargs), path1)

    def change(self, request: Callable[[], Answer], path: str) -> Answer:
        """Make a request that changes something, if the guard allows it.

        Raises:
            DatasetError: it does not.
            OSError: the request failed.
        """

        def change() -> Answer:
            if self.guard is not None:
                self.guard.check()
            return request()

        return self._call(change, path)

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> "_StoreFile":
        if mode != "rb":
            raise ValueError(f"mode is {mode}: files are put whole, see storage.files.create")
        kwargs["block_size"] = _READ_AHEAD_BYTES
        return _StoreFile(self, path, mode, **kwargs)

    def _call(self, request: Callable[[], Answer], path: str) -> Answer:
        """Make a request, and say what went wrong in the end.

        Raises:
            OSError: it failed.
        """
        try:
            return call(request)
        except (FileNotFoundError, FileExistsError, NotADirectoryError):
            raise
        except Exception as error:
            if not isinstance(error, OSError | ValueError) and not is_clients(error):
                raise
            kind = PermissionError if isinstance(error, PermissionError) else OSError
            raise kind(self._told(error, path)) from error

    def _told(self, error: BaseException, path: str) -> str:
        """An error's own words on one line, and what to do where that is known."""
        told = " ".join(str(error).split()) or type(error).__name__
        if type(error).__name__ in {"NoCredentialsError", "PartialCredentialsError"}:
            return f"there are no credentials for {self.unstrip_protocol(path)}: {told}"
        return told


class _StoreFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec is untyped
    """A file of a store, read with few requests."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        content: bytes = self.fs.read_range(self.path, start, min(end, self.size))
        return content


def _try_once(inner: Any) -> None:
    """Turn a client's own retries off."""
    if hasattr(inner, "retries"):
        inner.retries = 1
    request = getattr(type(inner), "_request", None)
    once = getattr(request, "__wrapped__", None)
    if once is not None:  # gcsfs has them in a decorator
        inner._request = once.__get__(inner)  # noqa: SLF001 - there is no public switch

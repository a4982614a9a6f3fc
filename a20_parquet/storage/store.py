"""Wraps fsspec filesystems of stores: repeats requests, and makes their errors readable."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, Self, TypeVar

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from a20_parquet.storage.concurrent import map_at_once
from a20_parquet.storage.retries import TEMPORARY_CODES, ShortAnswerError, call, is_client_error

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
"""Options for large files: they are put in parts, so that memory is bounded."""


class Guard(Protocol):
    """Decides whether this process may still change files in a store."""

    def check(self) -> None:
        """Check it by what this process knows.

        Raises:
            DatasetError: it may not.
        """
        ...

    def confirm(self) -> None:
        """Check it by asking the store.

        Raises:
            DatasetError: it may not.
            OSError: the store cannot be asked.
        """
        ...


class StoreFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """A filesystem that caches no listings.

    Attributes:
        inner: the client's own filesystem.
        guard: checked before each try of a request that changes anything; None if there is no lock.
            It is not pickled.
    """

    cachable = False

    def __init__(self, inner: Any) -> None:
        """Wrap a filesystem.

        Its own retries are turned off if they are known, so that all are counted and none are
        nested.
        """
        super().__init__()
        self.inner = inner
        self.protocol = inner.protocol
        self._scheme = inner.protocol if isinstance(inner.protocol, str) else inner.protocol[0]
        self._strip_protocol = inner._strip_protocol  # noqa: SLF001 - fsspec's way
        self.guard: Guard | None = None
        _try_once(inner)

    def guarded(self, guard: Guard) -> Self:
        """Return a copy with a guard."""
        filesystem = type(self)(self.inner)
        filesystem.guard = guard
        return filesystem

    def unstrip_protocol(self, name: str) -> str:
        """Return the URL of a path."""
        return str(self.inner.unstrip_protocol(name))

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Size, type and other details of a file or folder."""

        def look() -> dict[str, Any]:
            try:
                info: dict[str, Any] = self.inner.info(path, **kwargs)
            except FileNotFoundError as error:
                # fsspec's HTTP filesystem raises it for all failures.
                cause = error.__cause__
                status = getattr(cause, "status", None)
                if status in _REFUSED:
                    raise PermissionError(str(cause)) from error
                if cause is not None and (status in TEMPORARY_CODES or isinstance(cause, OSError)):
                    raise cause from None
                raise
            return info

        return self._call(look, path)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:  # noqa: FBT001, FBT002 - fsspec's
        """List a folder."""
        return self._call(lambda: list(self.inner.ls(path, detail=detail, **kwargs)), path)

    def find(self, path: str, **kwargs: Any) -> Any:
        """List all files below a folder."""
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
        """Read bytes ``start`` to before ``end`` of a file, or as many of these as it has.

        Raises:
            OSError: they cannot be read.
        """
        if start is not None and end is not None and start >= end:
            return b""
        content: bytes = self._call(
            lambda: self.inner.cat_file(path, start=start, end=end, **kwargs), path
        )
        return content

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Read exactly the bytes ``start`` to before ``stop`` of a file.

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
        """When a file was written, as a ``datetime``; DuckDB calls this."""
        return self._call(lambda: self.inner.modified(path), path)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        """Put a whole file."""
        self.change(lambda: self.inner.pipe_file(path, value, mode=mode, **kwargs), path)

    def put_file(self, lpath: str, rpath: str, **kwargs: Any) -> None:
        """Put a local file."""
        options = _PUT_OPTIONS.get(self._scheme, {})
        self.change(lambda: self.inner.put_file(lpath, rpath, **{**options, **kwargs}), rpath)

    def rm_file(self, path: str) -> None:
        """Delete a file."""
        self.change(lambda: self.inner.rm_file(path), path)

    def rm_files(self, paths: list[str]) -> None:
        """Delete files, many per request if the store can; missing ones are no error.

        They may be missing because a repeated request had succeeded the first time.
        """
        if not paths:
            return
        try:
            self.change(lambda: self.inner.rm(paths), paths[0])
        except FileNotFoundError:
            pass
        except OSError:
            # Of many files one always fails where faults are frequent.
            map_at_once(self._rm_if_there, paths, is_remote=True)

    def _rm_if_there(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self.rm_file(path)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copy a file within the store."""
        self.change(lambda: self.inner.cp_file(path1, path2, **kwargs), path1)

    def change(self, request: Callable[[], Answer], path: str) -> Answer:
        """Make a request that changes something, if the guard allows it.

        Raises:
            DatasetError: the guard does not allow it.
            OSError: the request failed.
        """

        def change() -> Answer:
            if self.guard is not None:
                self.guard.check()
            return request()

        return self._call(change, path)

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> "_StoreFile":
        if mode != "rb":
            raise ValueError(f"mode is {mode}: files are put whole, see storage.files.NewFile")
        kwargs["block_size"] = _READ_AHEAD_BYTES
        return _StoreFile(self, path, mode, **kwargs)

    def _call(self, request: Callable[[], Answer], path: str) -> Answer:
        """Make a request; its last error becomes an ``OSError`` of one line."""
        try:
            return call(request)
        except (FileNotFoundError, FileExistsError, NotADirectoryError):
            raise
        except Exception as error:
            if not isinstance(error, OSError | ValueError) and not is_client_error(error):
                raise
            message = " ".join(str(error).split()) or type(error).__name__
            if type(error).__name__ in {"NoCredentialsError", "PartialCredentialsError"}:
                url = self.unstrip_protocol(path)
                message = f"there are no credentials for {url}: {message}"
            kind = PermissionError if isinstance(error, PermissionError) else OSError
            raise kind(message) from error


class _StoreFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec is untyped
    """A file in a store, read with few requests."""

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

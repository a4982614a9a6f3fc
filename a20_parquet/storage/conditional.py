"""A file in a store that is replaced only if it still has the version that was read.

S3 compares an object's ETag (``If-Match``, ``If-None-Match``: "Add preconditions to S3 operations
with conditional requests" in its user guide), Google Cloud Storage its generation
(``ifGenerationMatch``: "Request preconditions" in its documentation). Both compare and write as one
atomic operation. Through fsspec, other stores have no conditional requests. Servers that imitate S3
may ignore the conditions, so these are tried first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar

from a20_parquet.storage.path import StorePath
from a20_parquet.storage.retries import status_of

Answer = TypeVar("Answer")

_REFUSED: Final = {HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}


@dataclass(frozen=True, slots=True)
class _Conditions:
    """Conditional requests of a store's client; ``inner`` is its fsspec filesystem."""

    version_key: str
    """Key of an object's version in fsspec's ``info``."""
    never: str
    """A version that no object has."""
    put: Callable[[Any, str, bytes, str | None], str]
    """Replace an object of a version, or create one if that is None; return the new version."""
    remove: Callable[[Any, str, str], None]
    """Delete an object of a version."""


class ConditionalFile:
    """A small file in a store.

    A version is a string that changes with each put; empty if the store has no versions.
    """

    def __init__(self, path: StorePath) -> None:
        """Send no request yet."""
        self.path = path
        clients = {kind.__module__.partition(".")[0] for kind in type(path.filesystem.inner).mro()}
        known = [conditions for client, conditions in _KNOWN.items() if client in clients]
        self._conditions = known[0] if known else None

    def look(self) -> tuple[str | None, bytes | None]:
        """Return version and content, which may be newer than the version; both None if missing.

        Raises:
            OSError: the store cannot be asked.
        """
        version = self.version()
        try:
            return version or "", self.path.read_bytes()
        except FileNotFoundError:
            return None, None

    def version(self) -> str | None:
        """Return the version, None if the file does not exist.

        Raises:
            OSError: the store cannot be asked.
        """
        try:
            info = self.path.filesystem.info(self.path.path)
        except FileNotFoundError:
            return None
        return str(info.get(self._conditions.version_key) or "") if self._conditions else ""

    def put(self, content: bytes, version: str | None) -> str | None:
        """Put the file if it has this version.

        Args:
            content: the new content.
            version: the version to replace; None to create the file.

        Returns:
            The new version; None if the store has refused. It may have refused because an earlier
            try had succeeded and its answer was lost. A store without conditional requests can only
            refuse to create a file that exists.

        Raises:
            OSError: it cannot be put.
        """

        def put(inner: Any, path: str) -> str:
            if self._conditions is not None:
                return self._conditions.put(inner, path, content, version)
            inner.pipe_file(path, content, mode="create" if version is None else "overwrite")
            return ""

        return self._change(put, replaces=version is not None)

    def has_conditions(self, content: bytes) -> bool:
        """Whether the store obeys conditions; may put the file's present content again.

        Raises:
            OSError: the store cannot be asked.
        """
        if self._conditions is None:
            return False
        if self.put(content, self._conditions.never) is not None:
            self._conditions = None
        return self._conditions is not None

    def remove(self, version: str) -> None:
        """Delete the file if it has this version, or any if the store has no conditional requests.

        Raises:
            OSError: it cannot be deleted.
        """

        def remove(inner: Any, path: str) -> None:
            if self._conditions is not None:
                self._conditions.remove(inner, path, version)
            else:
                inner.rm_file(path)

        self._change(remove, replaces=True)

    def _change(self, request: Callable[[Any, str], Answer], *, replaces: bool) -> Answer | None:
        """Make a request, without conditions if the store does not implement them.

        Returns:
            The answer; None if the store refuses because the file has changed.
        """
        filesystem, path = self.path.filesystem, self.path.path

        def change() -> Answer | None:
            try:
                return request(filesystem.inner, path)
            except Exception as error:
                # S3 does not find an object that is gone.
                is_gone = replaces and isinstance(error, FileNotFoundError)
                if is_gone or isinstance(error, FileExistsError) or status_of(error) in _REFUSED:
                    return None
                if self._conditions is None or status_of(error) != HTTPStatus.NOT_IMPLEMENTED:
                    raise
                self._conditions = None
                return change()

        answer: Answer | None = filesystem.change(change, path)
        return answer


def _put_s3(inner: Any, path: str, content: bytes, version: str | None) -> str:
    bucket, key, _ = inner.split_path(path)
    condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
    answer = inner.call_s3("put_object", Bucket=bucket, Key=key, Body=content, **condition)
    return str(answer["ETag"])


def _remove_s3(inner: Any, path: str, version: str) -> None:
    bucket, key, _ = inner.split_path(path)
    inner.call_s3("delete_object", Bucket=bucket, Key=key, IfMatch=version)


def _put_google(inner: Any, path: str, content: bytes, version: str | None) -> str:
    bucket, key, _ = inner.split_path(path)
    # gcsfs itself knows only generation 0, which means that there is no object.
    answer = inner.call(
        "POST",
        f"{inner._location}/upload/storage/v1/b/{{}}/o",  # noqa: SLF001 - there is no public name
        bucket,
        uploadType="media",
        name=key,
        ifGenerationMatch=version or "0",
        headers={"Content-Type": "application/octet-stream"},
        data=content,
        json_out=True,
    )
    return str(answer["generation"])


def _remove_google(inner: Any, path: str, version: str) -> None:
    bucket, key, _ = inner.split_path(path)
    inner.call("DELETE", "b/{}/o/{}", bucket, key, ifGenerationMatch=version)


_KNOWN: Final = {
    "s3fs": _Conditions("ETag", f'"{"0" * 32}"', _put_s3, _remove_s3),
    "gcsfs": _Conditions("generation", "1", _put_google, _remove_google),
}

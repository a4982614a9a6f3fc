"""A file of a store that is replaced only if it still has the version that was seen.

S3 compares an object's ETag (``If-Match``, ``If-None-Match``: "Add preconditions to S3 operations
with conditional requests" in its user guide), Google Cloud Storage its generation
(``ifGenerationMatch``: "Request preconditions" in its documentation). Both decide at one moment,
whoever else writes. Other stores have nothing of the kind that fsspec could ask for, and what
speaks S3 may ignore it: so it is tried.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from a20_parquet.storage.path import StorePath
from a20_parquet.storage.retries import status_of

_REFUSED: Final = {HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}


@dataclass(frozen=True, slots=True)
class _Conditions:
    """Conditional requests of a store's client; ``inner`` is its fsspec filesystem."""

    version_key: str
    """Key of an object's version in fsspec's ``info``."""
    never: str
    """A version that no object has."""
    put: Callable[[Any, str, bytes, str | None], str]
    """Put an object in the place of one of a version, or of none; return the version it has."""
    remove: Callable[[Any, str, str], None]
    """Delete an object of a version."""


class ConditionalFile:
    """A small file in a store.

    Versions are texts that change whenever the file is put; empty if the store tells none.
    """

    def __init__(self, place: StorePath) -> None:
        """Take a place; nothing is asked for yet."""
        self.place = place
        clients = {kind.__module__.partition(".")[0] for kind in type(place.filesystem.inner).mro()}
        known = [conditions for client, conditions in _KNOWN.items() if client in clients]
        self._conditions = known[0] if known else None

    def look(self) -> tuple[str | None, bytes | None]:
        """Return its version and its bytes, which may be of a later one; both None without a file.

        Raises:
            OSError: the store cannot be asked.
        """
        version = self.version()
        try:
            return version or "", self.place.read_bytes()
        except FileNotFoundError:
            return None, None

    def version(self) -> str | None:
        """Return its version, None without a file.

        Raises:
            OSError: the store cannot be asked.
        """
        try:
            told = self.place.filesystem.info(self.place.path)
        except FileNotFoundError:
            return None
        return str(told.get(self._conditions.version_key) or "") if self._conditions else ""

    def put(self, content: bytes, version: str | None) -> str | None:
        """Put it if the one that is there has this version.

        Args:
            content: its bytes.
            version: of the file that it replaces; None if it is to be a new one.

        Returns:
            Its version; None if the store has refused. That may be because an earlier try was done,
            and the answer to it was lost. A store without conditions refuses to replace files at
            the most.

        Raises:
            OSError: it cannot be put.
        """
        filesystem, path = self.place.filesystem, self.place.path

        def put() -> str | None:
            try:
                if self._conditions is not None:
                    return self._conditions.put(filesystem.inner, path, content, version)
                mode = "create" if version is None else "overwrite"
                filesystem.inner.pipe_file(path, content, mode=mode)
            except Exception as error:
                if self._is_refused(error, replaces=version is not None):
                    return None
                if self._conditions is None or status_of(error) != HTTPStatus.NOT_IMPLEMENTED:
                    raise
                self._conditions = None
                return put()
            return ""

        put_version: str | None = filesystem.change(put, path)
        return put_version

    def has_conditions(self, content: bytes) -> bool:
        """Whether the store refuses what it should.

        Args:
            content: what the file has; it may be put again.

        Raises:
            OSError: that cannot be tried.
        """
        if self._conditions is None:
            return False
        if self.put(content, self._conditions.never) is not None:
            self._conditions = None
        return self._conditions is not None

    def remove(self, version: str) -> None:
        """Delete it if it has this version; whatever it has, if the store knows no conditions.

        Raises:
            OSError: it cannot be deleted.
        """
        filesystem, path = self.place.filesystem, self.place.path

        def remove() -> None:
            try:
                if self._conditions is not None:
                    self._conditions.remove(filesystem.inner, path, version)
                else:
                    filesystem.inner.rm_file(path)
            except Exception as error:
                if self._is_refused(error, replaces=True):
                    return
                if self._conditions is None or status_of(error) != HTTPStatus.NOT_IMPLEMENTED:
                    raise
                self._conditions = None
                remove()

        filesystem.change(remove, path)

    @staticmethod
    def _is_refused(error: BaseException, *, replaces: bool) -> bool:
        """Whether the store says that the file is not what it was."""
        if isinstance(error, FileNotFoundError):
            return replaces  # S3 does not find one that is gone
        return isinstance(error, FileExistsError) or status_of(error) in _REFUSED


def _put_s3(inner: Any, path: str, content: bytes, version: str | None) -> str:
    bucket, key, _ = inner.split_path(path)
    condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
    told = inner.call_s3("put_object", Bucket=bucket, Key=key, Body=content, **condition)
    return str(told["ETag"])


def _remove_s3(inner: Any, path: str, version: str) -> None:
    bucket, key, _ = inner.split_path(path)
    inner.call_s3("delete_object", Bucket=bucket, Key=key, IfMatch=version)


def _put_google(inner: Any, path: str, content: bytes, version: str | None) -> str:
    bucket, key, _ = inner.split_path(path)
    # gcsfs puts objects in the place of no other generation than 0, which is none.
    told = inner.call(
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
    return str(told["generation"])


def _remove_google(inner: Any, path: str, version: str) -> None:
    bucket, key, _ = inner.split_path(path)
    inner.call("DELETE", "b/{}/o/{}", bucket, key, ifGenerationMatch=version)


_KNOWN: Final = {
    "s3fs": _Conditions("ETag", f'"{"0" * 32}"', _put_s3, _remove_s3),
    "gcsfs": _Conditions("generation", "1", _put_google, _remove_google),
}

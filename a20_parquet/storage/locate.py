"""Opens the filesystem of a URL or a local path."""

import os
import re
import stat
from pathlib import Path
from typing import Any, Final

from a20_parquet.errors import UsageError
from a20_parquet.storage.concurrent import MOST_AT_ONCE
from a20_parquet.storage.retries import is_client_error

_EXTRAS: Final = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
# Cached listings would be out of date.
_OPTIONS: Final[dict[str, Any]] = {"use_listings_cache": False}
# By default the S3 client opens ten connections only.
_S3_OPTIONS: Final[dict[str, Any]] = {
    "config_kwargs": {
        "retries": {"total_max_attempts": 1},
        "max_pool_connections": 2 * MOST_AT_ONCE,
    }
}


def is_url(place: str | Path) -> bool:
    """Whether a name is a URL in a store, not a local path."""
    text = str(place)
    return "://" in text and not text.startswith(("file://", "local://"))


def is_local(filesystem: Any) -> bool:
    """Whether a filesystem is the local one."""
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(filesystem, LocalFileSystem)


def check_regular(path: str | Path) -> None:
    """Refuse a named pipe, a socket or a device, which a reader might never reach the end of.

    Raises:
        OSError: the local path is one of these, or does not exist.
    """
    mode = os.stat(path).st_mode  # noqa: PTH116 - faster, and called for each data file
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError("it is a named pipe, a socket or a device, and no file")


def read_content(filesystem: Any, path: str) -> bytes:
    """Read a whole file.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    if is_local(filesystem):
        check_regular(path)
    return bytes(filesystem.cat_file(path))


def locate(url: str) -> tuple[Any, str]:
    """Open the filesystem of an fsspec URL or a local path.

    Returns:
        A ``LocalFileSystem`` or ``StoreFileSystem``, and the path in it.

    Raises:
        UsageError: the protocol is unknown, or its client is not installed.
    """
    import fsspec

    from a20_parquet.storage.store import StoreFileSystem

    protocol = url.partition("://")[0] if "://" in url else "file"
    options = dict(_OPTIONS) if is_url(url) else {}
    if protocol in {"s3", "s3a"}:
        options |= _S3_OPTIONS
    if protocol in {"gs", "gcs"}:
        # gcsfs would ask for each bucket's type over gRPC, and wait a minute if that is blocked. It
        # reads this variable when it is imported; a user can set another value.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        filesystem, path = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        mend = f"pip install 'a20-parquet[{extra}]'" if extra else str(error)
        raise UsageError(f"{url}: the client for {protocol}:// is not installed: {mend}") from error
    except Exception as error:
        if not isinstance(error, ValueError | OSError) and not is_client_error(error):
            raise
        message = " ".join(str(error).split())
        raise UsageError(f"{url}: cannot be opened: {message}") from error
    if is_local(filesystem):
        # normpath keeps two slashes at the start.
        return filesystem, re.sub("^/+", "/", os.path.normpath(path))
    return StoreFileSystem(filesystem), path

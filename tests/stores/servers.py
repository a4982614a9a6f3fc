"""Stores on the loopback: a server in a process of its own, and a proxy in front of it."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from tests.stores.faults import Proxy

_ROOT = Path(__file__).parents[2]
CREDENTIALS: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "S3_UPLOAD_PART_MIN_SIZE": "1",
    "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": str(1 << 24),
    "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
}
"""Environment of the servers and of whoever speaks with them.

moto takes small parts of uploads, so that tests need no large ones, and keeps all in memory. The
last one keeps gcsfs from asking, over gRPC, what kind of bucket it has: the emulator cannot
say, and gcsfs would wait a minute for it.
"""


@dataclass(frozen=True, slots=True)
class Store:
    """A server and its proxy."""

    scheme: str
    """``s3`` or ``gs``."""
    proxy: Proxy
    port: int
    """Of the server itself."""

    @property
    def configuration(self) -> dict[str, Any]:
        """What fsspec must know to go through the proxy."""
        return self._reach(self.proxy.url)

    @property
    def protocol(self) -> str:
        """Under which fsspec looks for its configuration."""
        return {"s3": "s3", "gs": "gcs"}[self.scheme]

    @property
    def environment(self) -> dict[str, str]:
        """The same as environment variables, for other processes."""
        prefix = f"FSSPEC_{self.protocol.upper()}_"
        return {f"{prefix}{key.upper()}": value for key, value in self.configuration.items()}

    def open(self) -> Any:
        """A filesystem that goes past the proxy and keeps nothing in mind."""
        reach = self._reach(f"http://127.0.0.1:{self.port}")
        if self.scheme == "s3":
            reach |= {"key": "testing", "secret": "testing"}
        return fsspec.filesystem(self.scheme, **reach, use_listings_cache=False)

    def put(self, folder: Path, place: str) -> str:
        """Copy a folder's files into the store, and return the URL of the copy."""
        filesystem = self.open()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                filesystem.pipe_file(f"{place}/{path.relative_to(folder)}", path.read_bytes())
        return f"{self.scheme}://{place}"

    def read(self, place: str) -> dict[str, bytes]:
        """All objects below a URL, by their paths from there."""
        filesystem = self.open()
        root = place.partition("://")[2]
        return {
            path.removeprefix(f"{root}/"): filesystem.cat_file(path)
            for path in filesystem.find(root)
        }

    def digests(self, place: str) -> dict[str, str]:
        """SHA-256 of all objects below a URL."""
        found = self.read(place)
        return {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}

    def _reach(self, url: str) -> dict[str, Any]:
        if self.scheme == "s3":
            return {"endpoint_url": url}
        return {"endpoint_url": url, "token": "anon", "project": "testing"}


@contextmanager
def started(scheme: str) -> Iterator[Store]:
    """Start a store, and end it with the body."""
    kind = {"s3": "s3", "gs": "gcs"}[scheme]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.stores.serve", kind],
        cwd=_ROOT,
        env={**os.environ, **CREDENTIALS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with Proxy(kind, port) as proxy:
            yield Store(scheme, proxy, port)

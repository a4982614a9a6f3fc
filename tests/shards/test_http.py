"""Single shards at HTTP URLs, from servers that know ranges and from others."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

import a20_parquet.storage.retries
from a20_parquet.errors import SourceError
from a20_parquet.shards.discover import find_shards
from a20_parquet.tfrecord.frames import read_records
from tests.helpers.shards import COMPRESS, frame

CONTENT = b"".join(frame(bytes([number]) * 1000) for number in range(200))


class Server(BaseHTTPRequestHandler):
    """Serves files; ranges of them where it knows ranges."""

    protocol_version = "HTTP/1.1"
    files: ClassVar[dict[str, bytes]] = {}
    statuses: ClassVar[dict[str, int]] = {}
    knows_ranges: ClassVar[bool] = True
    requests: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        """Answer without the content."""
        self._answer(is_head=True)

    def do_GET(self) -> None:
        """Answer."""
        self._answer(is_head=False)

    def _answer(self, *, is_head: bool) -> None:
        name = self.path.removeprefix("/")
        content = self.files.get(name, b"")
        status = self.statuses.get(name, 200 if name in self.files else 404)
        asked = self.headers.get("Range")
        self.requests.append(f"{self.command} {name} {asked or ''}".strip())
        if asked and self.knows_ranges and status == 200:
            first, last = asked.removeprefix("bytes=").split("-")
            content, status = content[int(first) : int(last) + 1], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not is_head:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty server's URL; requests are tried again at once."""
    monkeypatch.setattr(a20_parquet.storage.retries, "_FIRST_WAIT_S", 0.0)
    monkeypatch.setattr(Server, "knows_ranges", True)
    for state in (Server.files, Server.statuses, Server.requests):
        state.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("knows_ranges", [True, False])
@pytest.mark.parametrize("compression", ["", "GZIP"])
@pytest.mark.parametrize("name", ["x-00000-of-00001", "nameless"])
def test_a_shard_is_read(
    url: str, name: str, compression: str, monkeypatch: pytest.MonkeyPatch, *, knows_ranges: bool
) -> None:
    """Its records come, whether or not the server can send a part of a file."""
    monkeypatch.setattr(Server, "knows_ranges", knows_ranges)
    Server.files[name] = COMPRESS[compression](CONTENT)
    (shard,) = find_shards(f"{url}/{name}").shards
    assert shard.url == f"{url}/{name}"
    assert shard.size == len(Server.files[name])
    payloads = [bytes(p) for records in read_records(shard, 5000) for p in records.payloads]
    assert b"".join(map(frame, payloads)) == CONTENT
    assert f"GET {name} bytes=0-{shard.size}" in Server.requests


def test_a_configuration_is_found(url: str) -> None:
    """It may be beside a shard here, too."""
    Server.files |= {"x-00000-of-00001": CONTENT, "config.json": b"{}"}
    listing = find_shards(f"{url}/x-00000-of-00001")
    assert [config.path for config in listing.configs] == [f"{url}/config.json"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, "does not exist"),
        (403, "cannot be listed: 403, .*Forbidden"),
        (503, "cannot be listed: 503, .*Service Unavailable"),
    ],
)
def test_what_the_server_says_is_told(url: str, status: int, message: str) -> None:
    """A server that refuses or fails is not taken for one without the file."""
    Server.statuses["x-00000-of-00001"] = status
    with pytest.raises(SourceError, match=rf"^{url}/x-00000-of-00001: {message}"):
        find_shards(f"{url}/x-00000-of-00001")


def test_no_server(url: str) -> None:
    """Nor is one that cannot be reached."""
    port = int(url.rpartition(":")[2])
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as other:
        free = other.server_port
    assert free != port
    with pytest.raises(SourceError, match="cannot be listed: Cannot connect"):
        find_shards(f"http://127.0.0.1:{free}/x-00000-of-00001")


def test_a_configuration_that_is_refused_is_none(url: str) -> None:
    """Some servers refuse what is not there."""
    Server.files["x-00000-of-00001"] = CONTENT
    Server.statuses["config.json"] = 403
    assert find_shards(f"{url}/x-00000-of-00001").configs == ()

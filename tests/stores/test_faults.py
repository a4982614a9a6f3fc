"""The proxy does what it is told, and nothing else."""

import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit

import fsspec
import pytest

from tests.stores.deeds import (
    Answer,
    CutAnswer,
    CutRequest,
    Deed,
    Drop,
    Hold,
    LoseAnswer,
    Slow,
)
from tests.stores.servers import Store

pytestmark = pytest.mark.store

_BODY = bytes(range(256)) * 400
_SIGNATURE = "AWS4-HMAC-SHA256 Credential=testing/20200101/us-east-1/s3/aws4_request"
"""Enough for moto, which checks none."""


@pytest.fixture
def connection(store: Store) -> Iterator[HTTPConnection]:
    """A plain connection to the proxy."""
    connection = HTTPConnection(urlsplit(store.proxy.url).netloc, timeout=10)
    yield connection
    connection.close()


@pytest.fixture
def path(store: Store, bucket: str) -> str:
    """What to ask for to have an object of ``_BODY``."""
    store.open().pipe_file(f"{bucket}/x", _BODY)
    return _path(store, bucket)


def _path(store: Store, bucket: str) -> str:
    return f"/{bucket}/x" if store.scheme == "s3" else f"/download/storage/v1/b/{bucket}/o/x"


def _ask(connection: HTTPConnection, path: str, **headers: str) -> HTTPResponse:
    connection.request("GET", path, headers={"Authorization": _SIGNATURE, **headers})
    return connection.getresponse()


def test_hands_on_and_logs(store: Store, connection: HTTPConnection, path: str) -> None:
    """One connection serves several requests; the log tells of each."""
    assert _ask(connection, path).read() == _BODY
    part = _ask(connection, path, Range="bytes=5-9")
    assert (part.status, part.read()) == (206, _BODY[5:10])
    first, second = store.proxy.log
    assert (first.method, first.target, first.range, first.status) == ("GET", path, None, 200)
    assert (first.received, second.range, second.received) == (len(_BODY), "bytes=5-9", 5)


@pytest.mark.parametrize("status", [403, 500, 503])
def test_answers_with_an_error(
    store: Store, connection: HTTPConnection, path: str, status: int
) -> None:
    """As the store words it, to the requests that it was told of, so often as it was told."""
    store.proxy.inject(Answer(status), "GET", "/x$", skip=1, times=2)
    found = []
    for _ in range(4):
        answer = _ask(connection, path)
        found.append((answer.status, answer.read()))
    assert [code for code, _ in found] == [200, status, status, 200]
    assert (b"<Code>" if store.scheme == "s3" else b'"error"') in found[1][1]
    faults = [request.fault for request in store.proxy.log]
    assert faults == [None, Answer(status), Answer(status), None]


def test_faults_come_regularly(store: Store, connection: HTTPConnection, path: str) -> None:
    """Every so many requests, from one on."""
    store.proxy.inject(Answer(500), skip=1, times=2, every=3)
    found = []
    for _ in range(9):
        answer = _ask(connection, path)
        answer.read()
        found.append(answer.status)
    assert found == [200, 500, 200, 200, 500, 200, 200, 200, 200]


def test_names_in_bodies_are_seen(stores: dict[str, Store]) -> None:
    """Where Google's client uploads an object, its name stands nowhere else."""
    store = stores["gs"]
    store.open().mkdir("named")
    filesystem = fsspec.filesystem("gs", **store.configuration)
    store.proxy.clear()
    filesystem.pipe_file('named/a "ü"/x', b"x")
    assert store.proxy.count("POST", 'name=a "ü"/x$') == 1


@pytest.mark.parametrize("deed", [Drop(), LoseAnswer(), CutAnswer(), CutAnswer(1000)], ids=str)
def test_cuts_answers(store: Store, connection: HTTPConnection, path: str, deed: Deed) -> None:
    """The client is told of an error, never of an end."""
    store.proxy.inject(deed)
    with pytest.raises((ConnectionError, HTTPException)):
        _ask(connection, path).read()
    connection.close()
    assert _ask(connection, path).read() == _BODY


def test_ends_answers_early(store: Store, connection: HTTPConnection, path: str) -> None:
    """The connection ends in order, though the body is shorter than its length says."""
    store.proxy.inject(CutAnswer(1000, is_reset=False))
    answer = _ask(connection, path)
    assert answer.headers["Content-Length"] == str(len(_BODY))
    assert len(b"".join(iter(lambda: answer.read1(1 << 16), b""))) == 1000


@pytest.mark.parametrize("deed", [Drop(), CutRequest(), CutRequest(1000), Answer(503)], ids=str)
def test_cut_uploads_change_nothing(store: Store, bucket: str, deed: Deed) -> None:
    """The store never sees them."""
    store.proxy.inject(deed)
    _upload(store, bucket, is_lost=not isinstance(deed, Answer))
    assert store.open().find(bucket) == []
    assert store.proxy.log[0].sent == getattr(deed, "after", store.proxy.log[0].sent)


def test_lost_answers_hide_what_was_done(store: Store, bucket: str) -> None:
    """The object is there, and the client does not know it."""
    store.proxy.inject(LoseAnswer())
    _upload(store, bucket, is_lost=True)
    assert store.open().cat_file(f"{bucket}/x") == _BODY


def _upload(store: Store, bucket: str, *, is_lost: bool) -> None:
    connection = HTTPConnection(urlsplit(store.proxy.url).netloc, timeout=10)
    try:
        if store.scheme == "s3":
            connection.request("PUT", f"/{bucket}/x", body=_BODY)
        else:
            path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name=x"
            connection.request("POST", path, body=_BODY)
        assert connection.getresponse().status == 503
        assert not is_lost
    except ConnectionError:
        assert is_lost
    finally:
        connection.close()


def test_slow_answers_are_whole(store: Store, connection: HTTPConnection, path: str) -> None:
    """They come in drops."""
    store.proxy.inject(Slow(chunk=30_000, wait_s=0.001))
    assert _ask(connection, path).read() == _BODY
    assert isinstance(store.proxy.log[0].fault, Slow)


@pytest.mark.parametrize("is_given_up", [False, True])
def test_holds_requests(
    store: Store, connection: HTTPConnection, path: str, *, is_given_up: bool
) -> None:
    """Until they are let go, or given up: then the store never sees them."""
    hold = Hold()
    store.proxy.inject(hold)
    found: list[object] = []

    def ask() -> None:
        try:
            found.append(_ask(connection, path).read())
        except ConnectionError:
            found.append("cut")

    thread = threading.Thread(target=ask)
    thread.start()
    assert hold.reached.wait(10)
    assert found == []
    if is_given_up:
        store.proxy.clear()
    else:
        hold.let_go.set()
    thread.join(10)
    assert found == (["cut"] if is_given_up else [_BODY])


def test_a_dead_client_leaves_no_object(store: Store, bucket: str) -> None:
    """What arrived of an upload is not stored, neither by the proxy nor by the store."""
    for port in (store.port, urlsplit(store.proxy.url).port):
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        target = "/upload/storage/v1/b/{}/o?uploadType=media&name=x"
        if store.scheme == "s3":
            connection.putrequest("PUT", f"/{bucket}/x")
        else:
            connection.putrequest("POST", target.format(bucket))
        connection.putheader("Content-Length", str(len(_BODY)))
        connection.endheaders(_BODY[:1000])
        connection.close()
    time.sleep(0.1)
    assert store.open().find(bucket) == []

"""A proxy on the loopback that hands everything on byte for byte, but for the faults it is told.

Only what belongs to the connection is its own: it answers ``Expect: 100-continue`` itself.
"""

import json
import re
import socket
import socketserver
import sys
import threading
import time
from dataclasses import dataclass, replace
from io import BufferedIOBase, BufferedReader
from typing import Any, Self
from urllib.parse import unquote

from tests.stores.deeds import (
    Answer,
    CutAnswer,
    CutRequest,
    Deed,
    Drop,
    Hold,
    LoseAnswer,
    Slow,
    error_answer,
)
from tests.stores.messages import CHUNK, Head, pieces, read_head, reset

_NAME = re.compile(rb'"name": ("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class Request:
    """One request, and what has become of it by now."""

    method: str
    target: str
    """Path and query, unquoted; where Google's name of an object stands in the body, that too."""
    range: str | None
    """The header, such as ``bytes=0-99``."""
    sent: int = 0
    """Bytes of the request's body that were taken."""
    received: int = 0
    """Bytes of the answer's body that were handed on."""
    status: int | None = None
    """Of the answer, also of one that was lost or cut."""
    fault: Deed | None = None


@dataclass(slots=True)
class _Rule:
    deed: Deed
    method: re.Pattern[str]
    target: re.Pattern[str]
    skip: int
    times: int | None
    every: int
    hits: int = 0

    def takes(self, request: Request) -> bool:
        if not (self.method.fullmatch(request.method) and self.target.search(request.target)):
            return False
        self.hits += 1
        number, rest = divmod(self.hits - self.skip - 1, self.every)
        return number >= 0 and not rest and (self.times is None or number < self.times)


class Proxy:
    """Stands before a store; a context manager, for as long as it listens."""

    def __init__(self, store: str, port: int) -> None:
        self.store = store
        """``s3`` or ``gcs``."""
        self._port = port
        self._rules: list[_Rule] = []
        self._log: list[_Exchange] = []
        self._lock = threading.Lock()
        self._server = _Server(self)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def log(self) -> list[Request]:
        """All requests since the last ``clear``, in the order in which they began."""
        with self._lock:
            return [exchange.request for exchange in self._log]

    def count(self, method: str = ".*", target: str = "") -> int:
        """How many of them match; see ``inject``."""
        return sum(
            bool(re.fullmatch(method, request.method) and re.search(target, request.target))
            for request in self.log
        )

    def inject(  # noqa: PLR0913 -- each a keyword
        self,
        deed: Deed,
        method: str = ".*",
        target: str = "",
        *,
        skip: int = 0,
        times: int | None = 1,
        every: int = 1,
    ) -> None:
        """Do this to requests; of several rules the first one that takes a request has it.

        Args:
            deed: what is done.
            method: a regular expression that is the whole method.
            target: one that is found in the unquoted path and query.
            skip: so many matching requests go by first.
            times: then so many have the fault; none for all of them.
            every: and those between them go by.
        """
        with self._lock:
            self._rules.append(
                _Rule(deed, re.compile(method), re.compile(target), skip, times, every)
            )

    def clear(self) -> None:
        """Forget all rules and the log, and cut off what is held."""
        with self._lock:
            for rule in self._rules:
                if isinstance(rule.deed, Hold):
                    rule.deed.given_up.set()
                    rule.deed.let_go.set()
            self._rules.clear()
            self._log.clear()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        self._server.shutdown()
        self._server.server_close()

    def fault_of(self, request: Request) -> Deed | None:
        """What is to be done to a request that begins."""
        with self._lock:
            return next((rule.deed for rule in self._rules if rule.takes(request)), None)

    def note(self, exchange: "_Exchange") -> None:
        """Log a request that begins."""
        with self._lock:
            self._log.append(exchange)

    def connect(self) -> socket.socket:
        """Open a connection to the store."""
        upstream = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        return upstream


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.proxy = proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of errors, but for connections that others cut."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _CutError(ConnectionError):
    """The client's connection is to be cut now."""


class _Connection(socketserver.StreamRequestHandler):
    """One client's connection, with one of its own to the store."""

    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        """Hand on one request after the other."""
        with self.server.proxy.connect() as upstream, upstream.makefile("rb") as answers:
            while (head := read_head(self.rfile)) is not None:
                method, target, _ = head.first.split(" ", 2)
                name = self._uploaded_name() if "uploadType=multipart" in target else ""
                request = Request(method, unquote(target) + name, head.fields.get("range"))
                exchange = _Exchange(self, upstream, answers, request)
                self.server.proxy.note(exchange)
                try:
                    if not exchange.run(head):
                        return
                except _CutError:
                    reset(self.connection)
                    return

    def _uploaded_name(self) -> str:
        """The name of an object, from the beginning of a request's body."""
        assert isinstance(self.rfile, BufferedReader)
        found = _NAME.search(self.rfile.peek(1))
        return f"&name={json.loads(found[1])}" if found else ""


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        connection: _Connection,
        upstream: socket.socket,
        answers: BufferedIOBase,
        request: Request,
    ) -> None:
        self._proxy = connection.server.proxy
        self._client = connection
        self._upstream = upstream
        self._answers = answers
        self._fault = self._proxy.fault_of(request)
        self.request = replace(request, fault=self._fault)
        """With all that is known of it by now."""

    def run(self, head: Head) -> bool:
        """Hand on both; whether the connection can take another request.

        Raises:
            _CutError: it must be cut.
        """
        if isinstance(self._fault, Hold):
            self._fault.reached.set()
            self._fault.let_go.wait()
            if self._fault.given_up.is_set():
                raise _CutError
        if head.fields.get("expect", "").lower() == "100-continue":
            self._client.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = replace(head, raw=re.sub(rb"(?i)\r\nexpect:[^\r]*", b"", head.raw))
        if isinstance(self._fault, CutRequest):
            self._take(head, self._fault.after)
            raise _CutError
        if isinstance(self._fault, Answer | Drop):
            self._take(head, None)
            if isinstance(self._fault, Drop):
                raise _CutError
            self.request = replace(self.request, status=self._fault.status)
            method = self.request.method
            self._client.wfile.write(error_answer(self._proxy.store, self._fault.status, method))
            return True
        self._upstream.sendall(head.raw)
        for piece in pieces(self._client.rfile, head):
            self._upstream.sendall(piece)
            self._count(sent=len(piece))
        return self._answer()

    def _take(self, head: Head, most: int | None) -> None:
        """Read the request's body, or no more than so many bytes, for nobody."""
        for piece in pieces(self._client.rfile, head, chunk=CHUNK if most is None else most):
            self._count(sent=len(piece))
            if most is not None:
                return

    def _answer(self) -> bool:
        head = read_head(self._answers)
        if head is None:
            raise _CutError
        status = int(head.first.split(" ", 2)[1])
        self.request = replace(self.request, status=status)
        has_body = self.request.method != "HEAD" and status not in {204, 304}
        if isinstance(self._fault, LoseAnswer):
            for _ in pieces(self._answers, head, is_answer=True) if has_body else ():
                pass
            raise _CutError
        self._client.wfile.write(head.raw)
        if has_body:
            self._hand_on_body(head)
        ends_itself = head.body_bytes is not None or head.is_chunked or not has_body
        is_last = head.fields.get("connection", "").lower() == "close"
        return ends_itself and not is_last and head.first.startswith("HTTP/1.1")

    def _hand_on_body(self, head: Head) -> None:
        fault = self._fault
        chunk = fault.chunk if isinstance(fault, Slow) else CHUNK
        if isinstance(fault, CutAnswer):
            chunk = fault.after
        for piece in pieces(self._answers, head, is_answer=True, chunk=chunk):
            self._count(received=len(piece))
            self._client.wfile.write(piece)
            if isinstance(fault, CutAnswer):
                raise _CutError if fault.is_reset else ConnectionAbortedError
            if isinstance(fault, Slow):
                time.sleep(fault.wait_s)

    def _count(self, *, sent: int = 0, received: int = 0) -> None:
        self.request = replace(
            self.request,
            sent=self.request.sent + sent,
            received=self.request.received + received,
        )

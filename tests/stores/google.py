"""Google Cloud Storage as ``gcp-storage-emulator`` serves it, mended where it differs.

https://cloud.google.com/storage/docs/json_api/v1/objects tells what is right. The emulator as it is

- serves one connection at a time, so that one slow client stops all others;
- writes all of its metadata after each change, so that n uploads cost n² time, and keeps what was
  deleted in memory;
- parses uploads as e-mails, which loses a carriage return at the end of the content;
- stores what arrived of an upload that was cut;
- answers a range behind an object's end with an impossible one, where Google says 416;
- does what is asked whatever generation an object has, and numbers them by its clock;
- lists everything in one page, and knows no way to cancel a resumable upload.
"""

import json
import re
import sys
import threading
from collections.abc import Callable
from functools import partial, wraps
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

from gcp_storage_emulator import server, settings
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects
from gcp_storage_emulator.storage import Storage

_PAGE = 1000
"""The most that Google lists at once."""
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
_CONTENT_TYPE = re.compile(rb"(?i)content-type:\s*(\S+)")
_RANGE = re.compile(r"bytes=(\d+)-\d*")
_BUCKET = r"/b/(?P<bucket_name>[-.\w]+)/o"

Handler = Callable[[Any, Any, Storage], None]


def serve() -> ThreadingHTTPServer:
    """Bind a free port of the loopback; patches the emulator for all of this process."""
    lock = threading.Lock()

    def locked(handler: Handler) -> Handler:
        @wraps(handler)
        def handle(request: Any, response: Any, storage: Storage) -> None:
            with lock:
                if _is_as_expected(request, storage):
                    handler(request, response, storage)
                else:
                    response.status = HTTPStatus.PRECONDITION_FAILED
                    response.json({"error": {"code": 412, "message": "conditionNotMet"}})

        return handle

    server.Request = _Request
    server.HANDLERS = tuple(
        (path, {method: locked(handler) for method, handler in handlers.items()})
        for path, handlers in (*_MENDED, *server.HANDLERS)
    )
    return _Server(("127.0.0.1", 0), partial(_RequestHandler, _Memory(use_memory_fs=True)))


def _is_as_expected(request: Any, storage: Storage) -> bool:
    """Heed ``ifGenerationMatch``: https://cloud.google.com/storage/docs/request-preconditions."""
    expected = request.query.get("ifGenerationMatch")
    if expected is None or "upload_id" in request.query:
        return True
    data = request.data if isinstance(request.data, dict) else {}
    name = request.params.get("object_id") or request.query.get("name", [""])[0]
    name = name or data.get("meta", data)["name"]
    try:
        found = storage.get_file_obj(request.params["bucket_name"], name)["generation"]
    except NotFound:
        found = "0"
    return bool(found == expected[0])


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of errors, but for connections that others cut."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _RequestHandler(server.RequestHandler):  # type: ignore[misc]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True


class _Memory(Storage):  # type: ignore[misc]
    """Keeps the objects that there are, and nothing else."""

    def _write_config_to_file(self) -> None:
        """Leave it: nobody reads it."""

    def delete_file(self, bucket_name: str, file_name: str) -> None:
        """Delete at once."""
        self._hard_delete_file(bucket_name, file_name)


class _Request(server.Request):  # type: ignore[misc]
    """A request whose body is read first, whole."""

    def __init__(self, handler: Any, method: str) -> None:
        super().__init__(handler, method)
        body = server._read_raw_data(handler) or b""  # noqa: SLF001 -- the emulator's own parser
        if len(body) < int(self.get_header("Content-Length") or 0):
            raise ConnectionAbortedError
        kind = self.get_header("Content-Type") or ""
        self._data: Any = body or None
        if body and kind.startswith("multipart/related"):
            self._data = _split_upload(body, kind)
        elif body and kind.startswith("application/json") and "upload_id" not in self.query:
            self._data = json.loads(body)


def _split_upload(body: bytes, kind: str) -> dict[str, Any]:
    """Cut an upload into metadata and content, as RFC 2046 says."""
    found = _BOUNDARY.search(kind)
    if found is None:
        raise ValueError(f"no boundary: {kind}")
    mark = b"--" + found[1].encode()
    end = b"\r\n" if body.startswith(mark + b"\r\n") else b"\n"
    first, _, second = body.partition(end + mark + end)
    headers, _, content = second.partition(end + end)
    content_type = _CONTENT_TYPE.search(headers)
    return {
        "meta": json.loads(first.partition(end + end)[2]),
        "content": content[: content.rindex(end + mark + b"--")],
        "content-type": content_type[1].decode() if content_type else "application/octet-stream",
    }


def _download(request: Any, response: Any, storage: Storage) -> None:
    objects.download(request, response, storage)
    found = _RANGE.match(request.get_header("range") or "")
    if found and response.status == HTTPStatus.PARTIAL_CONTENT:
        size = int(response["Content-Range"].rpartition("/")[2])
        if int(found[1]) >= size:
            response["Content-Range"] = f"bytes */{size}"
            response.status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            response.write_file(b"")


def _list(request: Any, response: Any, storage: Storage) -> None:
    """List one page: objects and folders in the common order of their names."""
    objects.ls(request, response, storage)
    if response.status != HTTPStatus.OK:
        return
    found = json.loads(response._content)  # noqa: SLF001 -- there is no other way
    query = {name: values[0] for name, values in request.query.items()}
    entries = {item["name"]: item for item in found["items"]} | dict.fromkeys(found["prefixes"])
    names = sorted(name for name in entries if name > query.get("pageToken", ""))
    most = min(int(query.get("maxResults", _PAGE)), _PAGE)
    page = {
        "kind": found["kind"],
        "items": [entries[name] for name in names[:most] if entries[name]],
        "prefixes": [name for name in names[:most] if not entries[name]],
    }
    if len(names) > most:
        page["nextPageToken"] = names[most - 1]
    response.json(page)


def _cancel(request: Any, response: Any, storage: Storage) -> None:
    storage.resumable.pop(request.query["upload_id"][0], None)
    # Google's own number: https://cloud.google.com/storage/docs/performing-resumable-uploads
    response.status = SimpleNamespace(value=499, phrase="Client Closed Request")


_MENDED: tuple[tuple[str, dict[str, Handler]], ...] = (
    (settings.API_ENDPOINT + _BUCKET, {"GET": _list}),
    (settings.DOWNLOAD_API_ENDPOINT + _BUCKET + r"/(?P<object_id>.+)", {"GET": _download}),
    (
        settings.UPLOAD_API_ENDPOINT + _BUCKET,
        {"POST": objects.insert, "PUT": objects.upload_partial, "DELETE": _cancel},
    ),
)

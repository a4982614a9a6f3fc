"""What a proxy can do to a request."""

import threading
from dataclasses import dataclass, field
from http import HTTPStatus

_S3_ERROR = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>'
    "<RequestId>4442587FB7D0A2F9</RequestId></Error>"
)
_GCS_ERROR = (
    '{{"error": {{"code": {status}, "message": "{message}", '
    '"errors": [{{"message": "{message}", "domain": "global", "reason": "{code}"}}]}}}}'
)
_TOLD = {
    "s3": {
        403: ("AccessDenied", "Access Denied"),
        500: ("InternalError", "We encountered an internal error. Please try again."),
        503: ("SlowDown", "Please reduce your request rate."),
    },
    "gcs": {
        403: ("forbidden", "Caller does not have storage.objects access to the bucket."),
        401: ("required", "Anonymous caller does not have storage.objects.get access."),
        500: ("internalError", "Internal Server Error"),
        503: ("backendError", "Backend Error"),
    },
}
"""What each store says: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html,
https://cloud.google.com/storage/docs/json_api/v1/status-codes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The proxy answers with an error, as the store words it; the store sees nothing."""

    status: int


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection is cut once the request is there; the store sees nothing."""


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The store does what is asked, and the connection is cut before it can say so."""


@dataclass(frozen=True, slots=True)
class CutRequest:
    """The connection is cut in the middle of the request's body; the store sees nothing."""

    after: int = 1
    """Bytes of the body that are taken."""


@dataclass(frozen=True, slots=True)
class CutAnswer:
    """The connection is cut in the middle of the answer's body."""

    after: int = 1
    """Bytes of the body that are handed on."""
    is_reset: bool = True
    """Whether it is cut with a reset; else it ends as if the body did."""


@dataclass(frozen=True, slots=True)
class Slow:
    """The answer's body comes in drops."""

    chunk: int = 1 << 14
    """Bytes at a time."""
    wait_s: float = 0.005
    """Between them."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The request waits, before the store sees it, until it is let go."""

    reached: threading.Event = field(default_factory=threading.Event)
    """Set once a request waits."""
    let_go: threading.Event = field(default_factory=threading.Event)
    """To be set by who let it wait."""
    given_up: threading.Event = field(default_factory=threading.Event)
    """Set when the rules are cleared: then the store never sees what waits."""


Deed = Answer | Drop | LoseAnswer | CutRequest | CutAnswer | Slow | Hold


def error_answer(store: str, status: int, method: str) -> bytes:
    """A whole answer, as a store would word it; without a body where the method allows none."""
    code, message = _TOLD[store][status]
    template, kind = {
        "s3": (_S3_ERROR, "application/xml"),
        "gcs": (_GCS_ERROR, "application/json"),
    }[store]
    body = template.format(status=status, code=code, message=message).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else body)

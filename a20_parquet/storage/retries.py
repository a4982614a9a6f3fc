"""Requests to a store, repeated after errors that may be temporary."""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from tenacity import RetryCallState

_LOGGER = logging.getLogger(__name__)
Answer = TypeVar("Answer")

_MOST_TRIES = 7
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 16.0
# Packages whose exceptions need not be OSErrors.
_CLIENTS = frozenset({"aiohttp", "botocore", "gcsfs", "google", "requests", "urllib3"})
TEMPORARY_CODES = frozenset({408, 429, *range(500, 600)})
_PERMANENT = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    NotADirectoryError,
    IsADirectoryError,
)
_PERMANENT_NUMBERS = frozenset(
    {errno.EINVAL, errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT}
)
_PERMANENT_NAMES = frozenset({"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"})
_PERMANENT_WORDS = ("forbidden", "access denied", "credentials", "unauthorized", "anonymous caller")


class ShortAnswerError(OSError):
    """A store returned fewer or more bytes than were requested."""


def is_temporary(error: BaseException) -> bool:
    """Whether the same request may succeed a moment later.

    It may after connection errors, timeouts and failures of the server (429 and 5xx), and not after
    permanent refusals.
    """
    if not isinstance(error, FileNotFoundError):
        return _is_temporary(error)
    # Clients abort a failed upload. The store does not find the upload if it had completed it and
    # the answer was lost.
    before = error.__cause__ or error.__context__
    while before is not None:
        if _is_temporary(before):
            return True
        before = before.__cause__ or before.__context__
    return False


def _is_temporary(error: BaseException) -> bool:
    if isinstance(error, ShortAnswerError | ConnectionError | TimeoutError):
        return True
    if type(error).__name__ in _PERMANENT_NAMES or isinstance(error, _PERMANENT):
        return False
    code = status_of(error)
    if code is not None:
        return code in TEMPORARY_CODES
    if isinstance(error, OSError) and error.errno in _PERMANENT_NUMBERS:
        return False
    if any(word in str(error).lower() for word in _PERMANENT_WORDS):
        return False
    return isinstance(error, OSError) or is_client_error(error)


def is_client_error(error: BaseException) -> bool:
    """Whether a store's client defines the error's class."""
    return any(kind.__module__.partition(".")[0] in _CLIENTS for kind in type(error).__mro__)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status in an error, or None."""
    for name in ("status", "code"):
        code = str(getattr(error, name, None))
        if code.isdigit():
            return int(code)
    response = getattr(error.__cause__ or error, "response", None)
    if isinstance(response, dict):
        code = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return code if isinstance(code, int) else None
    return None


class RetryCounter:
    """Counts repeated requests to stores; thread-safe.

    Attributes:
        count: number of repeated requests.
    """

    def __init__(self) -> None:
        self.count = 0
        self._lock = Lock()

    def add(self) -> None:
        """Count one more."""
        with self._lock:
            self.count += 1


_COUNTER: Final[ContextVar[RetryCounter | None]] = ContextVar("retries", default=None)


@contextmanager
def counted_retries() -> Iterator[RetryCounter]:
    """Count the requests to all stores that the body repeats.

    Requests in ``ContextThreads`` that the body starts are counted, those in other threads are not.
    (Each thread has its own filesystems, so these cannot count.)
    """
    counter = RetryCounter()
    token = _COUNTER.set(counter)
    try:
        yield counter
    finally:
        _COUNTER.reset(token)


def _count_retry(state: "RetryCallState") -> None:
    error = None if state.outcome is None else state.outcome.exception()
    wait_s = 0.0 if state.next_action is None else state.next_action.sleep
    _LOGGER.info(
        "request to a store, try %s failed (%s: %s); again in %.1f s",
        state.attempt_number,
        type(error).__name__,
        error,
        wait_s,
    )
    if (counter := _COUNTER.get()) is not None:
        counter.add()


def call(request: Callable[[], Answer]) -> Answer:
    """Make a request, and repeat it with growing waits while ``is_temporary``.

    Raises:
        BaseException: its last error.
    """
    # Imports asyncio, which local files do not need.
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    retrying = Retrying(
        retry=retry_if_exception(is_temporary),
        stop=stop_after_attempt(_MOST_TRIES),
        wait=wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S),
        before_sleep=_count_retry,
        reraise=True,
    )
    return retrying(request)

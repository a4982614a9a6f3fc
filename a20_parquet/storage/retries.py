"""Requests to a store, tried again where what went wrong may pass."""

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
# What clients raise that is no OSError, by the package that defines it.
_CLIENTS = frozenset({"aiohttp", "botocore", "gcsfs", "google", "requests", "urllib3"})
PASSING_CODES = frozenset({408, 429, *range(500, 600)})
_LASTING = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    NotADirectoryError,
    IsADirectoryError,
)
_LASTING_NUMBERS = frozenset(
    {errno.EINVAL, errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT}
)
_LASTING_NAMES = frozenset({"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"})
_LASTING_WORDS = ("forbidden", "access denied", "credentials", "unauthorized", "anonymous caller")


class ShortAnswerError(OSError):
    """A store answered with fewer bytes than it was asked for, or with more."""


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed a moment later.

    Errors of the connection, time limits and a server's own failures (429 and 5xx) may; what the
    server refuses for good does not.
    """
    if isinstance(error, FileNotFoundError):
        # Clients give up a failed upload, which is not there where the store had ended it and its
        # answer was lost.
        return any(map(_may_pass_by_itself, _handled_before(error)))
    return _may_pass_by_itself(error)


def _handled_before(error: BaseException) -> Iterator[BaseException]:
    before = error.__cause__ or error.__context__
    while before is not None:
        yield before
        before = before.__cause__ or before.__context__


def _may_pass_by_itself(error: BaseException) -> bool:
    if isinstance(error, ShortAnswerError | ConnectionError | TimeoutError):
        return True
    if type(error).__name__ in _LASTING_NAMES or isinstance(error, _LASTING):
        return False
    code = status_of(error)
    if code is not None:
        return code in PASSING_CODES
    if isinstance(error, OSError) and error.errno in _LASTING_NUMBERS:
        return False
    if any(word in str(error).lower() for word in _LASTING_WORDS):
        return False
    return isinstance(error, OSError) or is_clients(error)


def is_clients(error: BaseException) -> bool:
    """Whether an error is one that a store's client defines."""
    return any(kind.__module__.partition(".")[0] in _CLIENTS for kind in type(error).__mro__)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status in an error, None if it has none."""
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
    """Counts repeated requests to stores, from any thread.

    Attributes:
        count: how many there were.
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
    """Count the requests that the body repeats, of whichever store.

    Filesystems are made anew in each thread, so that none of them knows all. What the body has
    threads do counts if these are ``ContextThreads``; what other threads do meanwhile does not.
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
    """Make a request, again where it may succeed then, and longer after each time.

    Raises:
        BaseException: what it raised last.
    """
    # It brings asyncio along, which nothing else needs where all files are local.
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    retrying = Retrying(
        retry=retry_if_exception(may_pass),
        stop=stop_after_attempt(_MOST_TRIES),
        wait=wait_random_exponential(multiplier=_FIRST_WAIT_S, max=_LONGEST_WAIT_S),
        before_sleep=_count_retry,
        reraise=True,
    )
    return retrying(request)

"""How much may go to quarantine before a conversion gives up."""

from threading import Lock
from typing import NoReturn

from a20_parquet.errors import RecordError


class ErrorLimit:
    """Counts what goes to quarantine, from any thread.

    Attributes:
        count: records and damaged ranges so far.
        last: the last one that was counted by itself.
    """

    def __init__(self, most: int | None) -> None:
        """Begin to count.

        Args:
            most: how many may go to quarantine; none for any number.
        """
        self.count = 0
        self.last: RecordError | None = None
        self._most = most
        self._lock = Lock()

    def add(self, error: RecordError) -> None:
        """Count one more.

        Raises:
            RecordError: that is one too many.
        """
        with self._lock:
            self.count += 1
            self.last = error
            is_too_many = self._is_too_many
        if is_too_many:
            self._refuse(error)

    def add_elsewhere(self, count: int, last: RecordError | None) -> None:
        """Count what another process has put there.

        Args:
            count: records and damaged ranges.
            last: the last of them; none where there is none.

        Raises:
            RecordError: that is too many.
        """
        self.add_known(count)
        if last is not None and self._is_too_many:
            self._refuse(last)

    @property
    def _is_too_many(self) -> bool:
        return self._most is not None and self.count > self._most

    def _refuse(self, error: RecordError) -> NoReturn:
        if not self._most:
            raise error
        raise RecordError(
            shard=error.shard,
            record=error.record,
            offset=error.offset,
            code=error.code,
            reason=f"{error.reason}. That is more than --max-errors {self._most}",
            fix="Run the same command with a larger number, or without it, to go on.",
        )

    def add_known(self, count: int) -> None:
        """Count what an earlier run of the same conversion has put there."""
        with self._lock:
            self.count += count

"""How much may go to quarantine before a conversion gives up."""

from threading import Lock

from a20_parquet.errors import RecordError


class ErrorLimit:
    """Counts what goes to quarantine, from any thread.

    Attributes:
        count: records and damaged ranges so far.
    """

    def __init__(self, most: int | None) -> None:
        """Begin to count.

        Args:
            most: how many may go to quarantine; none for any number.
        """
        self.count = 0
        self._most = most
        self._lock = Lock()

    def add(self, error: RecordError) -> None:
        """Count one more.

        Raises:
            RecordError: that is one too many.
        """
        with self._lock:
            self.count += 1
            is_too_many = self._most is not None and self.count > self._most
        if not is_too_many:
            return
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

"""What reading a data file can raise, as errors that name the file."""

from types import TracebackType

import pyarrow as pa

from a20_parquet.errors import DatasetError

MEND = "It is damaged or was changed: copy or convert the dataset again."


class ReadingErrors:
    """Turns every error of reading a file into a DatasetError; reentrant."""

    def __init__(self, url: str) -> None:
        """Name the file in messages."""
        self._url = url

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, FileNotFoundError):
            raise DatasetError(
                f"{self._url} is missing, though files.parquet names it. Copy or convert the "
                "dataset again."
            ) from error
        # Damaged footers cause names that are not text, and numbers that are too large.
        if isinstance(
            error,
            OSError | pa.ArrowException | LookupError | ValueError | OverflowError | MemoryError,
        ):
            raise DatasetError(f"{self._url}: cannot be read: {error}. {MEND}") from error

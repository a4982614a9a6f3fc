"""Progress that remembers, for tests."""

from a20_parquet.progress import NoProgress


class Said(NoProgress):
    """Keeps what is said while it converts."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """Keep it."""
        self.lines.append(line)

"""Progress that remembers, for tests."""

from a20_parquet.progress import NoProgress


class Said(NoProgress):
    """Keeps what is said while it converts."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """Keep it."""
        self.lines.append(line)


class Heard:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.passes: list[str] = []
        self.done = 0

    def start(self, name: str, total_bytes: int) -> None:
        """Keep the name."""
        del total_bytes
        self.passes.append(name)

    def advance(self, count_bytes: int) -> None:
        """Count."""
        self.done += count_bytes

    def say(self, message: str) -> None:
        """Ignore it."""

"""Results on stdout."""

from a20_parquet.formatting import escape


def show(*lines: str) -> None:
    """Print lines; a control character in one of them, a newline too, is shown escaped."""
    for line in lines:
        # click would write UTF-8 to a terminal that takes ASCII.
        print(escape(line), flush=True)  # noqa: T201 - the command's result

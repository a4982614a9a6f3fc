"""Commands, as a user would type them, in one process that has what a user's has and no more.

``python -m tests.stores.commands`` reads them as JSON, a list of ``[arguments, hidden]``, and tells
of each its exit code and what it printed, as JSON too. ``hidden`` is a module that cannot be
imported, or the beginning of names of environment variables that are not there, or nothing.
"""

import contextlib
import io
import json
import os
import sys
import traceback
from collections.abc import Iterator
from unittest import mock

from fsspec.spec import AbstractFileSystem

from a20_parquet.cli import main as cli
from a20_parquet.storage import retries


def main() -> None:
    """Run them all."""
    # No test waits for what does not pass.
    retries._FIRST_WAIT_S = 1e-4  # noqa: SLF001
    json.dump([_run(*command) for command in json.load(sys.stdin)], sys.stdout)


def _run(arguments: list[str], hidden: str) -> tuple[int | str | None, str]:
    printed = io.StringIO()
    code: int | str | None = 0
    with (
        _hiding(hidden),
        mock.patch.object(sys, "argv", ["a20-parquet", *arguments]),
        contextlib.redirect_stderr(printed),
        contextlib.redirect_stdout(printed),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        except BaseException:  # noqa: BLE001 -- the next command goes on
            code = "crashed"
            traceback.print_exc()
    for kind in AbstractFileSystem.__subclasses__():
        for inner in (kind, *kind.__subclasses__()):
            inner.clear_instance_cache()
    return code, printed.getvalue()


@contextlib.contextmanager
def _hiding(what: str) -> Iterator[None]:
    with mock.patch.dict(os.environ):
        for name in [name for name in os.environ if what.isupper() and name.startswith(what)]:
            del os.environ[name]
        if what.islower():
            sys.modules[what] = None  # type: ignore[assignment]
        yield
        if what.islower():
            del sys.modules[what]


if __name__ == "__main__":
    main()

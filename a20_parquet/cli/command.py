"""What all commands share: ``--quiet``, ``--verbose``, and exit codes."""

import logging
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import distributions
from typing import Any

import click

from a20_parquet.checks import check_unicode
from a20_parquet.cli.console import be_quiet, print_wrong_usage
from a20_parquet.cli.sections import write_sections
from a20_parquet.errors import A20ParquetError, UsageError
from a20_parquet.formatting import write_line

_LOGGER = logging.getLogger(__name__)

EXIT_FAILED = 1
_EXIT_USAGE, _EXIT_INTERRUPTED = 2, 130

# Paths of shards may be bytes that are not UTF-8.
_MAY_BE_BYTES = frozenset({"sources", "shards", "source"})
_DELETING = frozenset({"--force", "--overwrite"})


class Command(click.Command):
    """A command with ``--quiet`` and ``--verbose``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(
                ["-q", "--quiet"],
                is_flag=True,
                help="Show only the result and errors: no progress, no remarks.",
            ),
            click.Option(
                ["-v", "--verbose"],
                count=True,
                show_default=False,
                help="Also show decisions: memory, workers, runs, retries. -vv shows the whole "
                "log, with times and modules.",
            ),
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See ``click.Command``; never suggests an option that deletes for a mistyped one."""
        given = [*args]
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter as error:
            # A single argument is the first one: the missing one is the last.
            last = [param for param in self.params if isinstance(param, click.Argument)][-1]
            values, _, _ = self.make_parser(ctx).parse_args(given)
            is_given = isinstance(values.get(last.name or ""), str)
            if error.param is not None and error.param.nargs < 0 and is_given:
                raise click.MissingParameter(ctx=ctx, param=last) from None
            raise
        except click.NoSuchOption as error:
            alike = [each for each in error.possibilities or () if each not in _DELETING]
            raise click.NoSuchOption(error.option_name, possibilities=alike, ctx=ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See ``click.Command``."""
        write_sections(self, ctx, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        """See ``click.Command``."""
        quiet, verbose = ctx.params.pop("quiet"), ctx.params.pop("verbose")
        if quiet and verbose:
            raise click.UsageError("--quiet and --verbose exclude each other.", ctx)
        for param in self.params:
            if param.name not in _MAY_BE_BYTES:
                name = (
                    param.opts[-1] if isinstance(param, click.Option) else param.human_readable_name
                )
                check_unicode(name, ctx.params.get(param.name or ""))
        if quiet:
            be_quiet(ctx)
        with _without_logged_remarks(), nullcontext() if quiet else _shown_log(verbose):
            return super().invoke(ctx)


class Group(click.Group):
    """Commands with ``--quiet`` and ``--verbose``."""

    command_class = Command


class _OnStderr(logging.Handler):
    """Log handler that writes lines to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        # Only a traceback has several lines: write_line escapes newlines in messages.
        text = self.format(record)
        lines = text.split("\n") if record.exc_info else [text]
        for line in lines:
            write_line(line)


@contextmanager
def _shown_log(verbose: int) -> Iterator[None]:
    """Show the package's log: warnings, from 1 on decisions, from 2 on all, with tracebacks."""
    logger = logging.getLogger("a20_parquet")
    handler, level = _OnStderr(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    if verbose > 1:
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
        logger.setLevel(logging.DEBUG)
        _log_versions()
    try:
        yield
    except A20ParquetError:
        _LOGGER.debug("the command failed", exc_info=True)
        raise
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _log_versions() -> None:
    _LOGGER.debug("Python %s on %s", platform.python_version(), platform.platform())
    for name in ("a20-parquet", "pyarrow", "polars", "duckdb", "numpy", "tensorflow", "fsspec"):
        for found in distributions(name=name):
            _LOGGER.debug("%s %s", name, found.version)


@contextmanager
def _without_logged_remarks() -> Iterator[None]:
    """Keep remarks on a conversion out of the log: the console prints them."""
    logger = logging.getLogger("a20_parquet.conversion.result")

    def leave_out(_: logging.LogRecord) -> bool:
        return False

    logger.addFilter(leave_out)
    try:
        yield
    finally:
        logger.removeFilter(leave_out)


@contextmanager
def clean_exits() -> Iterator[None]:
    """Turn an error of the body into one line on stderr and an exit code."""
    try:
        yield
    except (click.exceptions.Abort, KeyboardInterrupt):
        _fail("interrupted", _EXIT_INTERRUPTED)
    except click.ClickException as error:
        print_wrong_usage(error)
        sys.exit(error.exit_code)
    except UsageError as error:
        _fail(error.console_text, _EXIT_USAGE)
    except A20ParquetError as error:
        _fail(error.console_text, EXIT_FAILED)
    except OSError as error:
        _fail(str(error), EXIT_FAILED)
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        fix = "install it (pip install tensorflow), or use a command with --decoder wire"
        _fail(f"TensorFlow is not installed: {fix}.", EXIT_FAILED)
    except MemoryError as error:
        _fail(f"out of memory: {error}. Give a smaller --memory or --workers.", EXIT_FAILED)


def _fail(message: str, code: int) -> None:
    write_line(f"a20-parquet: {message}")
    sys.exit(code)

"""Tries framing, decoding and the reading of filenames on bytes of all kinds.

``python -m tests.robustness.fuzz --minutes 5`` tries all three with Hypothesis;
``--guided framing`` one of them with Atheris, which looks for bytes that reach new code.
"""

import importlib
import sys
import time
from typing import Any

import click
from hypothesis import HealthCheck, given, settings

_UNLIMITED = 1_000_000_000
_ROUND = 200
_CHECKS = list(HealthCheck)


def run(name: str, target: Any, *, seconds: float, examples: int = _UNLIMITED) -> int:
    """Try one target until the time or the examples are used up; how many there were."""
    check, strategies = target
    end = time.monotonic() + seconds
    tried = 0

    @settings(
        max_examples=min(examples, _ROUND),
        deadline=None,
        database=None,
        suppress_health_check=_CHECKS,
    )
    @given(**strategies)
    def attempt(**values: Any) -> None:
        nonlocal tried
        if time.monotonic() < end:
            tried += 1
            check(**values)

    while time.monotonic() < end and tried < examples:
        attempt()
    click.echo(f"{name}: {tried:,} examples")
    return tried


def _guided(name: str, seconds: float) -> None:
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["a20_parquet"]):
        from tests.robustness.properties import targets
    check, strategies = targets()[name]

    test: Any = settings(database=None, deadline=None, suppress_health_check=_CHECKS)(
        given(**strategies)(check)
    )

    arguments = [sys.argv[0], f"-max_total_time={seconds:.0f}", "-max_len=4096", "-timeout=60"]
    atheris.Setup(arguments, test.hypothesis.fuzz_one_input)
    atheris.Fuzz()


@click.command()
@click.option("--minutes", default=5.0, help="How long to try each target.")
@click.option("--guided", help="Target for Atheris, which must be installed.")
@click.option("--only", help="The only target to try.")
def main(minutes: float, guided: str | None, only: str | None) -> None:
    """Try what must hold for any bytes."""
    if guided is not None:
        _guided(guided, minutes * 60)
        return
    from tests.robustness.properties import targets

    for name, target in targets().items():
        if only in (None, name):
            run(name, target, seconds=minutes * 60)


if __name__ == "__main__":
    main()

"""Repairs in processes of their own that are killed, forks of one that ran nothing yet."""

import multiprocessing
import signal
from pathlib import Path

from a20_parquet.conversion.repair import repair
from tests.robustness.children import StepTrap

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


def count_steps(dataset: Path) -> int:
    """Mend a dataset; how many steps changed the file system."""
    steps = _CONTEXT.SimpleQueue()
    assert _run(dataset, None, steps) == 0
    return int(steps.get())


def repair_and_die(dataset: Path, at: int) -> None:
    """Mend a dataset, and be killed right before a step."""
    assert _run(dataset, at, _CONTEXT.SimpleQueue()) == -signal.SIGKILL


def _run(
    dataset: Path, at: int | None, steps: "multiprocessing.queues.SimpleQueue[int]"
) -> int | None:
    process = _CONTEXT.Process(target=_repair, args=(dataset, at, steps))
    process.start()
    process.join()
    code = process.exitcode
    process.close()
    return code


def _repair(
    dataset: Path, at: int | None, steps: "multiprocessing.queues.SimpleQueue[int]"
) -> None:
    trap = StepTrap([dataset], at)
    repair(dataset, workers=1)
    steps.put(trap.steps)

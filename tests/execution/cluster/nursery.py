"""A process that has imported everything and forks schedulers and workers, each in no time.

It reads commands from its input, ``scheduler`` or ``worker ADDRESS THREADS``, and answers each with
a line of JSON. What it has forked dies with it.
"""

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import NoReturn

from distributed import Scheduler, Worker

import a20_parquet.conversion.convert
import a20_parquet.decoding.wire
import a20_parquet.execution.dask_worker
import a20_parquet.windows.fingerprint  # noqa: F401 - imported for those that are forked


async def _scheduler(_: list[str], tell: Callable[[str], None]) -> None:
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        tell(scheduler.address)
        await scheduler.finished()


async def _worker(arguments: list[str], tell: Callable[[str], None]) -> None:
    address, threads = arguments
    async with Worker(address, host="127.0.0.1", nthreads=int(threads), memory_limit=0) as worker:
        tell(worker.address)
        await worker.finished()


_ROLES: dict[str, Callable[[list[str], Callable[[str], None]], Awaitable[None]]] = {
    "scheduler": _scheduler,
    "worker": _worker,
}


def _grow_up(role: str, arguments: list[str], answer: int, alive: int) -> NoReturn:
    def die_with_parent() -> None:
        os.read(alive, 1)
        os._exit(1)

    threading.Thread(target=die_with_parent, daemon=True).start()
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - what is killed on purpose says so

    def tell(address: str) -> None:
        with open(answer, "w") as pipe:
            json.dump({"pid": os.getpid(), "address": address}, pipe)

    asyncio.run(_run(role, arguments, tell))
    os._exit(0)


async def _run(role: str, arguments: list[str], tell: Callable[[str], None]) -> None:
    await _ROLES[role](arguments, tell)


def main() -> None:
    """Fork whatever is asked for."""
    logging.disable()
    alive, kept = os.pipe()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        role, *arguments = line.split()
        told, answer = os.pipe()
        if os.fork() == 0:
            os.close(kept)
            os.close(told)
            _grow_up(role, arguments, answer, alive)
        os.close(answer)
        with open(told) as pipe:
            sys.stdout.write(pipe.read() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

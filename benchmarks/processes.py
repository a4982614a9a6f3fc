"""Runs a command as a process of its own and measures it."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
_WRITTEN = re.compile(r"^wchar: (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a process took."""

    wall_s: float
    cpu_s: float
    """User and system time of all its threads and of the processes it waited for."""
    peak_rss_bytes: int
    """The largest resident memory of the process or of one it waited for."""
    written_bytes: int | None
    """Bytes that it wrote to files and pipes, also those of files that it deleted; None if the
    system does not count them."""
    result: dict[str, Any]
    """The JSON object it printed; empty where it printed none."""
    error: str | None
    """Its last words, where it failed."""


def measure(command: list[str], folder: Path = PROJECT) -> Measured:
    """Runs ``command`` in a folder, to its end."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begun_s = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=folder)  # noqa: S603
        try:
            # It has ended, but its counters are there until the next call.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            wall_s = time.perf_counter() - begun_s
            written_bytes = _written_bytes(process.pid)
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        printed, complaints = _text(out), _text(err)
    error = None
    if process.returncode:
        last = complaints.strip().splitlines()[-1:] or [""]
        error = f"exit code {process.returncode}: {last[0]}"
    return Measured(
        wall_s=wall_s,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_rss_bytes=used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        written_bytes=written_bytes,
        result=json.loads(printed) if printed.strip() and not error else {},
        error=error,
    )


def _written_bytes(pid: int) -> int | None:
    try:
        counted = _WRITTEN.search(Path(f"/proc/{pid}/io").read_text())
    except OSError:  # not Linux
        return None
    return int(counted[1]) if counted else None


def _text(file: Any) -> str:
    file.seek(0)
    text: str = file.read()
    return text

"""Conversions in forked processes, and traps that kill them.

A fork of a process that has imported TensorFlow, and never ran anything of it, starts at once.
"""

import hashlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_REMOVALS = frozenset({"os.remove", "os.rmdir"})
_STEPS = frozenset({"open", "os.rename", "os.mkdir", *_REMOVALS})


@dataclass(frozen=True, slots=True)
class Child:
    """A running process."""

    pid: int
    output: Path
    """What it printed."""

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        os.kill(self.pid, signal.SIGKILL)

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; none while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def wait(self, watch: Callable[[], bool] = lambda: False, limit_s: float = 120) -> int:
        """Wait for its end, and kill it once ``watch`` says so.

        Raises:
            TimeoutError: it is still there after ``limit_s``; it was killed then.
        """
        end = time.monotonic() + limit_s
        while (code := self._poll_or_kill(watch)) is None:
            if time.monotonic() > end:
                self.kill()
                os.waitpid(self.pid, 0)
                raise TimeoutError(f"it hangs: {self.output.read_text()}")
            time.sleep(0.0005)
        return code

    def expect(self, code: int) -> str:
        """Wait for its end and return what it printed.

        Raises:
            RuntimeError: it ends with another exit code.
        """
        found = self.wait()
        printed = self.output.read_text()
        if found != code:
            raise RuntimeError(f"exit code {found}, expected {code}: {printed}")
        return printed

    def _poll_or_kill(self, watch: Callable[[], bool]) -> int | None:
        code = self.poll()
        if code is None and watch():
            self.kill()
            return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return code


def start(work: Callable[[], object], output: Path) -> Child:
    """Do ``work`` in a fork of this process; its exit code is its own, or 1 where it raises."""
    pid = os.fork()
    if pid:
        return Child(pid, output)
    code = 1
    try:
        descriptor = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 -- nothing may get back into the parent's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class StepTrap:
    """Counts steps that change the file system, and kills its process right before one of them.

    Steps are what Python's audit events tell of: files opened for writing, renamed and removed,
    folders made and removed; and each write of a Parquet file, of which half is written then.

    Attributes:
        steps: how many there have been.
    """

    def __init__(self, folders: list[Path], at: int | None, behind: str = "") -> None:
        """Set the trap for this process; it cannot be taken away.

        Args:
            folders: only steps in them count.
            at: before which step, from 0, to kill; none to count only.
            behind: begin to count at the first step whose path contains this.
        """
        self.steps = 0
        self._folders = tuple(map(str, folders))
        self._at = at
        self._behind = behind
        self._writev = os.writev
        os.writev = self._write
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _STEPS:
            return
        path = str(arguments[0])
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        # What rmtree removes it names relative to a folder that it holds open.
        if path.startswith(self._folders) or event in _REMOVALS:
            self._count(path)

    def _count(self, path: str) -> bool:
        if self._behind not in path:
            return False
        self._behind = ""
        self.steps += 1
        if self.steps - 1 == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    def _write(self, descriptor: int, buffers: Any) -> int:
        if not self._behind:
            self.steps += 1
            if self.steps - 1 == self._at:
                content = b"".join(buffers)
                os.write(descriptor, content[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
        return self._writev(descriptor, buffers)


def digest_tree(root: Path) -> dict[str, str]:
    """All below a folder: SHA-256 of every file, and that folders are there."""
    return {
        path.relative_to(root).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        )
        for path in sorted(root.rglob("*"))
    }


def count_markers(folder: Path) -> int:
    """How many commit markers lie in a folder that a conversion may remove at any moment."""
    try:
        return sum(path.suffix == ".json" for path in folder.iterdir())
    except FileNotFoundError:
        return 0

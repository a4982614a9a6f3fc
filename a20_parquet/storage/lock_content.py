"""Content of a lock in a store: the process that holds it."""

import os
import platform
import secrets
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACES: Final = Path("/proc/self/ns/pid"), Path("/proc/self/ns/time")


class LockContent(BaseModel):
    """The process that holds a lock."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: str
    """Random, drawn by the process that took the lock."""
    machine: Annotated[str, Field(max_length=256)]
    """The machine's name, for messages: containers may share one."""
    pids: str | None
    """The process's id space, see ``find_pids``; None if unknown."""
    process: Annotated[int, Field(ge=1, lt=1 << 31)]
    beat: int
    """Number of renewals."""

    @classmethod
    def draw(cls) -> Self:
        """The content of a new lock of this process."""
        return cls(
            owner=secrets.token_hex(8),
            machine=platform.node()[:256],
            pids=find_pids(),
            process=os.getpid(),
            beat=0,
        )

    @classmethod
    def parse(cls, content: bytes | None) -> Self | None:
        """Parse a lock; None if there is none, or another version wrote it."""
        try:
            return None if content is None else cls.model_validate_json(content)
        except ValidationError:
            return None

    def encode(self) -> bytes:
        """The bytes of the lock."""
        return self.model_dump_json().encode()

    @property
    def has_died(self) -> bool:
        """Whether the owner is known to be dead: same id space, and no process has its id.

        A host's name, boot time and process id prove nothing, because containers share them.
        """
        if self.pids is None or self.pids != find_pids():
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False

    def __str__(self) -> str:
        return f"process {self.process} on {' '.join(self.machine.split())}"


def find_pids() -> str | None:
    """Return a name for the space of process ids that this process is in, or None.

    A machine draws a new ``boot_id`` at each start, and the kernel numbers its namespaces.
    """
    try:
        namespaces = [str(path.stat().st_ino) for path in _NAMESPACES if path.exists()]
        boot = _BOOT_ID.read_text().strip()
    except OSError:
        return None
    return "/".join([boot, *namespaces]) if boot and namespaces else None

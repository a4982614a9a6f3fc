"""What a lock in a store says of the process that holds it."""

import os
import platform
import secrets
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACES: Final = Path("/proc/self/ns/pid"), Path("/proc/self/ns/time")


class LockContent(BaseModel):
    """What a lock says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: str
    """Drawn at random by whoever took it."""
    machine: Annotated[str, Field(max_length=256)]
    """Its name, for people: containers may share one."""
    pids: str | None
    """Where its process ids count, None if that is not known."""
    process: Annotated[int, Field(ge=1, lt=1 << 31)]
    beat: int
    """How often it was renewed."""

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
        """Read it; None if it is none that this version has written."""
        try:
            return None if content is None else cls.model_validate_json(content)
        except ValidationError:
            return None

    def encode(self) -> bytes:
        """Its bytes."""
        return self.model_dump_json().encode()

    @property
    def has_died(self) -> bool:
        """Whether its owner is known to be gone: its process id counts here, and nothing has it.

        A host's name, when it started and a process id prove nothing: containers share them.
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
    """Name the space of process ids that this process is in, None if that cannot be known.

    A machine draws a new ``boot_id`` whenever it starts; within that the kernel numbers the
    namespaces that there are.
    """
    try:
        namespaces = [str(path.stat().st_ino) for path in _NAMESPACES if path.exists()]
        boot = _BOOT_ID.read_text().strip()
    except OSError:
        return None
    return "/".join([boot, *namespaces]) if boot and namespaces else None

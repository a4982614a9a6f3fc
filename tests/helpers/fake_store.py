"""An object store in memory that remembers each request, and may fail or dawdle."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import fsspec
from fsspec.spec import AbstractFileSystem

URL = "fake://bucket"
BUCKET = "bucket"


class Request(NamedTuple):
    """What the store was asked for."""

    kind: str
    """``info``, ``ls``, ``read`` or ``write``."""
    path: str
    start: int = 0
    stop: int = 0


class FakeStore(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """A store with one bucket, for ``fake://`` URLs; it can be asked for ranges only."""

    protocol = "fake"
    cachable = False
    objects: ClassVar[dict[str, bytes]] = {}
    requests: ClassVar[list[Request]] = []
    tells: ClassVar[dict[str, Any]] = {}
    """What it tells of each object besides its name, type and size."""
    before: ClassVar[list[Callable[[Request], None]]] = []
    """Called with each request before it is answered; may wait or raise."""

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """What the store tells of an object or folder."""
        path = self._strip_protocol(path).rstrip("/")
        self._note(Request("info", path))
        return self._told(path)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:  # noqa: FBT001, FBT002 - fsspec's
        """What lies in a folder."""
        path = self._strip_protocol(path).rstrip("/")
        self._note(Request("ls", path))
        depth = path.count("/") + 2
        names = {"/".join(name.split("/")[:depth]) for name in self.objects if _below(name, path)}
        if not names:
            raise FileNotFoundError(path)
        return [self._told(name) if detail else name for name in sorted(names)]

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """Read a range of an object."""
        content = self.objects.get(path)
        size = len(content or b"")
        first, stop = start or 0, size if end is None else end
        self._note(Request("read", path, first, stop))
        if content is None:
            raise FileNotFoundError(path)
        return content[first:stop]

    def pipe_file(self, path: str, value: bytes, **_: Any) -> None:
        """Put an object."""
        self._note(Request("write", path, 0, len(value)))
        self.objects[path] = bytes(value)

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        raise AssertionError(f"{path} is opened ({mode}), not streamed")

    def _note(self, request: Request) -> None:
        self.requests.append(request)
        for call in self.before:
            call(request)

    def _told(self, path: str) -> dict[str, Any]:
        if path in self.objects:
            size = len(self.objects[path])
            return {"name": path, "type": "file", "size": size, **self.tells}
        if any(_below(name, path) for name in self.objects):
            return {"name": path, "type": "directory", "size": 0}
        raise FileNotFoundError(path)


def _below(name: str, folder: str) -> bool:
    return name.startswith(f"{folder}/") if folder else True


@contextmanager
def fake_store() -> Iterator[type[FakeStore]]:
    """Lend the store, empty."""
    fsspec.register_implementation("fake", FakeStore, clobber=True)
    try:
        yield FakeStore
    finally:
        for state in (FakeStore.objects, FakeStore.requests, FakeStore.tells, FakeStore.before):
            state.clear()


def put(folder: Path, below: str = "in") -> str:
    """Put all files of a local folder into the store; their common URL."""
    for path in folder.rglob("*"):
        if path.is_file():
            name = f"{BUCKET}/{below}/{path.relative_to(folder).as_posix()}"
            FakeStore.objects[name] = path.read_bytes()
    return f"{URL}/{below}"


def reads(path: str | None = None) -> list[tuple[int, int]]:
    """Which ranges have been asked for, of one object or of all, in order."""
    return [
        (request.start, request.stop)
        for request in FakeStore.requests
        if request.kind == "read" and path in {None, request.path}
    ]


def refuse(kind: str, ending: str) -> None:
    """Refuse requests of a kind for paths with an ending, from now on."""

    def check(request: Request) -> None:
        if request.kind == kind and request.path.endswith(ending):
            raise PermissionError(f"access to {request.path} is denied")

    FakeStore.before.append(check)

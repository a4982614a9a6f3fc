"""Messages of HTTP/1.1 as they come over a connection, byte for byte (RFC 9112)."""

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase

CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Head:
    """All before a body."""

    raw: bytes
    first: str
    """The request's or the status line."""
    fields: dict[str, str]
    """By their names in lower case."""

    @property
    def body_bytes(self) -> int | None:
        """The body's length in bytes, where the head says it."""
        return int(self.fields["content-length"]) if "content-length" in self.fields else None

    @property
    def is_chunked(self) -> bool:
        """Whether the body says its length chunk by chunk."""
        return "chunked" in self.fields.get("transfer-encoding", "").lower()


def read_head(file: BufferedIOBase) -> Head | None:
    """The next request's or answer's head; none where the connection ends."""
    lines: list[bytes] = []
    while (line := file.readline()) not in {b"\r\n", b"\n"}:
        if not line:
            return None
        lines.append(line)
    first, *rest = [line.decode("latin-1").strip() for line in lines]
    pairs = (line.partition(":") for line in rest)
    fields = {name.lower(): value.strip() for name, _, value in pairs}
    return Head(b"".join(lines) + line, first, fields)


def pieces(
    file: BufferedIOBase, head: Head, *, is_answer: bool = False, chunk: int = CHUNK
) -> Iterator[bytes]:
    """A body as it comes, with the framing of its chunks.

    Raises:
        ConnectionError: the connection ends before the body does.
    """
    if head.is_chunked:
        yield from _chunks(file)
        return
    left = head.body_bytes
    if left is None:
        if is_answer:
            yield from iter(lambda: file.read1(chunk), b"")
        return
    while left:
        piece = file.read(min(chunk, left))
        if not piece:
            raise ConnectionAbortedError
        yield piece
        left -= len(piece)


def _chunks(file: BufferedIOBase) -> Iterator[bytes]:
    while True:
        line = file.readline()
        if not line:
            raise ConnectionAbortedError
        size = int(line.partition(b";")[0], 16)
        if not size:
            break
        yield line + file.read(size + 2)
    # What may follow are trailers, then an empty line.
    while line not in {b"\r\n", b"\n", b""}:
        yield line
        line = file.readline()
    yield line


def reset(connection: socket.socket) -> None:
    """Cut a connection so that the other side is told of an error, not of an end."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

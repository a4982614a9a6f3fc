"""Reading an object from start to end, in blocks that are asked for ahead."""

import gc
import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.storage.read_ahead import BLOCK_BYTES, BlockStream, Prefetch

CONTENT = bytes(range(256)) * 4
URL = "store://bucket/object"
BLOCKS = st.builds(Prefetch, st.integers(1, 300), st.integers(0, 6))


class Store:
    """Reads ranges of one object, and remembers which and on which threads."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.requests: list[tuple[int, int]] = []
        self.threads: set[str] = set()
        self._content = content

    def read_range(self, start: int, stop: int) -> bytes:
        """Read a part."""
        self.requests.append((start, stop))
        self.threads.add(threading.current_thread().name)
        return self._content[start:stop]


class Gate:
    """A store whose blocks come when they are let through; the first ones at once."""

    def __init__(self, free: int) -> None:
        self.begun = 0
        self._free = free
        self._open = threading.Event()
        self._changed = threading.Condition()

    def read_range(self, start: int, stop: int) -> bytes:
        """Read a part, when it may."""
        with self._changed:
            self.begun += 1
            self._changed.notify_all()
        if start >= self._free:
            assert self._open.wait(10)
        return CONTENT[start:stop]

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait for requests."""
        with self._changed:
            assert self._changed.wait_for(is_so, 10)

    def open(self) -> None:
        """Let all through."""
        self._open.set()


def open_stream(
    read_range: Callable[[int, int], bytes], ahead: Prefetch | None = None, size: int | None = None
) -> BlockStream:
    return BlockStream(URL, len(CONTENT) if size is None else size, read_range, ahead)


def read_all(stream: BlockStream, size: int = 1 << 16) -> bytes:
    """All that ``readinto`` gives."""
    buffer = memoryview(bytearray(size))
    read = b""
    while count := stream.readinto(buffer):
        read += buffer[:count]
    return read


def own_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("a20-read-ahead")]


@settings(max_examples=200)
@given(st.binary(max_size=1000), BLOCKS, st.lists(st.integers(0, 400), max_size=20), st.data())
def test_bytes_come_in_order(
    content: bytes, ahead: Prefetch, sizes: list[int], data: st.DataObject
) -> None:
    """However it is cut into blocks and read, an object gives the bytes that a file would."""
    expected = io.BytesIO(content)
    store = Store(content)
    with open_stream(store.read_range, ahead, len(content)) as stream:
        if data.draw(st.booleans()):
            first = data.draw(st.integers(0, ahead.block_bytes))
            assert stream.read(first) == content[:first]
            stream.seek(0)
        for size in sizes:
            assert stream.read(size) == expected.read(size)
        assert read_all(stream) == expected.read()
        assert stream.read(5) == b""
    starts = [start for start, _ in sorted(store.requests)]
    stops = [stop for _, stop in sorted(store.requests)]
    # One byte more than there is: it would show that the object has grown.
    assert stops == [*starts[1:], len(content) + 1] if content else not starts
    assert not own_threads()


def test_a_small_object_is_one_request() -> None:
    """An object of one block is read in the calling thread, once, and not before it must be."""
    store = Store()
    with open_stream(store.read_range) as stream:
        assert store.requests == []
        assert stream.read(12) == CONTENT[:12]
        stream.seek(0)
        assert read_all(stream, 100) == CONTENT
    assert store.requests == [(0, len(CONTENT) + 1)]
    assert store.threads == {threading.current_thread().name}


def test_blocks_are_asked_for_ahead() -> None:
    """As many blocks as were wanted are on their way, and no more, while one is read."""
    gate = Gate(free=100)
    with open_stream(gate.read_range, Prefetch(100, blocks=3)) as stream:
        assert stream.read(50) == CONTENT[:50]
        gate.wait_until(lambda: gate.begun >= 4)
        assert stream.read(50) == CONTENT[50:100]
        assert gate.begun == 4
        gate.open()
        assert read_all(stream) == CONTENT[100:]
    assert gate.begun == 11


def test_without_reading_ahead_blocks_grow() -> None:
    """Who looks at the beginning only asks for little, and for more the further he looks."""
    store = Store()
    with open_stream(store.read_range, Prefetch(100, blocks=0)) as stream:
        stream.read(100)
        assert store.requests == [(0, 100)]
        assert read_all(stream) == CONTENT[100:]
    assert store.requests == [(0, 100), (100, 300), (300, 700), (700, 1025)]
    assert store.threads == {threading.current_thread().name}


@pytest.mark.parametrize("blocks", [0, 1, 4])
def test_a_failure_comes_in_its_place(blocks: int) -> None:
    """What comes before a block that fails is handed out first; nothing behind it is, ever."""

    def read_range(start: int, stop: int) -> bytes:
        if start <= 700 < stop:
            raise ConnectionResetError("the store is gone")
        return CONTENT[start:stop]

    with open_stream(read_range, Prefetch(100, blocks)) as stream:
        assert stream.read(700) == CONTENT[:700]
        for _ in range(3):
            with pytest.raises(ConnectionResetError, match="the store is gone"):
                stream.read(1)
    assert not own_threads()


@pytest.mark.parametrize("blocks", [0, 3])
@pytest.mark.parametrize(("change", "got"), [(-1, 99), (1, 101), (-100, 0)])
def test_an_answer_of_another_length_is_an_error(blocks: int, change: int, got: int) -> None:
    """Fewer or more bytes than were asked for are told, with the object and the range."""
    told = rf"{URL}: bytes 0 to 100: expected 100 bytes, got {got}\."
    with (
        open_stream(lambda start, stop: bytes(stop - start + change), Prefetch(100, blocks)) as s,
        pytest.raises(OSError, match=told),
    ):
        s.read(1)


@pytest.mark.parametrize("blocks", [0, 3])
@pytest.mark.parametrize("size", [999, 1025, 1100])
def test_an_object_that_changed_is_an_error(blocks: int, size: int) -> None:
    """An object that is longer or shorter than when it was found is not taken for whole."""
    with (
        open_stream(Store().read_range, Prefetch(100, blocks), size) as stream,
        pytest.raises(OSError, match=r"bytes \d+ to \d+: expected \d+ bytes, got \d+"),
    ):
        read_all(stream)


def test_a_server_that_knows_no_ranges() -> None:
    """The whole of a small file will do where a part was asked for, that of a large one not."""
    with open_stream(lambda _start, _stop: CONTENT, Prefetch(100, blocks=2)) as stream:
        assert read_all(stream) == CONTENT
    large = bytes(BLOCK_BYTES + 1)
    with (
        open_stream(lambda _start, _stop: large, size=len(large)) as stream,
        pytest.raises(OSError, match="the store sends no parts of files"),
    ):
        stream.read(1)


def test_only_the_block_that_is_read_can_be_sought() -> None:
    """Going back further is refused, not answered with other bytes."""
    with open_stream(Store().read_range, Prefetch(100)) as stream:
        stream.seek(0)
        stream.read(150)
        stream.seek(100)
        assert stream.read(3) == CONTENT[100:103]
        for offset in (-1, 0, 99, 201):
            with pytest.raises(io.UnsupportedOperation, match=f"byte {offset} is outside"):
                stream.seek(offset)
        assert stream.read(3) == CONTENT[103:106]


def test_closing_stops_what_is_on_its_way() -> None:
    """Blocks that nobody waits for any more are not asked for, and no thread is left."""
    gate = Gate(free=100)
    stream = open_stream(gate.read_range, Prefetch(100, blocks=4))
    stream.read(1)
    gate.wait_until(lambda: gate.begun == 5)
    assert len(own_threads()) == 4
    closing = threading.Thread(target=stream.close)
    closing.start()
    gate.open()
    closing.join(10)
    assert gate.begun == 5
    assert not own_threads()
    stream.close()


def test_a_stream_that_is_left_behind_ends() -> None:
    """Its threads end with it, also where nobody closed it."""
    stream = open_stream(Store().read_range, Prefetch(100, blocks=2))
    stream.read(1)
    threads = [t for t in threading.enumerate() if t.name.startswith("a20-read-ahead")]
    del stream
    gc.collect()
    for thread in threads:
        thread.join(10)
    assert not own_threads()


def test_a_stream_may_be_closed_by_its_own_thread() -> None:
    """A collection of garbage may close it on any thread, and none waits for itself."""
    closed = threading.Event()

    def read_range(start: int, stop: int) -> bytes:
        if start == 500:
            stream.close()
            closed.set()
        return CONTENT[start:stop]

    stream = open_stream(read_range, Prefetch(100, blocks=6))
    stream.read(1)
    assert closed.wait(10)


def test_daemon_threads_may_read() -> None:
    """Workers of clusters run their tasks on such threads."""
    found: list[bytes] = []

    def work() -> None:
        with open_stream(Store().read_range, Prefetch(100)) as stream:
            found.append(read_all(stream))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    assert found == [CONTENT]


def test_many_streams_at_once() -> None:
    """Streams do not share anything."""

    def work(_: int) -> bytes:
        with open_stream(Store().read_range, Prefetch(64, blocks=3)) as stream:
            return read_all(stream, 50)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(40))) == {CONTENT}
    assert not own_threads()

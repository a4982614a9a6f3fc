"""Where embeddings are, and what the system is asked for before they are read."""

import errno
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from a20_parquet.runs.locations import LOCATION, Pieces
from a20_parquet.runs.shard_reader import CAN_ADVISE, ShardFiles
from tests.helpers.located import DIMS, read_all, write


@pytest.mark.skipif(not CAN_ADVISE, reason="the system takes no advice")
@pytest.mark.parametrize("answer", ["not there", "partly there", "unknown", "there"])
def test_advice_is_given_where_reads_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Each record behind the first page is asked for once; none if all are in the cache."""
    written = write(tmp_path, random.Random(6), shards=2, records=20)  # noqa: S311 - the same each time
    preadv = os.preadv
    asked: list[tuple[str, int]] = []

    def read(file: int, pieces: Sequence[Any], offset: int, flags: int = 0) -> int:
        if not flags or answer == "there":
            return preadv(file, pieces, offset)
        if answer == "partly there":
            return preadv(file, [pieces[0][:1]], offset)
        raise OSError(errno.EAGAIN if answer == "not there" else errno.EOPNOTSUPP, answer)

    def advise(file: int, offset: int, _length: int, _advice: int) -> None:
        asked.append((str(Path(f"/proc/self/fd/{file}").readlink()), offset))

    monkeypatch.setattr(os, "preadv", read)
    monkeypatch.setattr(os, "posix_fadvise", advise)
    with ShardFiles(written.paths) as files:
        run = written.located(files)
        assert read_all(run, 3) == read_all(written.in_memory(), 3)
        places = run.locations(0, len(run))
    records = {(written.paths[int(place["shard"])], int(place["payload"])) for place in places}
    first = {(written.paths[int(place["shard"])], int(place["payload"])) for place in places[:3]}
    if answer == "there":
        assert not asked
    else:
        assert records - first <= set(asked) <= records


def test_a_piece_ends_where_the_next_window_is_elsewhere() -> None:
    """In another record or shard, or not behind the one before it."""
    size = 4 * DIMS
    rows = [(0, 0, 99, 7, at * size, 4) for at in (0, 1, 3, 2)]
    rows += [(0, 50, 99, 7, 3 * size, 4), (1, 50, 99, 7, 4 * size, 4)]
    places = np.array(rows, LOCATION)
    pieces = Pieces.of(places, DIMS)
    assert pieces.rows.tolist() == [0, 2, 3, 4, 5, 6]
    for start in range(7):
        for stop in range(start, 7):
            found, expected = pieces.within(start, stop), Pieces.of(places[start:stop], DIMS)
            assert found.rows.tolist() == expected.rows.tolist()
            assert found.first.tolist() == expected.first.tolist()

"""Payloads of records in files, and runs whose embeddings are in them."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import crc32c
import numpy as np
import pyarrow as pa

from a20_parquet.runs.located_run import LocatedRun
from a20_parquet.runs.locations import LOCATION, Locations
from a20_parquet.runs.run import InMemoryRun, Rows
from a20_parquet.runs.shard_reader import ShardFiles
from tests.helpers.metadata import make_keyed, window_table
from tests.helpers.runs import Row

DIMS = 3


@dataclass(frozen=True, slots=True)
class Written:
    """Payloads in shards, and what is in them."""

    paths: dict[int, str]
    locations: Locations
    """Of all windows, as ``keyed`` has them."""
    embeddings: Rows
    keyed: Any

    def located(self, files: ShardFiles) -> LocatedRun:
        """Return a run that reads the shards."""
        return LocatedRun(files, self.locations, window_table(self.keyed), DIMS)

    def in_memory(self) -> InMemoryRun:
        """Return a run that should have the same rows."""
        return InMemoryRun(
            self.embeddings, np.arange(len(self.embeddings)), window_table(self.keyed)
        )


def write(  # noqa: PLR0913 - of what shape the shards are, each a keyword
    folder: Path,
    draw: random.Random,
    *,
    shards: int = 3,
    records: int = 4,
    most_windows: int = 4,
    first_offset: int = 0,
) -> Written:
    """Write payloads of random bytes with floats inside; some windows are left out."""
    paths, rows, places, values = {}, list[Row](), list[tuple[int, ...]](), list[Any]()
    bits = np.random.default_rng(draw.randrange(2**32))
    for shard in range(shards):
        paths[shard] = str(folder / f"shard-{shard}")
        with open(paths[shard], "wb") as file:
            file.seek(first_offset)
            for record in range(records):
                floats, at = draw.choice(["<f4", "<f2"]), draw.randrange(9)
                windows = draw.randint(1, most_windows)
                size = windows * DIMS * np.dtype(floats).itemsize
                payload = bits.bytes(at + size + draw.randrange(9))
                start = file.tell() + draw.randrange(20)
                file.seek(start)
                file.write(payload)
                crc = crc32c.crc32c(payload)
                tensor = np.frombuffer(payload, floats, windows * DIMS, at).reshape(-1, DIMS)
                for window in range(windows):
                    if draw.random() < 0.2:
                        continue
                    item = tensor.itemsize
                    places.append(
                        (shard, start, len(payload), crc, at + window * DIMS * item, item)
                    )
                    values.append(tensor[window].astype(np.float32))
                    rows.append(
                        {
                            "site": draw.choice("ab"),
                            "filename": draw.choice(["x", "y", f"{record}"]),
                            "recording_offset_in_file": 5.0 * window,
                            "shard": shard,
                            "record": record,
                        }
                    )
    return Written(
        paths,
        np.array(places, LOCATION),
        np.array(values, np.float32).reshape(-1, DIMS),
        pa.Table.from_batches([make_keyed(rows)]) if rows else None,
    )


def read_all(run: LocatedRun | InMemoryRun, page: int) -> bytes:
    """All embeddings, ``page`` rows at a time."""
    out = np.full((len(run), DIMS), 7, np.float32)
    for start in range(0, len(run), page):
        run.read_embeddings(start, out[start : start + page])
    return out.tobytes()

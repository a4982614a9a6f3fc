"""Metadata of many small files at once: the same as file by file, or nothing."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile
from a20_parquet.dataset.joined_files import Turn, WholeFile, read_joined
from a20_parquet.parquet.format.row_groups import known_chunk
from a20_parquet.parquet.format.thrift import integer
from tests.helpers.recordings import write_recordings
from tests.helpers.shards import make_record, random_tensor, write_shard


def whole_files(catalog: Catalog) -> list[WholeFile]:
    """All files of a dataset."""
    return [WholeFile(*row) for row in catalog.files.select("path", "rows", "bytes").iter_rows()]


def one_by_one(catalog: Catalog, names: list[str]) -> pa.Table:
    """The same columns through ``DataFile``."""
    tables = []
    for path, rows, size in whole_files(catalog):
        with DataFile(catalog, path, rows=rows, size=size) as file:
            tables.append(file.metadata(range(len(file.rows)), names))
    return pa.concat_tables(tables)


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
@pytest.mark.parametrize("row_group_rows", [2048, 5])
def test_any_columns(tmp_path: Path, compression: str, row_group_rows: int) -> None:
    """In any order, with nulls, in all compressions, of one or several row groups a file."""
    shards = write_recordings(tmp_path / "in")
    a20_parquet.convert(
        shards,
        tmp_path / "out",
        compression=compression,
        decoder="wire",
        row_group_rows=row_group_rows,
    )
    catalog = Catalog.open(tmp_path / "out")
    every = list(catalog.metadata_columns)
    assert len(catalog.files) > 5
    for names in (every, every[::-1], ["channel"], ["window_start", "filename"]):
        found = read_joined(catalog, whole_files(catalog), names, Turn())
        assert found.equals(one_by_one(catalog, names))
        assert found.schema.equals(one_by_one(catalog, names).schema)
        found.validate(full=True)


def other_writer(path: Path) -> None:
    pq.write_table(pq.ParquetFile(path).read(), path)


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "lost": Path.unlink,
    "a folder": folder_instead,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "without a footer": lambda path: path.write_bytes(path.read_bytes()[:-500] + bytes(500)),
    "with a long footer": lambda path: path.write_bytes(path.read_bytes()[:-5] + b"\x7fPAR1"),
    "by another writer": other_writer,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_one_other_file(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    """Nothing is returned, so that reading it by itself tells why."""
    a20_parquet.convert(write_recordings(tmp_path / "in"), tmp_path / "out", decoder="wire")
    catalog = Catalog.open(tmp_path / "out")
    files = whole_files(catalog)
    damage(tmp_path / "out" / files[2].path)
    size = tmp_path / "out" / files[2].path
    if size.is_file():
        files[2] = files[2]._replace(bytes=size.stat().st_size)
    assert read_joined(catalog, files, ["filename"], Turn()) is None
    assert read_joined(catalog, files[:2], ["filename"], Turn()) is not None
    wrong_rows = [files[0]._replace(rows=files[0].rows + 1), files[1]]
    assert read_joined(catalog, wrong_rows, ["filename"], Turn()) is None


@pytest.mark.parametrize(("row_group_rows", "step"), [(2048, 5), (5, 41)])
def test_flipped_bits(tmp_path: Path, row_group_rows: int, step: int) -> None:
    """Each flipped bit of metadata, index and footer is found, or means nothing."""
    shards = write_recordings(tmp_path / "in")
    a20_parquet.convert(shards, tmp_path / "out", decoder="wire", row_group_rows=row_group_rows)
    catalog = Catalog.open(tmp_path / "out")
    files = whole_files(catalog)[:2]
    names = list(catalog.metadata_columns)
    expected = read_joined(catalog, files, names, Turn())
    path = tmp_path / "out" / files[1].path
    content = path.read_bytes()
    found = 0
    for place in range(files[1].rows * 64, len(content), step):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        table = read_joined(catalog, files, names, Turn())
        if table is None:
            found += 1
        else:
            table.validate(full=True)
            assert table.equals(expected), place
    assert found > 150


def test_overlapping_row_groups(tmp_path: Path) -> None:
    """A footer whose chunks all reach to the end of the file would fill the memory."""
    shards = write_recordings(tmp_path / "in")
    a20_parquet.convert(shards, tmp_path / "out", decoder="wire", row_group_rows=1)
    catalog = Catalog.open(tmp_path / "out")
    files = whole_files(catalog)[:2]
    names = ["filename", "channel"]
    assert read_joined(catalog, files, names, Turn()) is not None
    path = tmp_path / "out" / files[1].path
    content = path.read_bytes()
    length = int.from_bytes(content[-8:-4], "little")
    start, footer, reach = len(content) - 8 - length, content[-8 - length : -8], len(content) // 2
    parts, position = [], 0
    for found in known_chunk().finditer(footer):
        begin, position = position, found.start(2)
        parts += [footer[begin:position], integer(reach)]
        position = found.end(2)
    forged = b"".join((*parts, footer[position:]))
    tail = forged + len(forged).to_bytes(4, "little") + b"PAR1"
    path.write_bytes(content[:start] + bytes(reach) + tail)
    files[1] = files[1]._replace(bytes=path.stat().st_size)
    assert read_joined(catalog, files, names, Turn()) is None


def test_long_texts(tmp_path: Path) -> None:
    """Statistics of texts beyond 127 bytes have another form, and are read one by one."""
    name = f"{'a/' * 100}site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac"
    records = [make_record(random_tensor((2, 1, 4), n), name, 86_400.0 * n) for n in range(3)]
    write_shard(tmp_path / "in" / "a.tfrecord", records)
    a20_parquet.convert(tmp_path / "in", tmp_path / "out", decoder="wire")
    catalog = Catalog.open(tmp_path / "out")
    assert read_joined(catalog, whole_files(catalog), ["filename"], Turn()) is None
    windows = a20_parquet.scan(tmp_path / "out").filter(filename=name).collect()
    assert len(windows) == 6


@pytest.mark.parametrize("waits_s", [0, 0.1])
def test_turn(waits_s: float) -> None:
    """One thread at a time, until one has waited for longer than it worked."""
    turn = Turn()
    with turn.taken():
        time.sleep(waits_s)
    both = Barrier(2, timeout=30 if waits_s else 0.3)

    def meet(_: int) -> bool:
        try:
            with turn.taken():
                both.wait()
        except BrokenBarrierError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(meet, range(2))) == [bool(waits_s)] * 2

"""Shards that hold more windows than their size tells, or fewer: no option of memory decides."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import a20_parquet
from a20_parquet.conversion import job, memory, sort_pass
from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.decoding.tensorflow import load_tensorflow
from tests.helpers.conversions import digests, read_with_tensorflow
from tests.helpers.shards import (
    FILENAME,
    make_features,
    make_record,
    serialize,
    tensor_proto,
    write_shard,
)

SHAPE = (12, 1, 1280)
RECORDS = 40
DECODERS = pytest.mark.parametrize("decoder", list(DecoderName))


def zeros(folder: Path) -> Path:
    """A shard that GZIP makes a thousand times smaller."""
    tensor = np.zeros(SHAPE, np.float32)
    records = [make_record(tensor, FILENAME, 60.0 * number) for number in range(RECORDS)]
    return write_shard(folder / "zeros.tfrecord", records, "GZIP")


def repeated(folder: Path) -> Path:
    """A shard of tensors of one value each, which stand for 61 kB."""
    tensor = np.full(SHAPE, 1.5, np.float32)
    proto = tensor_proto(1, SHAPE, float_val=[1.5])
    records = [make_record(tensor, FILENAME, 60.0 * n, proto) for n in range(RECORDS)]
    return write_shard(folder / "repeated.tfrecord", records)


@pytest.mark.slow
@DECODERS
@pytest.mark.parametrize("write", [zeros, repeated])
def test_more_windows_than_reckoned(
    tmp_path: Path,
    write: Callable[[Path], Path],
    decoder: DecoderName,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Records that are far smaller than their windows convert, with any budget, to one dataset."""
    shard = write(tmp_path / "in")
    found = []
    for name, budget in (("small", "64MB"), ("large", "4GB"), ("full", "4GB")):
        if name == "full":
            plan = partial(_without_spare_rows, memory.plan_memory)
            monkeypatch.setattr(job, "plan_memory", plan)
            monkeypatch.setattr(sort_pass, "_LEAST_PART_ROWS", 5)
        a20_parquet.convert(shard, tmp_path / name, memory=budget, decoder=decoder)
        found.append(digests(tmp_path / name, but="manifest.json"))
    assert found[0] == found[1] == found[2]
    windows = pl.read_parquet(tmp_path / "small" / "data")
    expected = read_with_tensorflow([shard], "GZIP" if write is zeros else "")
    assert windows.height == len(expected) == RECORDS * SHAPE[0]
    value = next(iter(expected.values())).view(np.float32)[0]
    assert (windows["embedding"].to_numpy() == value).all()


def _without_spare_rows(plan: Callable[..., MemoryPlan], **numbers: Any) -> MemoryPlan:
    return replace(plan(**numbers), spare_rows=0)


@DECODERS
def test_a_few_bytes_claim_any_number_of_windows(tmp_path: Path, decoder: DecoderName) -> None:
    """A record that claims years of windows without their values goes to quarantine, alone."""
    years = tensor_proto(1, (1 << 17, 1, 4), float_val=[1])
    tensor = np.zeros((2, 1, 4), np.float32)
    good = [make_record(tensor, FILENAME, 10.0 * number) for number in range(3)]
    shard = write_shard(
        tmp_path / "in" / "shard", [*good, make_record(tensor, FILENAME, 30.0, years)]
    )
    conversion = a20_parquet.convert(shard, tmp_path / "out", memory="64MB", decoder=decoder)
    assert (conversion.new_windows, conversion.totals.quarantined) == (6, 1)
    listed = (tmp_path / "out" / "quarantine" / "shard.jsonl").read_text()
    assert "more than 65,536 windows" in listed


@DECODERS
def test_several_values_fill_no_more_than_some(tmp_path: Path, decoder: DecoderName) -> None:
    """A batch of records in which the last of two values fills all takes no memory."""
    tensor = np.zeros(SHAPE, np.float32)
    protos = [tensor_proto(1, SHAPE, float_val=range(count)) for count in (1, 2, 959, 960)]
    records = [make_record(tensor, FILENAME, 60.0 * n, proto) for n, proto in enumerate(protos)]
    shard = write_shard(tmp_path / "in" / "shard", records)
    conversion = a20_parquet.convert(shard, tmp_path / "out", decoder=decoder)
    assert conversion.quarantine == {"bad_tensor": 2}
    assert not a20_parquet.verify(tmp_path / "out", source=shard, decoder=decoder).problems


def test_features_that_are_not_wanted_are_no_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shard that is mostly of other features is not reckoned to be embeddings throughout."""
    train = load_tensorflow().train
    tensor = np.zeros((2, 1, 4), np.float32)
    records = []
    for number in range(8):
        features = make_features(tensor, FILENAME, 10.0 * number)
        audio = train.BytesList(value=[bytes(4 << 20)])
        records.append(serialize(features | {"audio": train.Feature(bytes_list=audio)}))
    shard = write_shard(tmp_path / "in" / "shard", records)
    reckoned: list[int] = []
    plan = memory.plan_memory

    def note(**numbers: Any) -> MemoryPlan:
        reckoned.append(numbers["windows"])
        return plan(**numbers)

    monkeypatch.setattr(job, "plan_memory", note)
    conversion = a20_parquet.convert(shard, tmp_path / "out", memory="32MB", decoder="wire")
    assert conversion.new_windows == 16
    assert max(reckoned) <= 2 * 16 + 1

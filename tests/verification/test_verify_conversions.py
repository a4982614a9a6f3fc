"""Every kind of conversion gives a dataset that agrees with its shards, window by window."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.verification.verify import Verification, verify
from a20_parquet.windows.rejection import Reason
from tests.helpers.bad_shards import NAME, record, rejected_records, write_damaged
from tests.helpers.conversions import A2O_NAMES
from tests.helpers.shards import (
    make_features,
    make_record,
    random_tensor,
    serialize,
    write_shard,
)
from tests.helpers.spoiling import messages

PATTERN = r"(?P<site_name>[^/]+)/(?P<date>\d{8})_(?P<time>\d{6})\.WAV"
UNREADABLE = ["Ridge/20230501_053000.WAV", "x.wav", "Creek/20230502_053000.WAV", "y/z.mp3"]


def good(dataset: Path, *sources: Path, workers: int = 2) -> Verification:
    """A check that must find nothing wrong, and must have read every window."""
    found = verify(dataset, sources, workers=workers)
    assert messages(found) == []
    assert found.source is not None
    manifest = json.loads((dataset / "manifest.json").read_text())
    assert found.source.shards == len(manifest["shards"])
    assert found.source.windows == sum(shard["windows"] for shard in manifest["shards"])
    assert found.windows == manifest["totals"]["windows"]
    return found


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("memory", ["1GiB", "6MB"])
def test_every_reason(tmp_path: Path, memory: str, workers: int) -> None:
    """Whatever cannot be converted is accounted for, with the record's whole bytes."""
    too_large = make_record(random_tensor((1, 1, 8)) + 1e6, NAME, 600.0)
    write_shard(tmp_path / "in" / "a-00000-of-00001", [*rejected_records(), too_large])
    write_damaged(tmp_path / "in")
    out = tmp_path / "out"
    conversion = a20_parquet.convert(
        tmp_path / "in", out, memory=memory, workers=workers, dims=8, store="float16"
    )
    assert set(conversion.quarantine) == {reason.value for reason in Reason}
    found = good(out, tmp_path / "in", workers=workers)
    assert found.source is not None
    assert (found.source.quarantined, found.source.damaged) == (8, 5)


@pytest.mark.parametrize(
    ("retries", "left"),
    [
        ([{"unknown_site": "Lab"}], 0),
        ([{"filename_pattern": PATTERN}], 2),
        ([{"filename_pattern": PATTERN}, {"unknown_site": "Lab"}], 0),
        ([{"filename_pattern": PATTERN, "sites": True}, {"unknown_site": "Lab"}], 0),
        ([{"filename_pattern": PATTERN, "site": ("Ridge",)}, {"unknown_site": "Lab"}], 0),
        ([{"filename_pattern": PATTERN, "until_date": "2023-05-01"}], 2),
        ([{}], 4),
        ([{}, {"unknown_site": "Lab", "drop_duplicates": True}], 0),
    ],
    ids=str,
)
def test_retried_quarantine(tmp_path: Path, retries: list[dict[str, Any]], left: int) -> None:
    """Records that left the quarantine, some or all, at once or later, count as their shard's."""
    sites = tmp_path / "sites.csv"
    sites.write_text("name,site_id,time_zone\nRidge,77,Australia/Sydney\n")
    payloads = [record(n, name) for n, name in enumerate([NAME, *UNREADABLE, NAME])]
    write_shard(tmp_path / "in" / "a-00000-of-00002", payloads)
    write_shard(tmp_path / "in" / "a-00001-of-00002", [record(20)])
    write_damaged(tmp_path / "in")
    out = tmp_path / "out"
    a20_parquet.convert(tmp_path / "in", out)
    for retry in retries:
        given = {**retry, "sites": sites} if "sites" in retry else retry
        a20_parquet.convert(out / "quarantine", out, **given)
        found = good(out, tmp_path / "in")
    assert found.source is not None
    assert (found.source.quarantined, found.source.damaged) == (left, 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"site": ("285",)},
        {"site": ("site_0286", "Site-3")},
        {"from_date": "2020-10-15"},
        {"from_date": "2020-10-14", "until_date": "2020-10-14"},
        {"channels": "1"},
        {"channels": "0,4", "site": ("285",)},
        {"feature": ("nuisances",), "until_date": "2020-10-15"},
        {"feature": ("nuisances",), "channels": "0"},
        {"window_seconds": 2.5},
        {"partition_by": "site", "max_file_size": "5KB", "row_group_rows": 7},
        {"compression": "zstd", "partition_by": "site,month"},
    ],
    ids=str,
)
@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_parts_and_columns(tmp_path: Path, options: dict[str, Any], compression: str) -> None:
    """What was left out, or carried along, is so for both sides."""
    records = []
    for n in range(30):
        tensor = random_tensor((12, 1 + n % 5, 8), n)
        features = make_features(tensor, A2O_NAMES[n % 5], 600.0 * n)
        if n % 3:
            nuisances = random_tensor((12, 1 + n % 5, 3), n)
            features["nuisances"] = make_features(nuisances)["embedding"]
        records.append(serialize(features))
    write_shard(tmp_path / "in" / "a-00000-of-00001", records, compression)
    a20_parquet.convert(tmp_path / "in", tmp_path / "out", **options)
    good(tmp_path / "out", tmp_path / "in")


def repeated(folder: Path) -> Sequence[Path]:
    """Three shards with windows that come twice, alike and not, within and across."""
    other = make_record(random_tensor((3, 2, 8), 77), NAME, 60.0)
    contents = [
        [record(1), record(2), record(1)],
        [record(2), record(3), other],
        [record(3), other, other, record(5)],
    ]
    return [
        write_shard(folder / f"a-{number:05d}-of-00003", payloads)
        for number, payloads in enumerate(contents)
    ]


@pytest.mark.parametrize("drops", [(False,), (True,), (False, True), (True, False), (True, True)])
def test_duplicates(tmp_path: Path, drops: tuple[bool, ...]) -> None:
    """Windows that come twice agree, kept or dropped, in one conversion or in two."""
    shards = repeated(tmp_path / "in")
    for step, drop in enumerate(drops):
        part = shards if len(drops) == 1 else (shards[:2], shards[2:])[step]
        a20_parquet.convert(part, tmp_path / "out", drop_duplicates=drop)
    good(tmp_path / "out", tmp_path / "in")


def test_appended_with_other_reading(tmp_path: Path) -> None:
    """Each conversion's shards are compared as that one has read them."""
    names = [[NAME, UNREADABLE[0]], [UNREADABLE[1], A2O_NAMES[2]], [UNREADABLE[2], NAME]]
    shards = [
        write_shard(
            tmp_path / "in" / f"a-{number:05d}-of-00003",
            [record(10 * number + n, name) for n, name in enumerate(pair * 3)],
        )
        for number, pair in enumerate(names)
    ]
    out = tmp_path / "out"
    options: list[dict[str, Any]] = [
        {"from_date": "2020-10-14"},
        {"unknown_site": "Lab", "site": ("Lab",)},
        {"filename_pattern": PATTERN},
    ]
    for shard, each in zip(shards, options, strict=True):
        a20_parquet.convert(shard, out, **each)
        good(out, *shards[: shards.index(shard) + 1])
    a20_parquet.convert(out / "quarantine", out, unknown_site="Rest")
    good(out, *reversed(shards))


@pytest.mark.parametrize(
    "arrange",
    [
        lambda path, n: path.with_name(f"{9 - n}.tfrecord"),
        lambda path, n: path.parent / f"deep/{n}" / path.name,
        lambda path, n: path.parent / f"{n}" / "same-00000-of-00001",
    ],
)
def test_shards_elsewhere(tmp_path: Path, arrange: Callable[[Path, int], Path]) -> None:
    """Shards that were renamed, moved or put in another order are still the same."""
    write_shard(tmp_path / "in" / "a-00000-of-00001", rejected_records())
    write_damaged(tmp_path / "in")
    repeated(tmp_path / "in")
    a20_parquet.convert(tmp_path / "in", tmp_path / "out", dims=8)
    for number, path in enumerate(sorted((tmp_path / "in").iterdir())):
        target = arrange(path, number)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
    good(tmp_path / "out", tmp_path / "in")


def test_real_shards(real_data: Path, tmp_path: Path) -> None:
    """Real recordings, their retried quarantine, and Perch's own writer."""
    out, source = tmp_path / "out", real_data / "perch-real"
    a20_parquet.convert(source, out)
    assert good(out, source).windows == 402
    a20_parquet.convert(out / "quarantine", out, unknown_site="Lab")
    assert good(out, source).windows == 462
    a20_parquet.convert(real_data / "hoplite", tmp_path / "hoplite", unknown_site="Lab")
    assert good(tmp_path / "hoplite", real_data / "hoplite").windows == 72

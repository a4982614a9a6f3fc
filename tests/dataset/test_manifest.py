"""What makes a dataset complete: commit markers, the list of files, and the manifest."""

import os
from datetime import UTC, date, datetime, timedelta
from typing import Any

import crc32c
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from a20_parquet.dataset.file_bounds import BOUNDS
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.dataset.options import TableOptions
from a20_parquet.dataset.summaries import FileSummary, ShardSummary
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.schema import Feature, FeatureKind, FeatureScope
from tests.helpers.datasets import complete
from tests.helpers.layout import LocalLayout
from tests.helpers.units import OPTIONS, make_plan

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def data_file(path: str = "data/site=a/part-0000.parquet", **other: Any) -> FileSummary:
    """A data file that nobody wrote."""
    values = {
        "path": path,
        "site": "a",
        "period": 18_549,
        "rows": 3,
        "bytes": 100,
        "checksum": "00c0ffee",
        "first_window_us": -1,
        "last_window_us": 10**15,
    }
    return FileSummary.model_validate(values | other)


@pytest.mark.parametrize(
    ("by", "kind", "values"),
    [
        ("site,date", pa.date32(), [date(2020, 10, 14), date(1969, 12, 31), None]),
        ("site,month", pa.string(), ["3515-10", "1969-12", None]),
        ("site,year", pa.int64(), [18549, -1, None]),
        ("site", None, None),
    ],
)
def test_files_parquet(claimed: LocalLayout, by: str, kind: Any, values: list[Any] | None) -> None:
    """``files.parquet`` has a row a data file, with the period in the key's own type."""
    paths = [f"data/site=a/part-000{number}.parquet" for number in range(3)]
    files = [
        data_file(paths[0]),
        data_file(paths[1], period=-1, site="b"),
        data_file(paths[2], period=None, first_window_us=None, last_window_us=None),
    ]
    options = OPTIONS.model_copy(update={"partition_by": PartitionBy(by)})
    complete(claimed, options, [], files)
    table = pq.read_table(claimed.files)
    key = PartitionBy(by).period
    names = ["rows", "bytes", "checksum", "first_window_start", "last_window_start", *BOUNDS]
    assert table.column_names == ["path", "site", *([key] if key else []), *names]
    if key:
        assert table.schema.field(key).type == kind
        assert table[key].to_pylist() == values
    assert table["path"].to_pylist() == paths
    assert table["site"].to_pylist() == ["a", "b", "a"]
    assert table["rows"].to_pylist() == [3, 3, 3]
    assert table["bytes"].to_pylist() == [100, 100, 100]
    assert table["checksum"].to_pylist() == ["00c0ffee"] * 3
    first = EPOCH - timedelta(microseconds=1)
    assert table["first_window_start"].to_pylist() == [first, first, None]
    last = EPOCH + timedelta(microseconds=10**15)
    assert table["last_window_start"].to_pylist() == [last, last, None]


def test_manifest(claimed: LocalLayout) -> None:
    """The manifest counts what there is, knows the checksum, and reads back as it was."""
    shard = ShardSummary(
        label="l",
        url="file:///l",
        bytes=10,
        checksum="00",
        records=2,
        windows=24,
        quarantined=1,
        damaged=2,
    )
    files = [data_file(), data_file(site="b"), data_file(period=7)]
    manifest = complete(claimed, OPTIONS, [shard, shard], files)
    assert manifest.totals.model_dump() == {
        "shards": 2,
        "records": 4,
        "windows": 9,
        "sites": 2,
        "dates": 2,
        "files": 3,
        "bytes": 300,
        "quarantined": 2,
        "damaged": 4,
    }
    checksum = crc32c.crc32c(claimed.files.read_bytes())
    assert manifest.files_checksum == f"{checksum:08x}"
    read = Manifest.model_validate_json(claimed.manifest.read_text())
    assert read == manifest.model_copy(update={"checksum": read.checksum})
    once = (claimed.manifest.read_bytes(), claimed.files.read_bytes())
    complete(claimed, OPTIONS, [shard, shard], files)
    assert (claimed.manifest.read_bytes(), claimed.files.read_bytes()) == once
    for private in (str(claimed.root), os.uname().nodename):
        assert private not in claimed.manifest.read_text()


def test_manifest_of_nothing(claimed: LocalLayout) -> None:
    """A dataset without a window is complete, with an empty list of files of the same columns."""
    manifest = complete(claimed, OPTIONS, [], [])
    assert set(manifest.totals.model_dump().values()) == {0}
    assert pq.read_table(claimed.files).num_rows == 0
    assert pq.read_schema(claimed.files).field("date").type == pa.date32()


def test_models_are_strict() -> None:
    """What a marker or manifest of another version holds in addition is refused, not dropped."""
    for value in (data_file(), make_plan(), OPTIONS):
        with pytest.raises(ValueError, match="extra"):
            type(value).model_validate(value.model_dump() | {"extra": 1})


def test_table_options_of_channels_and_features() -> None:
    """They come back from JSON as they were; without them all channels and no feature are meant."""
    features = (Feature("nuisances", 3), Feature("label", 10_000))
    options = OPTIONS.model_copy(update={"channels": (0, 2), "features": features})
    dumped = options.model_dump(mode="json")
    assert dumped["features"][0] == {
        "name": "nuisances",
        "size": 3,
        "kind": "tensor",
        "scope": "window",
    }
    assert TableOptions.model_validate_json(options.model_dump_json()) == options
    without = {key: dumped[key] for key in dumped if key not in ("channels", "features")}
    assert TableOptions.model_validate(without) == OPTIONS
    assert (OPTIONS.channels, OPTIONS.features) == (None, ())
    for wrong in ({"name": "nuisances"}, {"name": "nuisances", "size": 3, "extra": 1}):
        with pytest.raises(ValueError, match=r"features\.0\.(size|extra)"):
            TableOptions.model_validate(dumped | {"features": [wrong]})


def test_old_manifests_mean_tensors() -> None:
    """What a manifest says of features without their kind holds for Perch's tensors."""
    old = (
        '{"partition_by": "site", "compression": "none", "max_file_size": 1, "row_group_rows": 1,'
        ' "window_seconds": 5, "dims": 4, "features": [{"name": "label", "size": 3}]}'
    )
    assert TableOptions.model_validate_json(old).features == (
        Feature("label", 3, FeatureKind.TENSOR, FeatureScope.WINDOW),
    )

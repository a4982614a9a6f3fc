"""Shards of two models in one folder: which number of floats is meant is asked, never guessed."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import a20_parquet
from a20_parquet.cli.main import cli
from a20_parquet.errors import UsageError
from tests.helpers.conversions import digests, use_tiny_memory
from tests.helpers.shards import make_record, random_tensor, write_shard

OLD, NEW = "embeddings-1600000000-00000-of-00001", "embeddings-1700000000-00000-of-00001"
NAME = "site_0285/20201014T010000+1030_Arkaba-Dry-A_{}.flac"


def records(count: int, dims: int, first: int = 0, windows: int = 1) -> list[bytes]:
    """Records of different recordings."""
    numbers = range(first, first + count)
    shape = (windows, 1, dims)
    return [make_record(random_tensor(shape, n), NAME.format(n), 0.0) for n in numbers]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """One record of 24 floats in the shard that sorts first, then twenty of 16."""
    write_shard(tmp_path / "in" / OLD, records(1, 24))
    write_shard(tmp_path / "in" / NEW, records(20, 16, 1))
    return tmp_path / "in"


@pytest.mark.parametrize("decoder", ["tensorflow", "wire"])
def test_it_stops_and_asks(mixed: Path, tmp_path: Path, decoder: str) -> None:
    """Each width with its counts and where it is, and the options; nothing is written."""
    given = ["convert", str(mixed), str(tmp_path / "out"), "--decoder", decoder]
    found = CliRunner().invoke(cli, given)
    assert isinstance(found.exception, UsageError)
    told = found.exception.console_text
    assert f"16 in 20 records of 1 shard ({mixed / NEW})" in told
    assert f"24 in 1 record of 1 shard ({mixed / OLD})" in told
    assert "--dims 16 or --dims 24" in told
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="differ in their number of floats"):
        a20_parquet.plan(mixed)


@pytest.mark.parametrize(("dims", "own", "other"), [(16, 20, (24, 1)), (24, 1, (16, 20))])
def test_dims_decides(
    mixed: Path, tmp_path: Path, dims: int, own: int, other: tuple[int, int]
) -> None:
    """The others are in quarantine, and the summary says how many of which width."""
    out = tmp_path / "out"
    conversion = a20_parquet.convert(mixed, out, dims=dims, decoder="wire")
    assert conversion.totals.windows == own
    assert conversion.quarantine == {"wrong_dims": other[1]}
    assert conversion.widths == ((dims, own), other)
    separate = a20_parquet.convert(out / "quarantine", tmp_path / "rest", decoder="wire")
    assert (separate.totals.windows, separate.widths) == (other[1], ())


def test_in_one_shard(tmp_path: Path) -> None:
    """Records of both among the first of one shard."""
    write_shard(tmp_path / "in" / NEW, records(1, 4) + records(3, 8, 1) + records(1, 2, 4))
    with pytest.raises(UsageError, match=r"8 in 3 .*; 2 in 1 .*; 4 in 1 .*dims 8 or dims 2"):
        a20_parquet.convert(tmp_path / "in", tmp_path / "out", decoder="wire")


@pytest.mark.parametrize("is_tiny", [True, False])
def test_met_only_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_tiny: bool) -> None:  # noqa: FBT001
    """Deep in a shard: such records go to quarantine, and the summary names widths and --dims."""
    source = tmp_path / "in"
    long = records(3, 8192, windows=4)  # more bytes than are looked at first
    write_shard(source / OLD, long[:2] + records(2, 16, 10) + long[2:])
    write_shard(source / NEW, records(1, 8192, 3) + long[:1] + records(1, 24, 20))
    if is_tiny:
        use_tiny_memory(monkeypatch)
    given = ["convert", "--decoder", "wire", str(source), str(tmp_path / "out")]
    found = CliRunner().invoke(cli, given)
    assert found.exit_code == 3
    assert (
        "widths: 5 records with embeddings of 8192 floats, and in quarantine 2 records of 16, "
        "1 record of 24; --dims 16 or --dims 24 takes these, into a dataset of their own"
    ) in found.stderr


def test_append(mixed: Path, tmp_path: Path) -> None:
    """The dataset's own number counts; the rest is told, and the dataset says no other."""
    out = tmp_path / "out"
    a20_parquet.convert(mixed / NEW, out, decoder="wire")
    conversion = a20_parquet.convert(mixed, out, decoder="wire")
    assert conversion.widths == ((16, 0), (24, 1))
    assert conversion.quarantine == {"wrong_dims": 1}


@pytest.mark.parametrize("decoder", ["tensorflow", "wire"])
def test_a_width_that_none_has(mixed: Path, tmp_path: Path, decoder: str) -> None:
    """A typo is refused with the widths there are, before anything is written or deleted."""
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"dims is 17, .* 16 in 20 .*; 24 in 1 .*dims 16 or"):
        a20_parquet.convert(mixed, out, dims=17, decoder=decoder)
    assert not out.exists()
    a20_parquet.convert(mixed / NEW, out, decoder=decoder)
    before = digests(out)
    with pytest.raises(UsageError, match="Nothing was written or deleted"):
        a20_parquet.convert(mixed / NEW, out, dims=17, overwrite=True, decoder=decoder)
    assert digests(out) == before
    with pytest.raises(UsageError, match="dims is 17"):
        a20_parquet.plan(mixed, dims=17)


def test_a_width_that_comes_later(tmp_path: Path) -> None:
    """It is looked for beyond the first records; what cannot be read at all says nothing of it."""
    source = write_shard(tmp_path / "in" / OLD, records(4, 8192, windows=4) + records(1, 16, 10))
    conversion = a20_parquet.convert(source, tmp_path / "out", dims=16, decoder="wire")
    assert (conversion.totals.windows, conversion.quarantine) == (1, {"wrong_dims": 4})
    bad = write_shard(tmp_path / "bad" / OLD, [b"no record"])
    assert a20_parquet.convert(bad, tmp_path / "bad-out", dims=16).totals.windows == 0


def test_one_width_says_nothing(mixed: Path, tmp_path: Path) -> None:
    """The ordinary case."""
    found = CliRunner().invoke(cli, ["convert", str(mixed / NEW), str(tmp_path / "out")])
    assert found.exit_code == 0
    assert "widths" not in found.stderr

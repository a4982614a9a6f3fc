"""Datasets that somebody made to hurt, or copied: nothing outside of them is touched."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crc32c
import polars as pl
import pytest

import a20_parquet
from a20_parquet.conversion import merge_pass
from a20_parquet.errors import A20ParquetError, DatasetError, UsageError
from tests.helpers.conversions import digests, use_tiny_memory, write_shuffled
from tests.helpers.manifests import edit_manifest
from tests.helpers.shards import make_record, random_tensor, write_shard

pytestmark = pytest.mark.slow

Harm = Callable[[Path, Path], None]


class Stop(Exception):  # noqa: N818 - no error of this package
    """Stands for whatever may stop a conversion."""


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """Somebody's folder, beside the dataset."""
    folder = tmp_path / "precious"
    folder.mkdir()
    for name in ("thesis.txt", "run-0.embeddings", "a.tfrecord"):
        (folder / name).write_text("years of work")
    return folder


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shards that are converted through many small runs."""
    use_tiny_memory(monkeypatch, workers=1)
    return write_shuffled(tmp_path / "in", shards=1)


def leave_unfinished(sources: Path, out: Path, **options: Any) -> None:
    """Stop a conversion in the merge."""

    def stop(*_: object) -> None:
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge_pass, "commit_unit", stop)
        with pytest.raises(Stop):
            a20_parquet.convert(sources, out, **options)


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change what a JSON file says."""
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def plan_only(out: Path, precious: Path) -> None:
    """A folder with nothing but a plan."""
    plan = json.loads((out / "conversion/plan.json").read_bytes())
    shutil.rmtree(out)
    (out / "conversion").mkdir(parents=True)
    (out / "conversion/plan.json").write_text(json.dumps(plan | {"scratch": [str(precious)]}))


def named_like_scratch(out: Path, precious: Path) -> None:
    """A folder that is called as scratch folders are, without the marker of this conversion."""
    named = precious.with_name("a20-parquet-runs-0123456789abcdef")
    precious.rename(named)
    edit(out / "conversion/plan.json", lambda plan: plan.update(scratch=[str(named)]))
    precious.symlink_to(named)


def linked_scratch(out: Path, precious: Path) -> None:
    """A link that is called as scratch folders are, with a marker where it leads."""
    link = precious.with_name("a20-parquet-runs-0123456789abcdef")
    link.symlink_to(precious)
    plan = json.loads((out / "conversion/plan.json").read_bytes())
    marker = {"dataset": str(out), "conversion": plan["id"]}
    (precious / ".a20-parquet-scratch.json").write_text(json.dumps(marker))
    edit(out / "conversion/plan.json", lambda plan: plan.update(scratch=[str(link)]))


def committed(out: Path, precious: Path) -> None:
    """A finished dataset with the traces of a commit whose plan names the folder."""
    import hashlib

    plan = out / "conversion/plan.json"
    edit(plan, lambda plan: plan.update(scratch=[str(precious)]))
    kept = plan.read_bytes()
    shutil.rmtree(out)
    a20_parquet.convert(out.parent / "in", out)
    plan.parent.mkdir()
    plan.write_bytes(kept)
    digest = hashlib.sha256((out / "manifest.json").read_bytes()).hexdigest()
    (out / "conversion/commit.json").write_text(json.dumps({"manifest": digest}))


def scratch_itself(out: Path, precious: Path) -> None:
    """An unfinished conversion whose plan names the folder."""
    edit(out / "conversion/plan.json", lambda plan: plan.update(scratch=[str(precious)]))


def scratch_above(out: Path, precious: Path) -> None:
    """The same by a relative path."""
    edit(out / "conversion/plan.json", lambda plan: plan.update(scratch=[f"../../{precious.name}"]))


def run_elsewhere(out: Path, precious: Path) -> None:
    """A commit marker whose runs lie in the folder."""
    for marker in (out / "conversion/sorted").iterdir():
        edit(
            marker,
            lambda unit: [run.update(path=f"{precious}/run-0") for run in unit["runs"]],
        )


def quarantine_above(out: Path, precious: Path) -> None:
    """A commit marker whose quarantine lies in the folder."""
    name = f"../../../{precious.name}/thesis.txt"
    file = {"name": name, "bytes": 13, "checksum": f"{crc32c.crc32c(b'years of work'):08x}"}
    kept = {"label": "a", "reasons": {"bad_length": 1}, "files": [file], "checksum": None}
    for marker in (out / "conversion/sorted").iterdir():
        edit(marker, lambda unit: unit.update(quarantine=[kept]))


def linked_conversion(out: Path, precious: Path) -> None:
    """Traces of a conversion that lie elsewhere."""
    for path in (out / "conversion").iterdir():
        path.rename(precious / path.name)
    (out / "conversion").rmdir()
    (out / "conversion").symlink_to(precious)


def linked_data(out: Path, precious: Path) -> None:
    """Data that lie elsewhere."""
    shutil.rmtree(out / "data")
    (out / "data").symlink_to(precious)


def linked_runs(out: Path, precious: Path) -> None:
    """Runs that lie elsewhere."""
    shutil.rmtree(out / "conversion/runs")
    (out / "conversion/runs").symlink_to(precious)


def linked_temporary(out: Path, precious: Path) -> None:
    """A link where a file is going to be written."""
    for name in ("conversion/plan.json.tmp", "manifest.json.tmp", "conversion/files.parquet.tmp"):
        (out / name).symlink_to(precious / "thesis.txt")


HARM: list[Harm] = [
    plan_only,
    named_like_scratch,
    linked_scratch,
    committed,
    scratch_itself,
    scratch_above,
    run_elsewhere,
    quarantine_above,
    linked_conversion,
    linked_data,
    linked_runs,
    linked_temporary,
]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_an_unfinished_dataset_cannot_reach_out(
    harm: Harm, sources: Path, precious: Path, *, overwrite: bool
) -> None:
    """Whatever its plan, markers and links say, other folders stay as they are."""
    out = precious.with_name("out")
    leave_unfinished(sources, out)
    harm(out, precious)
    before = digests(precious)
    try:
        a20_parquet.convert(sources, out, overwrite=overwrite)
    except A20ParquetError as error:
        assert isinstance(error, UsageError | DatasetError)  # noqa: PT017 - or none at all
    else:
        a20_parquet.convert(sources, precious.with_name("fresh"))
        assert digests(out) == digests(precious.with_name("fresh"))
    assert digests(precious) == before


@pytest.mark.parametrize("name", ["../../precious/thesis.txt", "/etc/hostname", ".."])
def test_a_manifest_cannot_name_files_outside(
    sources: Path, precious: Path, name: str, tmp_path: Path
) -> None:
    """Labels and quarantine are names below the dataset, for every command that uses them."""
    out = tmp_path / "out"
    a20_parquet.convert(sources, out)
    before = digests(precious)
    good = (out / "manifest.json").read_bytes()
    for change in (
        lambda m: m["shards"][0].update(label=name),
        lambda m: m.update(
            quarantine=[{"label": name, "reasons": {}, "files": [], "checksum": None}]
        ),
        lambda m: m.update(
            quarantine=[
                {
                    "label": "a",
                    "reasons": {},
                    "files": [{"name": name, "bytes": 1, "checksum": "0"}],
                    "checksum": None,
                }
            ]
        ),
    ):
        edit_manifest(out, change)
        # ``scan`` reads none of these names.
        for use in (a20_parquet.info, a20_parquet.verify):
            with pytest.raises(DatasetError, match=r"not the name of a file"):
                use(out)
        with pytest.raises(DatasetError, match=r"not the name of a file"):
            a20_parquet.convert(sources, out)
        (out / "manifest.json").write_bytes(good)
    assert digests(precious) == before


@pytest.mark.parametrize(
    "path", ["data/../../x.parquet", "/x.parquet", "data/site=a/../../../x.parquet", None]
)
def test_a_list_of_files_names_files_below_data(
    sources: Path, tmp_path: Path, path: str | None
) -> None:
    """A query opens nothing else, though all checksums are right."""
    out = tmp_path / "out"
    a20_parquet.convert(sources, out)
    files = pl.read_parquet(out / "files.parquet", hive_partitioning=False)
    one = pl.int_range(pl.len()) == 0
    changed = files.with_columns(pl.when(one).then(pl.lit(path)).otherwise("path").alias("path"))
    content = io.BytesIO()
    changed.write_parquet(content)
    (out / "files.parquet").write_bytes(content.getvalue())
    checksum = f"{crc32c.crc32c(content.getvalue()):08x}"
    edit_manifest(out, lambda manifest: manifest.update(files_checksum=checksum))
    for use in (a20_parquet.info, a20_parquet.scan, a20_parquet.connect, a20_parquet.verify):
        with pytest.raises(DatasetError, match=r"files\.parquet: found the path"):
            use(out)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_copy_leaves_the_original_its_runs(
    sources: Path, tmp_path: Path, *, elsewhere: bool, overwrite: bool
) -> None:
    """A copy of an unfinished dataset is finished or overwritten, then the original goes on."""
    options: dict[str, Any] = {"scratch": tmp_path / "scratch"} if elsewhere else {}
    out, copy = tmp_path / "out", tmp_path / "copy"
    leave_unfinished(sources, out, **options)
    shutil.copytree(out, copy)
    runs = digests(tmp_path / "scratch" if elsewhere else out / "conversion/runs")
    assert runs
    a20_parquet.convert(sources, copy, overwrite=overwrite)
    assert digests(tmp_path / "scratch" if elsewhere else out / "conversion/runs") == runs
    assert a20_parquet.convert(sources, out, **options).is_resumed
    assert digests(copy) == digests(out)
    if elsewhere:
        assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_moved_dataset_goes_on(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, elsewhere: bool
) -> None:
    """Its runs are found where they lie now: no shard is sorted again."""
    from a20_parquet.conversion import sort_unit

    def never(*_: object) -> None:
        raise Stop

    options: dict[str, Any] = {"scratch": tmp_path / "scratch"} if elsewhere else {}
    leave_unfinished(sources, tmp_path / "before", **options)
    (tmp_path / "before").rename(tmp_path / "after")
    monkeypatch.setattr(sort_unit, "commit_sorted", never)
    assert a20_parquet.convert(sources, tmp_path / "after", **options).is_resumed
    if elsewhere:
        assert list((tmp_path / "scratch").iterdir()) == []


def test_folders_of_partitions_that_lead_elsewhere(
    sources: Path, tmp_path: Path, precious: Path
) -> None:
    """Nothing is appended through a link in data/."""
    out = tmp_path / "out"
    a20_parquet.convert(sources, out)
    (site, *_) = sorted((out / "data").iterdir())
    shutil.rmtree(site)
    site.symlink_to(precious)
    before = digests(precious)
    more = write_shard(tmp_path / "more", [make_record(random_tensor((2, 1, 16)))])
    with pytest.raises(UsageError, match="symbolic link"):
        a20_parquet.convert(more, out)
    assert digests(precious) == before

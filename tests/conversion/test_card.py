"""The dataset card of a dataset: what it says, what loads by it, and what stays of users' text."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import a20_parquet
from a20_parquet.conversion.transaction.lock import find_state
from a20_parquet.dataset.card_parts import BEGIN, END
from a20_parquet.errors import NoWindowsError, UsageError
from tests.helpers.command_line import run
from tests.helpers.conversions import INFO_NAMES
from tests.helpers.layout import LocalLayout
from tests.helpers.shards import make_record, random_tensor, write_shard

yaml: Any = import_module("yaml")  # has no types
OPTIONS: dict[str, Any] = {"decoder": "wire", "workers": 1}


def shard(folder: Path, number: int, windows: int = 12) -> Path:
    """A shard with records of four recordings."""
    records = [
        make_record(random_tensor((windows, 1, 8), seed), name, 60.0 * number)
        for seed, name in enumerate(INFO_NAMES)
    ]
    return write_shard(folder / f"embeddings-{number:05d}-of-00009", records)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A new dataset of one shard."""
    path = tmp_path / "dataset"
    a20_parquet.convert(shard(tmp_path, 0), path, **OPTIONS)
    return path


def code(card: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", card, re.DOTALL)


def test_its_figures_and_columns_are_those_of_the_dataset(dataset: Path) -> None:
    """Compared with what polars reads from the files."""
    card = (dataset / "README.md").read_text()
    windows = pl.read_parquet(dataset / "data")
    first, last = windows.select(
        pl.col("window_start").min().alias("first"), pl.col("window_start").max().alias("last")
    ).row(0)
    assert f"| windows (rows) | {len(windows):,} |" in card
    assert f"| sites | {windows['site'].n_unique():,} |" in card
    assert f"| different values of `date` | {windows['date'].n_unique():,} |" in card
    assert f"| first window | {first:%Y-%m-%d %H:%M} UTC |" in card
    assert f"| last window | {last:%Y-%m-%d %H:%M} UTC |" in card
    assert re.findall(r"^\| `(\w+)` \|", card, re.MULTILINE) == windows.columns


def test_its_code_runs(dataset: Path) -> None:
    """With the dataset's path in place of DATASET; that of ``datasets`` has its own test."""
    card = (dataset / "README.md").read_text().replace("DATASET/", f"{dataset}/")
    _, polars_code = code(card, "python")
    exec(polars_code, {})  # noqa: S102 - written by this program
    (sql,) = code(card, "sql")
    counted = {(site, date): count for site, date, count in duckdb.execute(sql).fetchall()}
    counts = pl.read_parquet(dataset / "data").group_by("site", "date").len()
    assert counted == {(site, date): count for site, date, count in counts.rows()}


def test_datasets_loads_it(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``load_dataset(DATASET)`` gives the rows of the data files, and of nothing else."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(dataset), cache_dir=str(tmp_path / "cache"))["train"]
    expected = pl.read_parquet(dataset / "data", hive_partitioning=False)
    found = pl.DataFrame(loaded.data.table)
    assert found.equals(expected)


def test_an_append_renews_its_part_alone(dataset: Path, tmp_path: Path) -> None:
    """Title, license and text of users stay; so do lone bytes that are not UTF-8."""
    card = dataset / "README.md"
    before = card.read_bytes()
    mine = before.replace(b"# license: to be", b"license: mit # to be") + b"\nMine \xff\n"
    card.write_bytes(mine.replace(b"# Embeddings", b"# Birds, embeddings"))
    a20_parquet.convert([shard(tmp_path, 0), shard(tmp_path, 1)], dataset, **OPTIONS)
    after = card.read_bytes()
    assert b"| windows (rows) | 96 |" in after
    assert after.endswith(b"\nMine \xff\n")
    assert b"# Birds, embeddings" in after
    head = yaml.safe_load(after.split(b"---")[1])
    assert head["license"] == "mit"
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "data/**/*.parquet"}]
    assert not a20_parquet.verify(dataset).notes


def test_equal_conversions_write_equal_cards(dataset: Path, tmp_path: Path) -> None:
    """It holds no time and no path."""
    other = tmp_path / "elsewhere" / "again"
    a20_parquet.convert(tmp_path / "embeddings-00000-of-00009", other, **OPTIONS)
    assert (other / "README.md").read_bytes() == (dataset / "README.md").read_bytes()


def test_repair_writes_one_that_is_missing_or_old(dataset: Path) -> None:
    """``verify`` tells an old one, which is no damage."""
    card = dataset / "README.md"
    right = card.read_text()
    card.unlink()
    assert not a20_parquet.verify(dataset).notes
    a20_parquet.repair(dataset)
    assert card.read_text() == right
    card.write_text(re.sub(r"files [0-9a-f]{8}", "files 00000000", right))
    verified = a20_parquet.verify(dataset)
    assert verified.is_good
    (note,) = verified.notes
    assert "README.md, the dataset card, describes an earlier state" in note
    a20_parquet.repair(dataset)
    assert card.read_text() == right
    written = card.stat().st_mtime_ns
    a20_parquet.repair(dataset)
    assert card.stat().st_mtime_ns == written


def test_an_overwrite_keeps_the_users_text(dataset: Path, tmp_path: Path) -> None:
    """Only the marked part tells of the deleted dataset."""
    card = dataset / "README.md"
    card.write_text(card.read_text() + "\nMine\n")
    a20_parquet.convert(shard(tmp_path, 1, windows=3), dataset, overwrite=True, **OPTIONS)
    after = card.read_text()
    assert "| windows (rows) | 12 |" in after
    assert after.endswith("\nMine\n")


def test_a_part_has_a_card_of_its_own(dataset: Path, tmp_path: Path) -> None:
    """Its figures are those of the part."""
    a20_parquet.export(dataset, tmp_path / "part", where="site = 'site_0286'")
    assert "| windows (rows) | 12 |" in (tmp_path / "part" / "README.md").read_text()


@pytest.mark.parametrize("kind", ["link", "folder", "large", "flow"])
def test_what_is_no_card_is_left_alone(
    dataset: Path, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A link must not copy what it leads to into a dataset that is published."""
    card, secret = dataset / "README.md", tmp_path / "secret"
    card.unlink()
    secret.write_text("secret")
    if kind == "link":
        card.symlink_to(secret)
    elif kind == "folder":
        card.mkdir()
    elif kind == "flow":
        card.write_text("---\n{license: cc}\n---\nMine\n")
    else:
        card.write_bytes(b"x" * (5 << 20))
    a20_parquet.convert([shard(tmp_path, 0), shard(tmp_path, 1)], dataset, **OPTIONS)
    assert a20_parquet.verify(dataset).is_good
    assert card.is_symlink() == (kind == "link")
    if kind == "flow":
        assert card.read_text() == "---\n{license: cc}\n---\nMine\n"
    assert secret.read_text() == "secret"
    assert f"{card} is left as it is" in caplog.text


def test_commands_tell_of_a_card_that_is_left_alone(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr, unless --quiet."""
    card = dataset / "README.md"
    card.write_text("---\n{license: cc}\n---\nMine\n")
    code, _, errors = run(monkeypatch, capsys, "repair", dataset)
    (line,) = [line for line in errors.splitlines() if "is left as it is" in line]
    assert line.startswith(f"{card} is left as it is: its YAML head has the line '{{license: cc}}'")
    assert (code, run(monkeypatch, capsys, "repair", "--quiet", dataset)[2]) == (0, "")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone of a new repository of the Hub, with a license that was chosen there."""
    folder = tmp_path / "repository"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "config").write_text("[core]\n")
    (folder / ".gitattributes").write_text("*.parquet filter=lfs\n")
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    return folder


def test_a_new_repository_becomes_a_dataset(repository: Path, tmp_path: Path) -> None:
    """Its card gets the text of a new one and keeps its license; the rest stays."""
    a20_parquet.convert(shard(tmp_path, 0), repository, **OPTIONS)
    card = (repository / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1]).keys() == {
        "license",
        "configs",
        "size_categories",
    }
    assert "license: cc-by-4.0" in card
    assert "| windows (rows) | 48 |" in card
    assert (repository / ".git" / "config").read_text() == "[core]\n"
    assert (repository / ".gitattributes").read_text() == "*.parquet filter=lfs\n"
    a20_parquet.convert([shard(tmp_path, 0), shard(tmp_path, 1)], repository, **OPTIONS)
    assert "| windows (rows) | 96 |" in (repository / "README.md").read_text()
    a20_parquet.convert(shard(tmp_path, 1), repository, overwrite=True, **OPTIONS)
    assert "license: cc-by-4.0" in (repository / "README.md").read_text()
    assert (repository / ".git" / "config").exists()
    assert a20_parquet.verify(repository).is_good
    assert not a20_parquet.verify(repository).notes


def test_a_conversion_into_a_new_repository_resumes(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before anything was kept, before the commit and before its last step."""
    source = shard(tmp_path, 0)
    names = sorted(path.name for path in repository.iterdir())
    with pytest.raises(NoWindowsError):
        a20_parquet.convert(source, repository, site="999", **OPTIONS)
    assert sorted(path.name for path in repository.iterdir()) == names
    for step in ("conversion.convert.finish", "conversion.transaction.commit._update_card"):
        module, _, name = step.rpartition(".")
        with monkeypatch.context() as patch:
            patch.setattr(import_module(f"a20_parquet.{module}"), name, _stop)
            with pytest.raises(KeyboardInterrupt):
                a20_parquet.convert(source, repository, **OPTIONS)
        assert (repository / "README.md").read_text() == "---\nlicense: cc-by-4.0\n---\n"
    a20_parquet.convert(source, repository, **OPTIONS)
    assert "| windows (rows) | 48 |" in (repository / "README.md").read_text()
    assert a20_parquet.verify(repository).is_good


def _stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_text_that_was_there_stays(tmp_path: Path) -> None:
    """Also that of a part; the head gets what the Hub needs."""
    text = "# My birds\n\nMine\n"
    for make in ("convert", "export"):
        target = tmp_path / make
        target.mkdir()
        (target / "README.md").write_text(text)
        if make == "convert":
            a20_parquet.convert(shard(tmp_path, 0), target, **OPTIONS)
        else:
            a20_parquet.export(tmp_path / "convert", target, where="site = 'site_0286'")
        card = (target / "README.md").read_text()
        assert card.endswith(f"---\n\n{text}")
        assert "configs" in yaml.safe_load(card.split("---")[1])


@pytest.mark.parametrize("name", ["note.txt", "README.txt", ".gitignore", "README.md/a"])
def test_a_repository_with_anything_else_is_refused(repository: Path, name: str) -> None:
    """With one more file it is a folder of another purpose."""
    if "/" in name:
        (repository / "README.md").unlink()
        (repository / "README.md").mkdir()
    (repository / name).write_text("mine")
    with pytest.raises(UsageError, match="is not empty and holds no dataset"):
        find_state(LocalLayout.at(repository))


def test_names_of_features_cannot_end_the_part(tmp_path: Path) -> None:
    """Marks and cells in names are text."""
    name = f"a|b\n{END}\n{BEGIN}"
    record = make_record(random_tensor((3, 1, 8), 1), INFO_NAMES[0], 0.0)
    path = write_shard(tmp_path / "embeddings-00000-of-00001", [record])
    a20_parquet.convert(path, tmp_path / "d", feature=f"{name}:int64[1]:record", **OPTIONS)
    card = (tmp_path / "d" / "README.md").read_text()
    assert (card.count(BEGIN), card.count(END)) == (1, 1)
    assert card.endswith(f"{END}\n")

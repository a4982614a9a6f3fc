"""Everything that can be done with a dataset, and whether it ends as it must."""

import io
import os
import shutil
import stat
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

import a20_parquet
from a20_parquet.cli.main import cli
from a20_parquet.errors import A20ParquetError
from tests.robustness.dataset_bases import TO, Base, convert, rows

_REFUSED = 1
_WITH_QUARANTINE = 3


@dataclass(slots=True)
class Scene:
    """A spoilt dataset, and what is known of it."""

    base: Base
    shards: Path
    folder: Path
    """Holds the dataset, and neighbours that nothing may touch."""
    now: str | None
    """What readers found before it was spoilt, see ``rows``; none of an unfinished one."""
    finished: str
    """What readers find once its conversion is finished."""
    outcomes: dict[str, str] = field(default_factory=dict)
    """By deed: ``good``, ``bad`` where something was found wrong, ``rows`` for other rows than
    before, or an error's name."""
    failures: dict[str, str] = field(default_factory=dict)
    """By deed: what must not be."""

    @property
    def dataset(self) -> Path:
        """The spoilt dataset."""
        return self.folder / "dataset"

    @property
    def out(self) -> Path:
        """Where reports and databases go."""
        return self.folder.parent / "out"

    @property
    def copy(self) -> Path:
        """A copy that may be written to."""
        return self.folder / "copy"


Deed = Callable[[Scene, Path], str]


def _command(*arguments: object) -> str:
    """Run a command as the command line does; whether it was content."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            cli.main([str(each) for each in arguments], standalone_mode=False)
        except SystemExit as end:
            if end.code == _REFUSED:
                return "bad"
            if end.code not in (0, _WITH_QUARANTINE, None):
                raise
    return "good"


def _verify_source(scene: Scene, dataset: Path) -> str:
    names = (*scene.base.first, *scene.base.appended) if scene.base.stop != "merge" else ()
    names = names or scene.base.first
    sources = [each for name in names for each in ("--source", scene.shards / name)]
    return _command("verify", dataset, *sources, "--decoder", "wire")


def _scan(scene: Scene, dataset: Path) -> str:
    return "good" if rows(dataset) == scene.now else "rows"


def _filter(_: Scene, dataset: Path) -> str:
    frame = a20_parquet.scan(dataset)
    frame.filter(pl.col("site") == "site_0285", pl.col("channel") == 0).collect()
    day = pl.datetime(2020, 10, 14, time_zone="UTC")
    frame.filter(pl.col("window_start") > day).select("filename", "embedding").collect()
    frame.select(pl.len()).collect()
    return "good"


def _query(_: Scene, dataset: Path) -> str:
    import duckdb

    with a20_parquet.connect(dataset) as connection:
        try:
            connection.sql(
                "SELECT count(*), sum(embedding[1]) FROM windows GROUP BY site"
            ).fetchall()
        except duckdb.Error:
            # The user's own query: DuckDB's errors are for them.
            return "duckdb.Error"
    return "good"


def _convert(*names: str, **options: Any) -> Deed:
    """Convert shards into it: those that it was made of, or others."""

    def deed(scene: Scene, dataset: Path) -> str:
        sources = names or scene.base.appended or scene.base.first
        convert(scene.base, scene.shards, dataset, sources, **options)
        if names and not options.get("overwrite"):
            return "good"
        return "good" if rows(dataset) in {scene.finished, scene.now} else "rows"

    return deed


def _retry(scene: Scene, dataset: Path) -> str:
    options = {"unknown_site": "elsewhere"}
    base = scene.base
    convert(base, dataset, dataset, ("quarantine",), **options, **_sites(scene))
    return "good"


def _sites(scene: Scene) -> dict[str, Any]:
    return {"sites": scene.shards / "sites.csv"} if "sites" in scene.base.options else {}


READING: dict[str, Deed] = {
    "info": lambda _, dataset: _command("info", dataset),
    "info --json": lambda _, dataset: _command("info", dataset, "--json"),
    "verify": lambda _, dataset: _command("verify", dataset),
    "verify --source": _verify_source,
    "scan": _scan,
    "scan with filters": _filter,
    "connect": _query,
    "similar": lambda _, dataset: _command("similar", dataset, "--to", TO),
    "report": lambda scene, dataset: _command("report", dataset, "-o", scene.out / "report.html"),
    "duckdb": lambda scene, dataset: _command(
        "duckdb", dataset, scene.out / "view.duckdb", "--force"
    ),
    "duckdb --as table": lambda scene, dataset: _command(
        "duckdb", dataset, scene.out / "table.duckdb", "--force", "--as", "table"
    ),
}
"""What must not change a dataset."""
WRITING: dict[str, Deed] = {
    "convert": _convert(),
    "append": _convert("d"),
    "retry": _retry,
    "convert --overwrite": _convert("a", overwrite=True),
    "repair": lambda _, dataset: _command("repair", dataset),
}
"""What may; each is done to a copy."""


def try_all(scene: Scene, begin: Callable[[str], object]) -> None:
    """Do everything with a dataset.

    Args:
        scene: gets the outcomes and failures.
        begin: told what comes next.
    """
    before = fingerprint(scene.dataset)
    around = _neighbours(scene)
    for name, deed in (READING | WRITING).items():
        begin(name)
        dataset = scene.dataset
        if name in WRITING:
            copy_tree(scene.dataset, scene.copy)
            dataset = scene.copy
        _try(scene, name, deed, dataset)
        if name in WRITING:
            shutil.rmtree(scene.copy, ignore_errors=True)
        if fingerprint(scene.dataset) != before:
            scene.failures[name] = "it changed the dataset"
            return
        if _neighbours(scene) != around:
            scene.failures[name] = "it changed something outside of the dataset"
            return


def _try(scene: Scene, name: str, deed: Deed, dataset: Path) -> None:
    try:
        scene.outcomes[name] = deed(scene, dataset)
    except A20ParquetError as error:
        scene.outcomes[name] = type(error).__name__
        if not str(error).strip():
            scene.failures[name] = "an error without a message"
    except BaseException as error:  # noqa: BLE001 - polars' panics are no Exceptions
        scene.outcomes[name] = f"{type(error).__module__}.{type(error).__name__}"
        scene.failures[name] = traceback.format_exc()


def _neighbours(scene: Scene) -> dict[str, str]:
    """All that lies around the dataset."""
    places = (scene.folder / "precious", scene.shards)
    return {
        f"{place.name}/{name}": what
        for place in places
        for name, what in fingerprint(place).items()
    } | dict.fromkeys((each.name for each in scene.folder.iterdir()), "there")


def fingerprint(root: Path) -> dict[str, str]:
    """All below a folder, links not followed."""
    return {path.relative_to(root).as_posix(): _what(path) for path in _walk(root)}


def _walk(root: Path) -> Iterator[Path]:
    if root.is_dir() and not root.is_symlink():
        for path in sorted(root.iterdir()):
            yield path
            yield from _walk(path)


def _what(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return str(path.readlink())
    if stat.S_ISREG(mode):
        return sha256(path.read_bytes()).hexdigest()
    return str(stat.S_IFMT(mode))


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder as it is: links as links, FIFOs as FIFOs."""
    target.mkdir()
    for path in _walk(source):
        to = target / path.relative_to(source)
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            to.symlink_to(path.readlink())
        elif stat.S_ISDIR(mode):
            to.mkdir()
        elif stat.S_ISFIFO(mode):
            os.mkfifo(to)
        else:
            shutil.copy2(path, to)

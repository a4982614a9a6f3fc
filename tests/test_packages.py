"""What is published carries what it takes: the sdist to build and test, the wheel to be used."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import a20_parquet

ROOT = Path(__file__).parents[1]
FOLDERS = (".ci", ".github", "a20_parquet", "benchmarks", "docs", "notebooks", "schemas", "tests")
FILES = (
    *("CHANGELOG.md", "CITATION.cff", "LICENSE", "Makefile", "README.md", "SECURITY.md"),
    "mkdocs.yml",
)


def files_below(folder: Path, *, of: Path) -> set[str]:
    """Paths of all files in a folder, relative to ``of``."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(of).as_posix() for path in found if "__pycache__" not in path.parts}


def build(target: str, source: Path, out: Path) -> Path:
    """Build what ``pip`` would be given, and return the file."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", ROOT, folder / "dist")) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.name != "dist")
    return unpacked


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel made from the sdist, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.unpack_archive(build("wheel", sdist, folder / "dist"), folder / "unpacked", "zip")
    return folder / "unpacked"


@pytest.mark.slow
def test_sdist_builds_and_tests(sdist: Path) -> None:
    """It has every file of the folders that building, testing and reading need."""
    for folder in FOLDERS:
        wanted = files_below(ROOT / folder, of=ROOT)
        assert wanted
        assert not wanted - files_below(sdist / folder, of=sdist)
    for name in (*FILES, "CONTRIBUTING.md", "pyproject.toml", ".pre-commit-config.yaml"):
        assert (sdist / name).read_bytes() == (ROOT / name).read_bytes()


@pytest.mark.slow
def test_the_package_index_can_show_the_readme(tmp_path: Path) -> None:
    """Its page needs no file of the project, and installs from the index."""
    built = build("wheel", ROOT, tmp_path)
    command = [sys.executable, "-m", "twine", "check", "--strict", str(built)]
    subprocess.run(command, check=True, capture_output=True)
    with zipfile.ZipFile(built) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        page = archive.read(name).decode()
    assert "$ pip install a20-parquet && a20-parquet demo\n" in page
    assert not re.findall(r"\]\((?!https:)", page)


@pytest.mark.slow
def test_wheel_holds_the_package_and_its_schemas(wheel: Path) -> None:
    """It has nothing else, and ``importlib.resources`` finds the schemas in it."""
    schemas = {path.name for path in (ROOT / "schemas").iterdir() if path.is_file()} - {"export.py"}
    package = files_below(ROOT / "a20_parquet", of=ROOT)
    assert files_below(wheel / "a20_parquet", of=wheel) == package | {
        f"a20_parquet/schemas/{name}" for name in schemas
    }
    assert {path.name for path in wheel.iterdir() if path.suffix != ".dist-info"} == {"a20_parquet"}
    code = "from importlib.resources import files; import a20_parquet; "
    code += "print((files(a20_parquet) / 'schemas' / 'windows.sql').read_text(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=wheel, env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout == (ROOT / "schemas" / "windows.sql").read_text()


def test_what_stands_twice_is_the_same() -> None:
    """The version in the citation and changelog; the fast tests of workflow and Makefile."""
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited is not None
    assert cited[1] == a20_parquet.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text()
    dated = re.search(r"^## \[(\d.*)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    assert dated is not None
    assert dated[1] == a20_parquet.__version__
    fast = re.search("^FAST = (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert fast is not None
    assert f'pytest -m "{fast[1]}"' in (ROOT / ".github" / "workflows" / "ci.yml").read_text()

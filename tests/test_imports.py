"""The package's layers import only what they may, and nothing heavy before it is needed."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest

import a20_parquet
from tests.helpers.conversions import MakeDataset
from tests.helpers.shards import make_record, random_tensor, write_shard

PACKAGE = Path(a20_parquet.__file__).parent
PURE = {"storage", "parquet", "windows"}
MAY_IMPORT: dict[str, set[str]] = {
    "storage": set(),
    "parquet": set(),
    "windows": set(),
    "tfrecord": {"storage", "windows"},
    "dataset": PURE,
    "runs": PURE | {"dataset"},
    "execution": {"dataset", "storage", "tfrecord"},
    "shards": {"execution", "storage", "tfrecord"},
    "decoding": {"shards", "tfrecord", "windows"},
    "notebook": PURE | {"dataset", "decoding", "execution", "runs", "shards", "tfrecord"},
    "conversion": PURE
    | {"dataset", "decoding", "execution", "notebook", "runs", "shards", "tfrecord"},
    "query": PURE | {"dataset", "execution"},
    "exporting": PURE | {"conversion", "dataset", "execution", "query", "runs", "tfrecord"},
    "reporting": {"dataset", "query", "storage", "windows"},
    "verification": {
        "dataset",
        "decoding",
        "execution",
        "shards",
        "storage",
        "tfrecord",
        "windows",
    },
}
"""What each package may import of the others, besides the modules at the top; see CONTRIBUTING."""
MAY_IMPORT["planning"] = {*MAY_IMPORT}
MAY_IMPORT["demo"] = {*MAY_IMPORT}
MAY_IMPORT["cli"] = {*MAY_IMPORT}
TENSORFLOW = {
    "decoding/tensorflow.py",
    "decoding/tensors.py",
    "decoding/example.py",
    "decoding/inspect_shards.py",
    "demo/shards.py",
}
"""The only files that import TensorFlow."""


def imported_modules(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in FILES else node.module


def module_name(path: Path) -> str:
    """The dotted name of a file of the package."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def test_every_package_stands_in_the_table() -> None:
    """Each folder of the package has its row."""
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == set(MAY_IMPORT)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_what_they_may(package: str) -> None:
    """Packages import those of the table, and the modules at the top that belong to no package."""
    packages = set(MAY_IMPORT)
    for path in (PACKAGE / package).rglob("*.py"):
        for module in imported_modules(path):
            parts = module.split(".")
            if parts[0] == "a20_parquet" and len(parts) > 1 and parts[1] in packages - {package}:
                assert parts[1] in MAY_IMPORT[package], f"{path} imports {module}"


def test_the_top_imports_no_package() -> None:
    """Modules at the top are below all packages, but for the two ways into the program."""
    for path in PACKAGE.glob("*.py"):
        if path.name not in {"__init__.py", "__main__.py"}:
            for module in imported_modules(path):
                assert module.split(".")[1:2] not in [[name] for name in MAY_IMPORT], path


def test_the_encoder_has_one_door() -> None:
    """Other packages import what ``parquet`` exports, never one of its files."""
    for name, path in FILES.items():
        if not name.startswith("a20_parquet.parquet"):
            for module in imported_modules(path):
                assert not module.startswith("a20_parquet.parquet."), f"{path} imports {module}"


def test_no_files_import_each_other() -> None:
    """There is no circle of imports, also of those inside functions and for types only."""
    imports = {
        name: {module for module in imported_modules(path) if module in FILES and module != name}
        for name, path in FILES.items()
        if name != "a20_parquet"
    }
    graph = TopologicalSorter(imports)
    graph.prepare()


def test_only_decoders_import_tensorflow() -> None:
    """Whatever does not decode starts quickly, and runs where there is no TensorFlow."""
    for path in FILES.values():
        if any(module.split(".")[0] == "tensorflow" for module in imported_modules(path)):
            assert str(path.relative_to(PACKAGE)) in TENSORFLOW


@pytest.mark.parametrize("package", ["windows", "parquet"])
def test_pure_packages_do_no_input_or_output(package: str) -> None:
    """Windows are reckoned with without a file system, a store or a database."""
    forbidden = {"fsspec", "duckdb", *(["os"] if package == "windows" else [])}
    for path in (PACKAGE / package).rglob("*.py"):
        assert not forbidden & {module.split(".")[0] for module in imported_modules(path)}, path


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["convert", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Help and version answer without TensorFlow, Arrow, polars, DuckDB or fsspec."""
    code = (
        "import sys\n"
        "from a20_parquet.cli.main import cli\n"
        f"cli({arguments!r}, standalone_mode=False)\n"
        "heavy = {'tensorflow', 'pyarrow', 'polars', 'duckdb', 'numpy', 'pydantic', 'rich'}\n"
        "heavy.add('fsspec')\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_wire_needs_no_tensorflow(tmp_path: Path) -> None:
    """Shards as Perch writes them are converted without it, by each command that decodes."""
    write_shard(tmp_path / "a-00000-of-00001", [make_record(random_tensor((2, 1, 8)))])
    code = (
        "import sys\n"
        "from a20_parquet.cli.main import cli\n"
        "shard, out = sys.argv[1:]\n"
        "for arguments in (['convert', shard, out + '/a', '--npy-json', out + '/b'],\n"
        "                  ['npy-json', shard, out + '/c']):\n"
        "    cli([*arguments, '--decoder', 'wire'], standalone_mode=False)\n"
        "import a20_parquet\n"
        "assert len(a20_parquet.read_windows(shard, decoder='wire').read_all()) == 2\n"
        "sys.exit(str({'tensorflow', 'google.protobuf'} & set(sys.modules) or '') or 0)"
    )
    arguments = [str(tmp_path / "a-00000-of-00001"), str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_conversion_does_without(shuffled: Path, tmp_path: Path) -> None:
    """What takes long to import and is not needed is not, though Arrow or TensorFlow would."""
    code = (
        "import sys\n"
        "from a20_parquet.cli.main import main\n"
        f"sys.argv = ['a20-parquet', 'convert', {str(shuffled)!r}, {str(tmp_path / 'out')!r}]\n"
        "main()\n"
        "needless = {'pandas', 'polars', 'duckdb', 'keras'} & set(sys.modules)\n"
        "sys.exit(str(needless) if needless else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.slow
def test_a_search_does_without(make_dataset: MakeDataset) -> None:
    """Arrow imports pandas for arrays of Python and NumPy; a search for a vector makes none."""
    code = (
        "import sys\n"
        "import a20_parquet, numpy as np\n"
        "dataset = sys.argv[1]\n"
        "assert len(a20_parquet.similar(dataset, np.ones(8), top=3)) == 3\n"
        "assert len(a20_parquet.read_numpy(dataset)[1])\n"
        "needless = {'pandas', 'duckdb', 'fsspec'} & set(sys.modules)\n"
        "sys.exit(str(needless) if needless else 0)"
    )
    command = [sys.executable, "-c", code, str(make_dataset("site"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("devices", [None, "0,1"])
def test_tensorflow_changes_nothing_else(devices: str | None) -> None:
    """Other libraries in the process see the GPUs that there are, and stderr is where it was."""
    code = (
        "import os, sys\n"
        "before = os.environ.copy(), os.fstat(2)\n"
        "from a20_parquet.decoding.tensorflow import load_tensorflow\n"
        "tf = load_tensorflow()\n"
        "for name in ('CUDA_VISIBLE_DEVICES', 'TF_CPP_MIN_LOG_LEVEL', 'TF_USE_LEGACY_KERAS'):\n"
        "    assert os.environ.get(name) == before[0].get(name), name\n"
        "assert os.path.samestat(os.fstat(2), before[1])\n"
        "assert tf.config.get_visible_devices('GPU') == []\n"
        "os.write(2, b'still here')"
    )
    environment = {**os.environ} | ({"CUDA_VISIBLE_DEVICES": devices} if devices else {})
    if devices is None:
        environment.pop("CUDA_VISIBLE_DEVICES", None)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "still here")


def test_a_tensorflow_that_is_there_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has imported it before may use GPUs, and has stderr all the time."""
    from a20_parquet.decoding import tensorflow as tensorflow_decoder

    theirs = ModuleType("tensorflow")
    monkeypatch.setitem(sys.modules, "tensorflow", theirs)
    changed = pytest.fail.Exception("stderr was changed")
    monkeypatch.setattr(tensorflow_decoder, "_silenced_stderr", Mock(side_effect=changed))
    assert tensorflow_decoder.load_tensorflow.__wrapped__() is theirs


@pytest.mark.slow
def test_keras_is_still_there() -> None:
    """TensorFlow comes without Keras, and gives the same one as ever where it is asked for it."""
    code = (
        "import gc, os, sys\n"
        "from a20_parquet.decoding.tensorflow import load_tensorflow\n"
        "tf = load_tensorflow()\n"
        "assert 'keras' not in sys.modules\n"
        "assert 'TF_USE_LEGACY_KERAS' not in os.environ\n"
        "assert gc.isenabled()\n"
        "made = tf.keras.layers.Dense(2)\n"
        "from tensorflow.keras.layers import Dense\n"
        "import keras\n"
        "assert Dense is keras.layers.Dense\n"
        "assert type(made) is Dense"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_function_is_not_hidden_by_a_package() -> None:
    """No package is called as a public function is: importing it would hide the function."""
    assert not set(a20_parquet.__all__) & set(MAY_IMPORT)
    for name in a20_parquet.__all__:
        assert f"a20_parquet.{name}" not in FILES
    assert callable(a20_parquet.convert)
    assert callable(a20_parquet.inspect)
    for name in a20_parquet.__all__:
        assert getattr(a20_parquet, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        getattr(a20_parquet, "nothing_of_the_kind")  # noqa: B009 - unknown to the type checker

"""The package's layers import only what they may, and nothing heavy before it is needed."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest

import a20_parquet
from tests.helpers.shards import make_record, random_tensor, write_shard

PACKAGE = Path(a20_parquet.__file__).parent
FORBIDDEN = {
    "storage": {f"a20_parquet.{layer}" for layer in ("source", "table", "dataset")},
    "table": {
        "a20_parquet.source",
        "a20_parquet.dataset",
        "a20_parquet.storage",
        "tensorflow",
        "fsspec",
        "duckdb",
        "os",
    },
    "source": {"a20_parquet.dataset", "duckdb", "polars"},
    "dataset": {"a20_parquet.source", "tensorflow"},
}


def imported_modules(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_layers_do_not_import_each_other(layer: str) -> None:
    """``source`` and ``dataset`` share ``table``, which does no I/O, and ``storage``."""
    for path in (PACKAGE / layer).rglob("*.py"):
        for module in imported_modules(path):
            for forbidden in FORBIDDEN[layer]:
                assert not f"{module}.".startswith(f"{forbidden}."), f"{path} imports {module}"


@pytest.mark.parametrize("layer", ["storage", "source", "table", "dataset"])
def test_layers_do_not_import_what_joins_them(layer: str) -> None:
    """The layers know nothing of the command line or of the conversion."""
    layers = ("errors", "amounts", "storage", "source", "table", "dataset")
    allowed = {f"a20_parquet.{name}" for name in layers}
    for path in (PACKAGE / layer).rglob("*.py"):
        for module in imported_modules(path):
            # Beginning a conversion ends the runs before it.
            if module.startswith("a20_parquet.") and module != "a20_parquet.execution.fencing":
                assert ".".join(module.split(".")[:2]) in allowed, f"{path} imports {module}"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["convert", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Help and version answer without TensorFlow, Arrow, polars or DuckDB."""
    code = (
        "import sys\n"
        "from a20_parquet.cli import cli\n"
        f"cli({arguments!r}, standalone_mode=False)\n"
        "heavy = {'tensorflow', 'pyarrow', 'polars', 'duckdb', 'numpy', 'pydantic', 'rich'}\n"
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
        "from a20_parquet.cli import cli\n"
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
        "from a20_parquet.cli import main\n"
        f"sys.argv = ['a20-parquet', 'convert', {str(shuffled)!r}, {str(tmp_path / 'out')!r}]\n"
        "main()\n"
        "needless = {'pandas', 'polars', 'duckdb', 'keras'} & set(sys.modules)\n"
        "sys.exit(str(needless) if needless else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("devices", [None, "0,1"])
def test_tensorflow_changes_nothing_else(devices: str | None) -> None:
    """Other libraries in the process see the GPUs that there are, and stderr is where it was."""
    code = (
        "import os, sys\n"
        "before = os.environ.copy(), os.fstat(2)\n"
        "from a20_parquet.source.tensorflow_decoder import load_tensorflow\n"
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
    from a20_parquet.source import tensorflow_decoder

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
        "from a20_parquet.source.tensorflow_decoder import load_tensorflow\n"
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


def test_function_is_not_hidden_by_its_module() -> None:
    """``a20_parquet.convert`` is the function also after its module was imported."""
    import a20_parquet.convert
    import a20_parquet.inspect

    assert callable(a20_parquet.convert)
    assert callable(a20_parquet.inspect)
    for name in a20_parquet.__all__:
        assert getattr(a20_parquet, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        getattr(a20_parquet, "nothing_of_the_kind")  # noqa: B009 - unknown to the type checker

"""The PyTorch example of ``docs/numpy.md``, with workers, where PyTorch is installed."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import a20_parquet
from tests.helpers.recordings import write_recordings

PAGE = Path(__file__).parents[2] / "docs" / "numpy.md"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize("workers", [0, 2])
def test_each_window_comes_once_an_epoch(tmp_path: Path, workers: int) -> None:
    """In another order each time; the script ends."""
    dataset = tmp_path / "a20-demo" / "dataset"
    a20_parquet.convert(write_recordings(tmp_path / "in"), dataset, decoder="wire")
    text = PAGE.read_text().split("\n## PyTorch\n")[1]
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (script,) = re.findall(r"```py\n(.*?)```", text, re.DOTALL)
    (tmp_path / "windows.py").write_text(code.split("\n\nfor ")[0])
    context = 'multiprocessing_context="spawn"'
    script = script.replace("num_workers=2", f"num_workers={workers}")
    script = script.replace(context, context if workers else "")
    script = script.replace("count +=", "print(*embeddings[:, 0].tolist())\n            count +=")
    (tmp_path / "train.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    stored = sorted(a20_parquet.read_numpy(dataset, columns=[])[1][:, 0].tolist())
    first, second, rest = re.split(r"^[01] \d+\n", done.stdout, flags=re.MULTILINE)
    assert rest == ""
    assert first != second
    for epoch in (first, second):
        assert sorted(map(float, epoch.split())) == stored

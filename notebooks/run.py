"""Runs the notebook in a temporary folder and saves it with its outputs.

``python notebooks/run.py`` renews the notebook in place, ``python notebooks/run.py COPY`` writes
what it would become to another file. What differs from one run to the next is left out.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("embeddings.ipynb")
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_TIMEOUT_S = 600


def run(notebook: Path) -> Any:
    """The notebook with what its cells gave.

    Raises:
        CellExecutionError: a cell failed.
    """
    # Imported here once, matplotlib need not tell in a cell that it looks for fonts.
    import matplotlib.font_manager  # noqa: F401

    content = nbformat.read(notebook, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IPYTHONDIR"] = f"{folder}/ipython"  # none of the user's own settings
        work = Path(folder, "work")
        work.mkdir()
        client = NotebookClient(
            content,
            timeout=_TIMEOUT_S,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,  # however the kernel cut up what was printed
            resources={"metadata": {"path": str(work)}},
        )
        client.execute()
    content.metadata = nbformat.from_dict(_METADATA)
    for cell in content.cells:
        cell.metadata = {}
    return content


if __name__ == "__main__":
    nbformat.write(run(NOTEBOOK), sys.argv[1] if sys.argv[1:] else NOTEBOOK)

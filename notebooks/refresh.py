"""Runs the tutorials and keeps their outputs: `python notebooks/refresh.py [NOTEBOOK ...]`.

They run on an engine of their own and without live displays, so what is kept is the record that everybody sees.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from sm_magics.local.start import find

HERE = Path(__file__).parent


def refresh(path: Path) -> None:
    """Execute one notebook in place; what only a live kernel could show is not kept."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}).execute()
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        cell.metadata.pop("execution", None)
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, path)


def main() -> None:
    """Refresh the notebooks that are named, or all."""
    with tempfile.TemporaryDirectory() as state:
        os.environ["SM_MAGICS_STATE"] = state
        os.environ["SM_MAGICS_DISPLAY"] = "static"
        for path in map(Path, sys.argv[1:] or sorted(map(str, HERE.glob("*.ipynb")))):
            refresh(path)
            engine = find(Path(state))
            if engine is not None:
                engine.stop()


if __name__ == "__main__":
    main()

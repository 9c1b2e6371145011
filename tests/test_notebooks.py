"""The tutorials without nbval: whatever raises in a cell fails here, and what is committed is fit to be read."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from sm_magics.local.start import find

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
RAISES = "raises-exception"  # the tag of a cell that fails on purpose; nbclient and nbval honour it
LIVE = "application/vnd.jupyter.widget-view+json"


def read(path):
    return nbformat.read(path, as_version=4)


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def is_failing(cell):
    return any(output.output_type == "error" for output in cell.outputs)


def assert_fails_where_it_says(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.id for cell in code if is_failing(cell)] == [cell.id for cell in code if RAISES in tags(cell)]


def tags(cell):
    return cell.metadata.get("tags", [])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("SM_MAGICS_STATE", str(tmp_path))
    monkeypatch.setenv("SM_MAGICS_DISPLAY", "static")
    notebook = read(path)
    try:
        NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=False).execute(env=os.environ)
    finally:
        engine = find(tmp_path)
        if engine is not None:
            engine.stop()
    assert_fails_where_it_says(notebook)
    told = [output for output in outputs(notebook) if output.output_type == "stream" and output.name == "stderr"]
    assert told == [], "a usage error or a warning went to stderr, which neither nbclient nor nbval takes for a failure"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_committed_was_run_top_to_bottom_and_reads_without_a_kernel(path):
    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert "widgets" not in notebook.metadata
    assert_fails_where_it_says(notebook)
    for output in outputs(notebook):
        assert output.output_type != "error" or output.ename == "DeployError"
        assert LIVE not in output.get("data", {})
    assert path.stat().st_size < 200_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_card_has_words_for_where_html_cannot_be_shown(path):
    for output in outputs(read(path)):
        if "text/html" in output.get("data", {}):
            assert not re.search(r"</?[a-zA-Z]", output.data["text/plain"])
            assert len(output.data["text/plain"]) > 20

"""The first tutorial in JupyterLab and Notebook 7, run from top to bottom as a reader runs it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from frontend import pictures
from playwright.sync_api import expect

from sm_magics.local.start import find

TUTORIAL = Path(__file__).parents[2] / "notebooks" / "01_updating_an_endpoint.ipynb"


@pytest.fixture
def own_state(tmp_path):
    """Yield the state directory of an engine of the tutorial's own: it ends with nothing being left there."""
    yield tmp_path
    engine = find(tmp_path)
    if engine is not None:
        engine.stop()


def test_the_tutorial_runs_from_top_to_bottom(open_page, server, front_end, own_state):
    notebook = nbformat.read(TUTORIAL, as_version=4)
    kept = [len(each.get("outputs", [])) for each in notebook.cells]
    for each in notebook.cells:
        if each.cell_type == "code":
            each.outputs, each.execution_count = [], None
    notebook.cells.insert(
        0, nbformat.v4.new_code_cell(f"import os\nos.environ['SM_MAGICS_STATE'] = {str(own_state)!r}")
    )
    name = f"tutorial-{front_end}.ipynb"
    nbformat.write(notebook, server.root / name)
    opened = open_page(name, front_end)
    assert opened.run_all()
    expect(opened.page.locator(".sm-card")).not_to_have_count(0)
    pictures(opened, f"tutorial-{front_end}")
    opened.save()
    cells = server.read(name).cells[1:]
    kinds = [output.output_type for cell in cells for output in cell.get("outputs", [])]
    assert "error" not in kinds
    assert [bool(cell.get("outputs")) for cell in cells] == [bool(count) for count in kept]
    assert all(cell.execution_count for cell in cells if cell.cell_type == "code")
    opened.sees(len(cells) - 1, "Nothing")

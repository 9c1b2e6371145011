"""What a user sees in JupyterLab and Notebook 7 while a cell waits, when it fails, and in the notebook later.

VS Code and Colab are not run here: they get the bundle that `tests/test_render_shown.py` looks at.
"""

from __future__ import annotations

import nbformat
import pytest
from frontend import ACTIVE, MS, as_a_file, pictures
from playwright.sync_api import expect

LOOKED_FOR_MS = 2500  # what ipywidgets does not find it complains of only then
GUARDED = """%%sm_endpoint {}
variants:
  A: {{model: {}}}
deploy: {{canary: 50%, wait: 1m}}
rollback_on: [{{metric: Invocation5XXErrors, above: 1%, for: 20s}}]
"""


def test_a_live_card_follows_creating_to_in_service_and_leaves_the_record(open_cells, front_end, cell, paused):
    opened = open_cells(cell, front_end=front_end)
    with paused():
        opened.begin(1)
        live = opened.cell(1).locator(".jupyter-widgets .sm-card")
        expect(live).to_contain_text("Creating", timeout=MS)
        expect(live).to_contain_text("0 of 1")
        if front_end == "lab":
            pictures(opened, "live-card")
    opened.sees(1, "Done and verified")
    expect(live).to_have_count(0)
    expect(opened.cell(1).locator(".sm-card")).to_have_count(1)
    expect(opened.cell(1).locator(".sm-card")).to_contain_text("InService")


def test_the_stop_button_ends_the_waiting_at_once_and_destroys_nothing(open_cells, front_end, cell, paused, name):
    opened = open_cells(cell, f"%sm_status {name}", front_end=front_end)
    with paused():
        opened.begin(1)
        expect(opened.cell(1).locator(".sm-card")).to_contain_text("Creating", timeout=MS)
        opened.interrupt()
        opened.sees(1, "Detached")  # while the service stands still: nothing else can have ended it
        expect(opened.cell(1).locator(".sm-card")).to_have_count(0)
        opened.begin(2)
        opened.sees(2, "Creating")
    opened.begin(1)
    opened.sees(1, "Nothing to change")


def test_a_rollout_shows_its_phases_and_a_rollback_its_cause(open_cells, deployer, name, models):
    deployer.run(name, f"variants: {{A: {{model: {models[0]}}}}}")
    opened = open_cells(
        f"rows = [[0.0] * 13] * 10\n%sm_fault {name} 5xx=100% --next\n%sm_load {name} --data $rows --rps 40 --for 2m",
        GUARDED.format(name, models[1]),
        f"%sm_load {name} stop\n%sm_fault {name} clear\n%sm_status {name}",
    )
    opened.begin(1)
    opened.begin(2)
    live = opened.cell(2).locator(".jupyter-widgets .sm-card")
    expect(live).to_contain_text("50 %", timeout=MS)
    pictures(opened, "rollout")
    opened.sees(2, "DeployError", 3 * MS)  # an alarm is judged by whole periods
    told = opened.cell(2).locator(".jp-OutputArea")
    expect(told).to_contain_text("Invocation5XXErrors")
    expect(told).to_contain_text("rolled back")
    pictures(opened, "rollback")
    opened.begin(3)
    opened.sees(3, "InService")


def test_a_notebook_that_was_saved_while_a_cell_waited_is_opened_again_without_its_kernel(
    open_cells, open_page, front_end, cell, paused, name
):
    opened = open_cells(cell, name=f"{name}.ipynb")
    with paused():
        opened.begin(1)
        expect(opened.cell(1).locator(".jupyter-widgets .sm-card")).to_contain_text("Creating", timeout=MS)
        opened.save()
        opened.shut_down()
    again = open_page(f"{name}.ipynb", front_end)
    again.page.wait_for_timeout(LOOKED_FOR_MS)
    expect(again.outputs(1)).to_have_count(1)
    expect(again.outputs(1)).to_have_text("")


@pytest.fixture
def saved(open_cells, cell, paused, name):
    """Return the name of a notebook that was saved after a cell had waited with a live card; its kernel is gone."""
    opened = open_cells(cell, name=f"{name}.ipynb")
    with paused():
        opened.begin(1)
        expect(opened.cell(1).locator(".jupyter-widgets .sm-card")).to_contain_text("Creating", timeout=MS)
    opened.sees(1, "Done and verified")
    opened.until_idle()
    opened.save()
    opened.shut_down()
    return f"{name}.ipynb"


def shows_the_record(opened):
    opened.sees(1, "Done and verified")
    expect(opened.cell(1).locator("table")).not_to_have_count(0)
    expect(opened.page.get_by_text("model not found")).to_have_count(0)


def test_a_saved_notebook_shows_the_record_wherever_it_is_opened_again(open_page, browser, server, saved, tmp_path):
    """Trusted in both front ends, not trusted in both, and as a page of nbconvert's without a network."""
    for front_end in ("lab", "notebook"):
        opened = open_page(saved, front_end)
        shows_the_record(opened)
        expect(opened.cell(1).locator(".sm-card")).to_have_css("border-left-width", "4px")  # the style is kept
        opened.shut_down()

    notebook = server.read(saved)
    assert "widgets" not in notebook.metadata
    notebook.cells.append(nbformat.v4.new_markdown_cell("Sent by someone else."))
    nbformat.write(notebook, server.root / f"sent-{saved}")
    for front_end in ("lab", "notebook"):
        opened = open_page(f"sent-{saved}", front_end)
        shows_the_record(opened)
        assert not opened.page.evaluate(f"() => {ACTIVE}.content.model.cells.get(1).trusted")
        opened.shut_down()

    with as_a_file(browser, notebook, tmp_path) as shown:
        expect(shown.locator(".sm-card")).to_contain_text("Done and verified")
        expect(shown.locator(".sm-card table").first).to_be_visible()
        expect(shown.get_by_text("model not found")).to_have_count(0)

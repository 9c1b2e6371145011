"""What a front end gets from a real kernel while a cell waits, and what stays in the notebook that is saved."""

from __future__ import annotations

import os
import time

import nbformat
import pytest
from kernelkit import SECONDS, Kernel, kinds
from nbclient import NotebookClient

from sm_magics.watch import look

WIDGET = "application/vnd.jupyter.widget-view+json"
EMPTY = {"text/plain": "", "text/html": ""}


def shows_a_card(message):
    return message["msg_type"] == "display_data"


def is_update(message):
    return message["msg_type"] in {"comm_msg", "update_display_data"}


@pytest.fixture(scope="module")
def environment(state):
    return {**os.environ, "SM_MAGICS_STATE": str(state), "SM_MAGICS_DISPLAY": "live"}


@pytest.fixture(scope="module")
def kernel(environment):
    started = Kernel(environment)
    started.run("%load_ext sm_magics")
    yield started
    started.stop()


@pytest.fixture
def cell(name, served, connection):
    """Return a cell that makes an endpoint out of a model that is there already, so that the kernel trains nothing."""
    config = connection.describe("EndpointConfig", look(connection, served).config_name)
    return f"%%sm_endpoint {name}\nvariants: {{A: {config['ProductionVariants'][0]['ModelName']}}}\n"


@pytest.fixture(params=["widgets", "no widgets"])
def widgets(request, kernel):
    """Whether the kernel has ipywidgets."""
    kernel.run("import sys, ipywidgets")
    if request.param == "widgets":
        yield True
        return
    kernel.run("sys.modules['ipywidgets'] = None")
    yield False
    kernel.run("del sys.modules['ipywidgets']")


def test_a_live_card_comes_after_a_second_changes_in_place_and_goes(kernel, cell, paused, widgets):
    with paused():
        began = time.monotonic()
        kernel.begin(cell)
        shown = kernel.until(shows_a_card)
        assert time.monotonic() - began > 0.9
        kernel.until(is_update)  # the seconds that it counts
    told = kernel.end()
    data = shown["content"]["data"]
    assert (WIDGET in data) is widgets
    assert widgets or "Creating" in data["text/plain"]
    assert kinds(told).count("display_data") == 1
    assert "stream" not in kinds(told)
    last = [message for message in told if message["msg_type"] == "update_display_data"][-1]
    assert last["content"]["data"] == EMPTY
    assert last["content"]["transient"] == shown["content"]["transient"]
    assert ("comm_close" in kinds(told)) is widgets
    assert ("comm_open" in kinds(told)) is widgets
    assert kinds(told)[-1] == "execute_result"
    assert "Done and verified" in told[-1]["content"]["data"]["text/plain"]


def test_an_interrupt_takes_the_card_away_and_ends_in_a_short_error(kernel, cell, paused, name, connection):
    with paused():
        kernel.begin(cell)
        kernel.until(shows_a_card)
        kernel.manager.interrupt_kernel()
        told = kernel.end()
    error = told[-1]["content"]
    assert (told[-1]["msg_type"], error["ename"]) == ("error", "Detached")
    assert error["traceback"] == [f"Detached: {error['evalue']}"]
    assert "run the cell again" in error["evalue"]
    assert "comm_close" in kinds(told)
    assert look(connection, name).status in {"Creating", "InService"}
    assert "Nothing to change" in kernel.run(cell)[-1]["content"]["data"]["text/plain"]


def test_a_log_that_is_followed_is_a_card_until_an_interrupt_and_then_its_record(kernel, served, widgets):
    kernel.begin(f"%sm_logs {served} --follow")
    shown = kernel.until(shows_a_card)
    kernel.manager.interrupt_kernel()
    told = kernel.end()
    assert (WIDGET in shown["content"]["data"]) is widgets
    assert kinds(told)[-1] == "execute_result"
    assert "INFO the model is loaded" in told[-1]["content"]["data"]["text/plain"]
    updates = [message for message in told if message["msg_type"] == "update_display_data"]
    assert updates[-1]["content"]["data"] == EMPTY


@pytest.mark.parametrize("line", ["%sm_panel {served}", "%sm_status --live"])
def test_a_panel_is_its_record_and_a_widget_below_that_is_kept_up_to_date(kernel, served, widgets, line):
    told = kernel.run(line.format(served=served))
    shown = [each["content"]["data"] for each in told if each["msg_type"] in {"display_data", "execute_result"}]
    assert served in shown[0]["text/html"]
    assert WIDGET not in shown[0]
    assert [WIDGET in each for each in shown[1:]] == ([True] if widgets else [])
    assert ("comm_open" in kinds(told)) is widgets
    assert "stream" not in kinds(told)
    if widgets:  # what is still watched would tell later cells
        kernel.run("import ipywidgets\nipywidgets.Widget.close_all()")


def test_what_is_quick_shows_its_record_and_nothing_else(kernel, served):
    assert kinds(kernel.run(f"%sm_status {served}")) == ["execute_result"]


def test_a_quiet_cell_says_nothing_at_all(kernel, cell):
    assert kernel.run(cell.replace("\n", " --quiet\n", 1)) == []


def test_static_shows_nothing_but_the_record(kernel, cell):
    kernel.run("import sm_magics.live.display as d\nfirst, d.FIRST_SHOWN_SECONDS = d.FIRST_SHOWN_SECONDS, 0")
    kernel.run("%sm_config display=static")
    assert kinds(kernel.run(cell)) == ["execute_result"]
    kernel.run("%sm_config display=live\nd.FIRST_SHOWN_SECONDS = first")


def test_text_prints_lines_in_the_cell_that_runs(kernel, cell, name):
    kernel.run("%sm_config display=text")
    told = kernel.run(cell)
    printed = "".join(each["content"]["text"] for each in told if each["msg_type"] == "stream")
    assert printed.startswith("plan: 2 calls\n")
    assert printed.endswith(f"{name}: InService\n")
    kernel.run("%sm_config display=live")


def test_a_saved_notebook_has_no_live_output_that_would_be_an_error(environment, cell):
    at_once = "import sys, sm_magics.live.display as d\nd.FIRST_SHOWN_SECONDS = d.UPDATE_SECONDS = 0"
    sources = [f"%load_ext sm_magics\n{at_once}", cell, "sys.modules['ipywidgets'] = None", cell.replace("A:", "B:")]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in sources])
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3").execute(env=environment)
    for each in (notebook.cells[1], notebook.cells[3]):
        live, record = each.outputs
        assert live.data == EMPTY
        assert record.output_type == "execute_result"
        assert "Done and verified" in record.data["text/plain"]

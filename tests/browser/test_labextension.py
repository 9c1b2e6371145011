"""What the extension of JupyterLab and Notebook 7 gives to panels, and what holds where there is none."""

from __future__ import annotations

import nbformat
import pytest
from frontend import ACTIVE, MS
from playwright.sync_api import expect

from sm_magics.live.widgets import style
from sm_magics.render.html import record
from sm_magics.render.view import View

SHARE = "Share of the traffic of {}, in percent"
OTHER = "import ipywidgets\nipywidgets.FloatSlider(description='not ours', tooltip='nor this')"


def named(place, name):
    return place.get_by_role("slider", name=name, exact=True)


def test_the_handles_of_a_panel_s_sliders_have_names_and_others_are_left_alone(open_cells, front_end, served):
    opened = open_cells(f"%sm_panel {served}", OTHER, front_end=front_end)
    opened.begin(1)
    panel = opened.cell(1).locator(".sm-panel")
    for name, share in (("Linear-Model", "80.0"), ("XGB-Model", "20.0")):
        handle = named(panel, SHARE.format(name))
        expect(handle).to_have_count(1, timeout=MS)
        expect(handle).to_have_attribute("aria-valuenow", share)
    opened.begin(2)
    other = opened.cell(2).get_by_role("slider")
    expect(other).to_have_count(1, timeout=MS)
    assert other.get_attribute("aria-label") is None


def test_sliders_that_come_later_have_names_too(open_cells, deployer, name, models):
    deployer.run(name, f"variants: {{A: {{model: {models[0]}}}}}")
    opened = open_cells(f"%sm_panel {name}")
    opened.begin(1)
    panel = opened.cell(1).locator(".sm-panel")
    expect(named(panel, SHARE.format("A"))).to_have_count(1, timeout=MS)
    deployer.run(name, "variants:\n  A: {{model: {0}}}\n  B: {{model: {0}}}\n".format(models[0]))
    for each in ("A", "B"):
        expect(named(panel, SHARE.format(each))).to_have_count(1, timeout=MS)


def test_a_panel_shows_while_its_cell_goes_on(open_cells, served):
    """The extension asks the kernel for nothing that it would answer only then."""
    opened = open_cells(f"import time\ndisplay(get_ipython().run_line_magic('sm_panel', '{served}'))\ntime.sleep(600)")
    opened.begin(1)
    expect(opened.cell(1).locator(".sm-panel .sm-live")).to_contain_text("InService", timeout=MS)
    expect(opened.cell(1).locator(".jp-InputPrompt")).to_contain_text("[*]")
    opened.interrupt()
    opened.sees(1, "KeyboardInterrupt")


def test_a_kernel_that_is_restarted_before_it_says_whether_it_has_the_panel(open_cells, served):
    opened = open_cells(f"%sm_panel {served}", "import time\ntime.sleep(600)", name="restarted.ipynb")
    opened.begin(1)
    expect(opened.cell(1).locator(".sm-panel .sm-live")).to_contain_text("InService", timeout=MS)
    opened.begin(2)
    opened.save()
    opened.do("application:close")
    opened.do("docmanager:open", path="restarted.ipynb")
    expect(opened.page.get_by_text("As it was when")).to_be_visible(timeout=MS)  # the kernel is busy
    opened.page.wait_for_function(f"() => {ACTIVE}?.sessionContext?.session?.kernel?.connectionStatus === 'connected'")
    opened.restart()
    opened.until_idle()
    expect(opened.page.get_by_text("As it was when")).to_be_visible()
    expect(opened.page.get_by_text("Error")).to_have_count(0)


PLACES = {
    "VS Code": '<div class="cell_container"><div class="output_container">{}</div></div>',
    "Colab": '<div id="output-body"><div id="output-area"><div class="output">{}</div></div></div>',
}


@pytest.mark.parametrize("place", PLACES)
def test_a_record_is_hidden_by_its_panel_and_only_then_where_vs_code_and_colab_keep_outputs(browser, place):
    """Neither is run here: these are the elements that they put around what the kernel sends."""
    shown = PLACES[place].format(record(View("Panel")))
    panel = f'<div class="sm-panel">{style().value}</div>'
    with browser.new_context(offline=True) as context:
        page = context.new_page()
        page.set_content(shown)
        expect(page.locator(".sm-record")).to_be_visible()
        page.set_content(f"{shown}{PLACES[place].format(panel)}")
        if place == "VS Code":  # whose cells share a page
            expect(page.locator(".sm-record")).to_be_visible()
        page.set_content(PLACES[place].format(record(View("Panel")) + panel))
        expect(page.locator(".sm-record")).to_be_hidden()


def test_without_the_extension_what_ipywidgets_says_of_a_panel_that_is_gone_is_hidden(browser):
    said = '<div class="jupyter-widgets">Error displaying widget: model not found</div>'
    with browser.new_context(offline=True) as context:
        page = context.new_page()
        for other, hidden in (("", False), (record(View("Panel")), True)):
            outputs = "".join(f'<div class="jp-OutputArea-child">{each}</div>' for each in (other, said))
            page.set_content(f'<div class="jp-OutputArea">{outputs}</div>')
            expect(page.get_by_text("model not found")).to_be_visible(visible=not hidden)


def test_a_panel_whose_kernel_is_chosen_later_is_shown_then(open_cells, open_page, server, served):
    opened = open_cells(f"%sm_panel {served}", name="chosen.ipynb")
    opened.begin(1)
    expect(opened.cell(1).locator(".sm-panel .sm-live")).to_contain_text("InService", timeout=MS)
    opened.until_idle()
    opened.save()
    kernel = opened.page.evaluate(f"() => {ACTIVE}.sessionContext.session.kernel.id")
    opened.context.close()
    nbformat.write(server.read("chosen.ipynb"), server.root / "later.ipynb")
    later = open_page("later.ipynb")
    expect(later.page.get_by_text("As it was when")).to_be_visible(timeout=MS)
    expect(later.cell(1).locator(".sm-panel")).to_have_count(0)
    later.page.evaluate(f"id => {ACTIVE}.sessionContext.changeKernel({{id}}).then(() => null)", kernel)
    expect(later.cell(1).locator(".sm-panel .sm-live")).to_contain_text("InService", timeout=MS)
    expect(later.page.get_by_text("As it was when")).not_to_be_visible()

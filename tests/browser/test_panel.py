"""`%sm_panel` in JupyterLab and Notebook 7: it follows an endpoint, and its controls do what they say."""

from __future__ import annotations

import re
from collections import Counter

import nbformat
import pytest
from frontend import MS, as_a_file, pictures
from playwright.sync_api import expect

from sm_magics.deploy import observe
from sm_magics.live.widgets import MANY
from sm_magics.plan import plan
from sm_magics.target import Share
from sm_magics.watch import look

PANELS = 20
ROW = b",".join([b"0.0"] * 13)
ASKED = 50
LOOKED_FOR_MS = 2500
TWO = "variants:\n  A: {{model: {}, weight: 4}}\n  B: {{model: {}, weight: 1}}\n"
BLOCKS = "import time\ntime.sleep(600)"
ENDS = {
    "restarted": lambda opened: opened.restart(),
    "shut down": lambda opened: opened.end_kernel(),
    "crashed": lambda opened: opened.begin(2),
}
GUARDED = """%%sm_endpoint {} --no-wait
variants:
  A: {{model: {}}}
deploy: {{canary: 50%, wait: 1m}}
rollback_on: [{{metric: Invocation5XXErrors, above: 1%, for: 20s}}]
"""
LONG = "variants:\n  Linear-Model: {{model: {}}}\n  Gradient-Boosting-of-November: {{model: {}}}\n"
NARROW = 500  # pixels
WIDTHS = (700, 800, 900, 1000, 1100, 1200, 1300, 1500)
# What of a panel is not within it, by its class; and what the browser calls invalid.
BEYOND = """panel => {
  const {left, right} = panel.getBoundingClientRect();
  const parts = [...panel.querySelectorAll('button, input, label, .widget-readout, .sm-card, .noUi-target')]
    .filter(part => !part.closest('.sm-typed, .sm-aloud'));
  const out = parts.map(part => [part, part.getBoundingClientRect()]).filter(([part, box]) =>
    box.width > 1 && (box.left < left - 1 || box.right > right + 1 || part.scrollWidth > part.clientWidth + 1));
  return [...out.map(([part]) => part.className + ' ' + part.textContent),
          ...[...panel.querySelectorAll(':invalid')].map(part => 'invalid ' + part.value)];
}"""
CONTRAST = """button => {
  const numbers = color => color.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], under) => [r, g, b].map((each, at) => each * a + under[at] * (1 - a));
  let grounds = [], opacity = 1;
  for (let at = button; at; at = at.parentElement) {
    grounds.unshift(numbers(getComputedStyle(at).backgroundColor));
    opacity *= Number(getComputedStyle(at).opacity);
  }
  const ground = grounds.reduce((under, each) => over(each, under), [255, 255, 255]);
  const [r, g, b, a = 1] = numbers(getComputedStyle(button).color);
  const light = color => [.2126, .7152, .0722].reduce((sum, part, at) => {
    const each = color[at] / 255;
    return sum + part * (each <= .04045 ? each / 12.92 : ((each + .055) / 1.055) ** 2.4);
  }, 0);
  const both = [light(over([r, g, b, a * opacity], ground)), light(ground)];
  return (Math.max(...both) + .05) / (Math.min(...both) + .05);
}"""
# Whether the sliders of all variants begin and end at the same places.
ALIGNED = """panel => new Set([...panel.querySelectorAll('.noUi-target')].map(part =>
  [part.getBoundingClientRect().left, part.getBoundingClientRect().right].join())).size === 1"""
BANNER = "panel => getComputedStyle(panel, '::before').content"


@pytest.fixture
def weighed(deployer, name, models):
    """Return the name of an endpoint of the test's own, with two variants, 80 % and 20 %."""
    deployer.run(name, TWO.format(*models))
    return name


def panel_of(opened, number=1):
    """Run a cell that shows a panel, and return the panel once it shows its endpoint."""
    opened.begin(number)
    panel = opened.cell(number).locator(".sm-panel")
    expect(panel.locator(".sm-live")).to_contain_text("InService", timeout=MS)
    return panel


def button(panel, name):
    return panel.get_by_role("button", name=name, exact=True)


def press(panel, name):
    button(panel, name).click()


def slide(opened, panel, *keys):
    """Move the first slider by these keys, and return the share that it then says, in percent."""
    panel.locator(".noUi-handle").first.focus()
    for key in keys:
        opened.page.keyboard.press(key)
    expect(panel.get_by_role("button", name="Apply")).to_be_enabled(timeout=MS)
    return float(panel.locator(".widget-readout").first.inner_text())


def weights(connection, name):
    """Return the weights of an endpoint that has settled."""
    snapshot = look(connection, name)
    assert snapshot.settled
    return {each.name: each.weight for each in snapshot.variants}


def answered(connection, name):
    """Return how many invocations each variant answers."""
    client = connection.client("sagemaker-runtime")
    answers = [client.invoke_endpoint(EndpointName=name, ContentType="text/csv", Body=ROW) for _ in range(ASKED)]
    return Counter(each["InvokedProductionVariant"] for each in answers)


def test_a_panel_follows_creating_to_in_service(open_cells, front_end, cell, paused, name):
    opened = open_cells(cell.replace("\n", " --no-wait\n", 1), f"%sm_panel {name}", front_end=front_end)
    with paused():
        opened.begin(1)
        opened.begin(2)
        panel = opened.cell(2).locator(".sm-panel")
        expect(panel.locator(".sm-live")).to_contain_text("Creating", timeout=MS)
        expect(panel.get_by_role("button", name="Apply")).to_be_disabled()
    expect(panel.locator(".sm-live")).to_contain_text("InService", timeout=MS)
    expect(panel.locator(".sm-log")).to_contain_text("Creating")
    expect(panel.get_by_role("button", name="Delete")).to_be_enabled()


def test_a_slider_that_is_moved_and_applied_moves_the_traffic(open_cells, front_end, connection, weighed):
    """While the kernel is idle, and while a cell holds it."""
    opened = open_cells(f"%sm_panel {weighed}", BLOCKS, front_end=front_end)
    panel = panel_of(opened)
    both = answered(connection, weighed)
    assert both["A"] > both["B"] > 0
    log = panel.locator(".sm-log")

    share = slide(opened, panel, *["PageDown"] * 7)
    assert share < 50
    press(panel, "Apply")
    expect(log).to_contain_text(re.compile(f"Apply: done by Update.*Apply: A {share:.3g} %", re.DOTALL), timeout=MS)
    assert weights(connection, weighed) == {"A": share, "B": 100 - share}
    both = answered(connection, weighed)
    assert both["B"] > both["A"] > 0
    opened.page.mouse.move(0, 0)
    pictures(opened, f"panel-{front_end}")

    opened.begin(2)
    expect(opened.cell(2).locator(".jp-InputPrompt")).to_contain_text("[*]")
    assert slide(opened, panel, "Home") == 0
    press(panel, "Apply")
    expect(log).to_contain_text(re.compile("Apply: done.*Apply: done", re.DOTALL), timeout=MS)
    expect(panel.locator(".sm-live")).to_contain_text("100 %", timeout=MS)
    assert weights(connection, weighed) == {"A": 0.0, "B": 100.0}
    assert answered(connection, weighed) == {"B": ASKED}
    opened.interrupt()
    opened.sees(2, "KeyboardInterrupt")  # the cell held the kernel all the time


def test_promote_roll_back_and_delete_do_what_they_say(open_cells, front_end, connection, weighed):
    opened = open_cells(f"%sm_panel {weighed}", front_end=front_end)
    panel = panel_of(opened)
    log, live = panel.locator(".sm-log"), panel.locator(".sm-live")
    expect(button(panel, "Roll back")).to_be_disabled()
    press(panel, "Promote B")
    expect(log).to_contain_text("Promote B: done by CreateEndpointConfig, UpdateEndpoint", timeout=MS)
    assert weights(connection, weighed) == {"B": 1.0}
    expect(button(panel, "Promote B")).to_be_disabled()
    expect(button(panel, "Promote A")).to_have_count(0)

    expect(button(panel, "Roll back")).to_be_enabled(timeout=MS)
    press(panel, "Roll back")
    expect(log).to_contain_text("Roll back: done by UpdateEndpoint", timeout=MS)
    assert weights(connection, weighed) == {"A": 4.0, "B": 1.0}
    expect(live).to_contain_text("80 %")
    expect(button(panel, "Roll back")).to_be_disabled()
    expect(button(panel, "Promote A")).to_be_enabled()

    press(panel, "Delete")
    again = button(panel, f"Really delete {weighed}?")
    expect(again).to_be_visible(timeout=MS)
    assert look(connection, weighed).status == "InService"
    again.click()
    expect(log).to_contain_text("Delete: done by DeleteEndpoint", timeout=MS)
    assert look(connection, weighed) is None
    expect(live).to_contain_text("gone")
    expect(panel.get_by_role("button", disabled=False)).to_have_text(["Stop watching"])


def test_the_cell_that_is_copied_says_what_the_sliders_say_and_apply_may_follow_at_once(
    open_cells, front_end, connection, deployer, weighed
):
    def planned():
        target = deployer.target(weighed, panel.locator("textarea").input_value().partition("\n")[2])
        return plan(target, observe(connection, target))

    opened = open_cells(f"%sm_panel {weighed}", front_end=front_end)
    panel = panel_of(opened)
    press(panel, "Copy as cell")
    expect(panel.locator("textarea")).to_have_value(re.compile(f"^%%sm_endpoint {weighed}\nvariants:"), timeout=MS)
    assert planned().actions == ()  # nobody has moved a slider
    share = slide(opened, panel, "PageDown")
    panel.evaluate(
        """(panel, names) => names.map(name => [...panel.querySelectorAll('button')]
             .find(each => each.textContent === name).click())""",
        ["Copy as cell", "Apply"],
    )
    expect(panel.locator(".sm-log")).to_contain_text("Apply: done", timeout=MS)
    assert weights(connection, weighed) == {"A": share, "B": 100 - share}
    expect(panel.locator("textarea")).to_have_value(re.compile(f"weight: {share:g}"), timeout=MS)
    expect(panel.locator("textarea")).to_be_visible()
    assert planned().actions == ()
    slide(opened, panel, "Home")
    press(panel, "Copy as cell")
    expect(panel.locator("textarea")).to_have_value(re.compile("weight: 100"), timeout=MS)
    assert [each.operation for each in planned().actions] == ["UpdateEndpointWeightsAndCapacities"]
    assert planned().expected == {"A": Share(0.0, 1), "B": Share(100.0, 1)}
    pictures(opened, f"panel-cell-{front_end}", NARROW)


def test_the_table_of_all_endpoints_follows_them(open_cells, front_end, deployer, weighed, models):
    opened = open_cells("%sm_status --live", front_end=front_end)
    opened.begin(1)
    panel = opened.cell(1).locator(".sm-panel")
    line = panel.locator("tr", has=opened.page.get_by_text(weighed, exact=True))
    expect(line).to_contain_text("80 % / 20 %", timeout=MS)
    expect(line).to_contain_text("InService")
    deployer.run(weighed, TWO.format(*models).replace("weight: 4", "weight: 1"))
    expect(line).to_contain_text("50 % / 50 %", timeout=MS)
    deployer.remove(weighed)
    expect(line).to_have_count(0, timeout=MS)
    press(panel, "Stop watching")
    expect(button(panel, "Watch again")).to_be_visible(timeout=MS)
    expect(panel.locator(".sm-live")).to_contain_text("No longer watched")


def test_a_narrow_window_cuts_nothing_and_what_is_disabled_can_be_read(open_cells, front_end, deployer, name, models):
    deployer.run(name, LONG.format(*models).replace("}", ", weight: 2}", 1))
    opened = open_cells(f"%sm_panel {name}", front_end=front_end)
    panel = panel_of(opened)
    expect(panel.locator(".sm-typed input").first).to_have_value("66.7")
    pictures(opened, f"panel-disabled-{front_end}", NARROW)
    assert panel.evaluate(BEYOND) == []
    assert panel.evaluate(ALIGNED)
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        opened.in_theme(theme)
        for each in ("Apply", "Roll back"):
            assert button(panel, each).is_disabled()
            assert button(panel, each).evaluate(CONTRAST) >= 4.5  # as text that can be used must have it
    opened.page.set_viewport_size({"width": NARROW, "height": 900})
    assert panel.evaluate(BEYOND) == []
    assert panel.evaluate(ALIGNED)
    assert panel.locator(".noUi-target").first.bounding_box()["width"] > NARROW / 3
    expect(button(panel, "Promote Gradient-Boosting-of-November")).to_be_visible()


def test_what_was_measured_is_cut_off_at_no_width_and_is_a_table_where_there_is_room(
    open_cells, deployer, name, models
):
    deployer.run(name, LONG.format(*models))
    opened = open_cells(f"%sm_panel {name}")
    panel = panel_of(opened)
    expect(panel.locator(".sm-live td[data-of=latency]").first).to_be_attached(timeout=MS)
    opened.do("application:toggle-left-area")  # the list of files takes its part
    for width in WIDTHS:
        opened.page.set_viewport_size({"width": width, "height": 900})
        assert panel.evaluate(BEYOND) == [], width
        heads = panel.locator(".sm-live thead")
        assert heads.is_visible() == (panel.bounding_box()["width"] > MANY), width


def test_stop_watching_is_heard_while_a_cell_runs(open_cells, front_end, served):
    opened = open_cells(f"%sm_panel {served}", BLOCKS, front_end=front_end)
    panel = panel_of(opened)
    opened.begin(2)
    opened.is_running(2)
    press(panel, "Stop watching")
    expect(button(panel, "Watch again")).to_be_visible(timeout=MS)
    expect(panel.locator(".sm-live")).to_contain_text("No longer watched")
    opened.is_running(2)  # so that the press did not wait for its end
    opened.interrupt()
    opened.sees(2, "KeyboardInterrupt")


def test_twenty_panels_on_one_kernel_all_follow_and_are_all_heard(open_cells, connection, weighed):
    show = f"display(get_ipython().run_line_magic('sm_panel', '{weighed}'))"
    opened = open_cells(f"for _ in range({PANELS}):\n    {show}\n{BLOCKS}")
    opened.begin(1)
    panels = opened.cell(1).locator(".sm-panel")
    expect(panels).to_have_count(PANELS, timeout=MS)
    even = [{"VariantName": each, "DesiredWeight": 1.0} for each in ("A", "B")]
    connection.call("UpdateEndpointWeightsAndCapacities", EndpointName=weighed, DesiredWeightsAndCapacities=even)
    expect(panels.locator(".sm-live", has_text="50 %")).to_have_count(PANELS, timeout=MS)
    for number in (0, PANELS - 1):
        panel = panels.nth(number)
        press(panel, "Stop watching")
        expect(panel.get_by_role("button", name="Watch again")).to_be_visible(timeout=MS)
    opened.is_running(1)
    opened.interrupt()
    opened.sees(1, "KeyboardInterrupt")


def test_a_panel_shows_the_cause_of_a_rollback(open_cells, deployer, name, models):
    deployer.run(name, f"variants: {{A: {{model: {models[0]}}}}}")
    opened = open_cells(
        f"%sm_panel {name}",
        f"rows = [[0.0] * 13] * 10\n%sm_fault {name} 5xx=100% --next\n%sm_load {name} --data $rows --rps 40 --for 2m",
        GUARDED.format(name, models[1]),
        f"%sm_load {name} stop\n%sm_fault {name} clear",
    )
    panel = panel_of(opened)
    opened.begin(2)
    opened.begin(3)
    live = panel.locator(".sm-live")
    expect(live).to_contain_text("Updating", timeout=MS)
    expect(live).to_contain_text("50 %", timeout=MS)
    pictures(opened, "panel-rollout")
    expect(live).to_contain_text("Reason:", timeout=3 * MS)  # an alarm is judged by whole periods
    expect(live).to_contain_text("Invocation5XXErrors")
    expect(panel.locator(".sm-log")).to_contain_text("so it was rolled back")
    pictures(opened, "panel-rollback")
    opened.begin(4)
    opened.has_run(4)


@pytest.mark.parametrize(
    ("how", "front_end"),
    [*((how, "lab") for how in ENDS), ("restarted", "notebook")],  # the same extension, and a new kernel for each
    indirect=["front_end"],
)
def test_a_panel_says_that_it_is_disconnected_however_its_kernel_ends(open_cells, front_end, served, how):
    opened = open_cells(f"%sm_panel {served}", "import os\nos._exit(1)", front_end=front_end)
    panel = panel_of(opened)
    assert panel.evaluate(BANNER) == "none"
    ENDS[how](opened)
    expect(opened.page.locator(".sm-ended .sm-panel")).to_have_count(1, timeout=MS)
    assert "the kernel that showed this has ended" in panel.evaluate(BANNER)
    assert panel.evaluate("panel => [...panel.children].every(each => getComputedStyle(each).pointerEvents === 'none')")
    pictures(opened, f"panel-{how.replace(' ', '-')}-{front_end}")


def test_a_restart_is_said_without_our_extension_too(open_cells, served):
    opened = open_cells(f"%sm_panel {served}")
    panel = panel_of(opened)
    opened.restart()
    expect(opened.page.locator(".sm-panel.jupyter-widgets-disconnected")).to_have_count(1, timeout=MS)
    opened.page.evaluate("document.querySelectorAll('.sm-ended').forEach(each => each.classList.remove('sm-ended'))")
    assert "the kernel that showed this has ended" in panel.evaluate(BANNER)


def shows_the_record(again, name):
    """Check that a panel whose kernel is gone is what was recorded, and close its page."""
    expect(again.page.get_by_text("As it was when")).to_be_visible(timeout=MS)
    expect(again.cell(1).locator(".sm-card")).to_contain_text("InService")
    expect(again.cell(1).locator(".sm-panel")).to_have_count(0)
    again.until_idle()
    pictures(again, name)
    again.page.wait_for_timeout(LOOKED_FOR_MS)  # what ipywidgets does not find it complains of only then
    expect(again.page.get_by_text("model not found")).to_have_count(0)
    again.shut_down()


def test_a_saved_panel_that_is_opened_again_is_live_with_its_kernel_and_its_record_without(
    open_cells, open_page, browser, server, served, tmp_path
):
    """Where it is trusted, where it is not, and as a page of nbconvert's."""
    opened = open_cells(f"%sm_panel {served}", name="panel.ipynb")
    panel_of(opened)
    expect(opened.page.get_by_text("As it was when")).not_to_be_visible()  # the panel says more
    opened.until_idle()
    opened.save()
    opened.context.close()
    opened = open_page("panel.ipynb")
    expect(opened.cell(1).locator(".sm-panel .sm-live")).to_contain_text("InService", timeout=MS)
    expect(opened.page.get_by_text("As it was when")).not_to_be_visible()
    opened.shut_down()

    notebook = server.read("panel.ipynb")
    notebook.cells.append(nbformat.v4.new_markdown_cell("Sent by someone else."))
    nbformat.write(notebook, server.root / "sent-panel.ipynb")
    for name, front_end in (("panel", "lab"), ("panel", "notebook"), ("sent-panel", "lab"), ("sent-panel", "notebook")):
        again = open_page(f"{name}.ipynb", front_end)
        shows_the_record(again, f"saved-{name}-{front_end}")

    with as_a_file(browser, notebook, tmp_path) as page:
        expect(page.get_by_text("As it was when")).to_be_visible()
        expect(page.locator(".sm-record table").first).to_be_visible()
        expect(page.get_by_text("model not found")).to_have_count(0)

"""A panel's controls as a screen reader and a keyboard have them: by their names, and without a mouse."""

from __future__ import annotations

from frontend import MS
from playwright.sync_api import expect

SHARE, INSTANCES = "{} traffic %", "{} instances"


def test_a_share_is_found_by_its_name_typed_and_seen_while_it_has_the_focus(open_cells, front_end, served):
    opened = open_cells(f"%sm_panel {served}", front_end=front_end)
    opened.begin(1)
    panel = opened.cell(1).locator(".sm-panel").first
    linear, xgb = (
        panel.get_by_role("spinbutton", name=SHARE.format(each), exact=True) for each in ("Linear-Model", "XGB-Model")
    )
    expect(linear).to_have_value("80", timeout=MS)
    for each in ("Linear-Model", "XGB-Model"):
        expect(panel.get_by_role("spinbutton", name=INSTANCES.format(each), exact=True)).to_have_value("1")
    handles = panel.get_by_role("slider")
    expect(handles).to_have_count(2)
    place = panel.locator(".sm-typed").first
    expect(place).to_have_css("clip-path", "inset(50%)")  # there, and not seen
    handles.first.focus()
    opened.page.keyboard.press("Tab")  # the number beside the slider
    opened.page.keyboard.press("Tab")
    expect(linear).to_be_focused()
    expect(place).to_have_css("clip-path", "none")
    assert linear.bounding_box()["width"] > 40
    opened.page.keyboard.press("Control+A")
    opened.page.keyboard.type("30")
    opened.page.keyboard.press("Enter")
    expect(xgb).to_have_value("70")
    expect(handles.first).to_have_attribute("aria-valuenow", "30.0")
    expect(panel.get_by_role("button", name="Apply", exact=True)).to_be_enabled()
    expect(linear).to_be_focused()
    opened.page.keyboard.press("Tab")
    expect(place).to_have_css("clip-path", "inset(50%)")

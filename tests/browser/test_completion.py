"""Tab in our cells, as JupyterLab and Notebook 7 show it."""

from __future__ import annotations

from frontend import MS
from playwright.sync_api import expect

TYPED = {  # the cell, what its menu has, what it is once the first of it is taken
    "%%sm_endpoint b\nvariants:\n  A: {model: x, ins": (
        ["instance", "instance_type", "instances"],
        "model: x, instance",
    ),
    "%%sm_endpoint b\nvari": (["variants"], "variants"),
    "%%sm_compare b\ntarg": (["target"], "target"),
    "%sm_status --w": (["--wait"], "%sm_status --wait"),
}


def test_tab_offers_what_fits_and_enter_takes_it(open_cells, front_end):
    opened = open_cells(*TYPED, front_end=front_end)
    opened.has_run(0)
    for number, (offered, taken) in enumerate(TYPED.values(), start=1):
        last = opened.cell(number).locator(".cm-line").last
        last.click()
        opened.page.keyboard.press("Control+End")
        opened.page.keyboard.press("Tab")
        menu = opened.page.locator(".jp-Completer:not(.lm-mod-hidden)")
        for each in offered:
            expect(menu.locator("code", has_text=each).first).to_be_visible(timeout=MS)
        opened.page.keyboard.press("Enter")
        expect(last).to_contain_text(taken)

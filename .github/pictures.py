"""Makes the README's pictures anew: `python .github/pictures.py [NAME ...]`. Needs chromium.

A card is taken with its cell from a tutorial, as it was kept there, on a page with the colours of JupyterLab. The panel
needs a kernel and Playwright: it is taken in JupyterLab, while it is used.
"""

from __future__ import annotations

import html
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parent / "notebooks"
TUTORIAL = "01_updating_an_endpoint.ipynb"
WIDTH = 940
SCALE = 1.5
THEMES = {
    "light": "--page:#fff;--cell:#f5f5f5;--edge:#e0e0e0;--jp-ui-font-color1:#212121;--jp-border-color2:#e0e0e0;"
    "--jp-success-color1:#388e3c;--jp-brand-color1:#1976d2;--jp-warn-color1:#c77700;--jp-layout-color2:#eee",
    "dark": "--page:#111;--cell:#212121;--edge:#424242;--jp-ui-font-color1:#e0e0e0;--jp-border-color2:#424242;"
    "--jp-success-color1:#66bb6a;--jp-brand-color1:#64b5f6;--jp-warn-color1:#ffa726;--jp-layout-color2:#212121",
}
CARDS = {
    "endpoint": (TUTORIAL, "%%sm_endpoint boston\n", 350),
    "invoke": (TUTORIAL, "%sm_invoke boston --data", 490),
    "compare": ("04_which_model_is_better.ipynb", "%%sm_compare homes\n", 878),
}
USED = """%%sm_endpoint boston
variants:
  Linear-Model: {model: linear, instance: ml.m5.large}
  XGB-Model:    {model: xgb,    instance: ml.m5.large}"""
LOAD = "%sm_load boston --data $X_test --rps 60 --for 5m"
COUNTED_MS = 100_000  # until the latencies of ten periods are there, half a minute of them after the change of weights


def code(notebook: str) -> list[Any]:
    """Return the code cells of a tutorial."""
    return [each for each in nbformat.read(NOTEBOOKS / notebook, as_version=4).cells if each.cell_type == "code"]


def page(theme: str, notebook: str, beginning: str) -> str:
    """Return the page that shows the first cell that begins so, with its card."""
    cell = next(each for each in code(notebook) if each.source.startswith(beginning))
    card = next(output.data["text/html"] for output in cell.outputs if "text/html" in output.get("data", {}))
    style = (
        f"body{{{THEMES[theme]};background:var(--page);margin:14px;color:var(--jp-ui-font-color1)}}"
        "pre{background:var(--cell);border:1px solid var(--edge);padding:8px 12px;font:13px/1.5 monospace}"
    )
    return f"<!doctype html><meta charset=utf-8><style>{style}</style><pre>{html.escape(cell.source)}</pre>{card}"


def take_card(name: str) -> None:
    """Make the pictures of a card that a tutorial has."""
    notebook, beginning, height = CARDS[name]
    for theme in THEMES:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "page.html")
            source.write_text(page(theme, notebook, beginning), encoding="utf-8")
            subprocess.run(
                [
                    "chromium",
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--hide-scrollbars",
                    f"--force-device-scale-factor={SCALE}",
                    f"--window-size={WIDTH},{height}",
                    f"--user-data-dir={folder}/profile",
                    f"--screenshot={HERE / f'{name}-{theme}.png'}",
                    source.as_uri(),
                ],
                check=True,
                capture_output=True,
            )


def use(opened: Any, panel: int) -> None:
    """Run all cells, give one variant four fifths of the traffic with its slider, and wait for what is counted then."""
    opened.page.set_viewport_size({"width": WIDTH + 180, "height": 1000})
    opened.run_all()
    opened.sees(panel, "Events", ms=60_000)
    opened.page.wait_for_timeout(COUNTED_MS / 2)
    share = opened.cell(panel).locator(".widget-readout").first
    share.fill("80")
    share.press("Enter")
    opened.cell(panel).get_by_role("button", name="Apply").click()
    opened.sees(panel, "Apply: done")
    opened.page.wait_for_timeout(COUNTED_MS / 2)


def take_panel() -> None:
    """Make the pictures of a panel that was used under a load."""
    sys.path.insert(0, str(HERE.parent / "tests" / "browser"))
    from frontend import FLAGS, Opened, Server, browser_path  # noqa: PLC0415 - found only now
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - cards need neither

    from sm_magics.local.start import find  # noqa: PLC0415

    made = [each.source for each in code(TUTORIAL)[:5]]  # the data and two models
    cells = (*made, USED, LOAD, "%sm_panel boston")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder, state = Path(name), Path(name, "state")
        server = Server(folder, state)
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        try:
            server.write("panel.ipynb", *cells)
            opened = Opened(browser, server, "panel.ipynb", "lab", scale=SCALE)
            use(opened, len(cells) - 1)
            for theme in THEMES:
                opened.in_theme(f"JupyterLab {theme.title()}")
                opened.page.mouse.move(0, 0)
                opened.cell(len(cells) - 1).locator(".sm-panel").screenshot(path=HERE / f"panel-{theme}.png")
            opened.shut_down()
        finally:
            browser.close()
            server.stop()
            if (engine := find(state)) is not None:
                engine.stop()


def main() -> None:
    """Make the pictures that are named, or all, in every theme."""
    for name in sys.argv[1:] or (*CARDS, "panel"):
        take_panel() if name == "panel" else take_card(name)


if __name__ == "__main__":
    main()

"""Makes the README's pictures anew from the first tutorial: `python .github/pictures.py` (needs chromium).

Each picture is a cell and its card, as the notebook has them, on a page with the colours of JupyterLab.
"""

from __future__ import annotations

import html
import subprocess
import tempfile
from pathlib import Path

import nbformat

HERE = Path(__file__).parent
NOTEBOOK = HERE.parent / "notebooks" / "01_updating_an_endpoint.ipynb"
WIDTH = 940
THEMES = {
    "light": "--page:#fff;--cell:#f5f5f5;--edge:#e0e0e0;--jp-ui-font-color1:#212121;--jp-border-color2:#e0e0e0;"
    "--jp-success-color1:#388e3c;--jp-brand-color1:#1976d2;--jp-warn-color1:#c77700;--jp-layout-color2:#eee",
    "dark": "--page:#111;--cell:#212121;--edge:#424242;--jp-ui-font-color1:#e0e0e0;--jp-border-color2:#424242;"
    "--jp-success-color1:#66bb6a;--jp-brand-color1:#64b5f6;--jp-warn-color1:#ffa726;--jp-layout-color2:#212121",
}
PICTURES = {"endpoint": (("%%sm_endpoint boston\n",), 350), "invoke": (("%sm_invoke boston --data",), 490)}


def page(theme: str, beginnings: tuple[str, ...]) -> str:
    """Return the page that shows the first cells that begin so, with their cards."""
    parts = []
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    for beginning in beginnings:
        cell = next(each for each in cells if each.source.startswith(beginning))
        card = next(output.data["text/html"] for output in cell.outputs if "text/html" in output.get("data", {}))
        parts.append(f"<pre>{html.escape(cell.source)}</pre>{card}")
    style = (
        f"body{{{THEMES[theme]};background:var(--page);margin:14px;color:var(--jp-ui-font-color1)}}"
        "pre{background:var(--cell);border:1px solid var(--edge);padding:8px 12px;font:13px/1.5 monospace}"
    )
    return f"<!doctype html><meta charset=utf-8><style>{style}</style>{''.join(parts)}"


def main() -> None:
    """Make every picture in every theme."""
    for name, (beginnings, height) in PICTURES.items():
        for theme in THEMES:
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder, "page.html")
                source.write_text(page(theme, beginnings), encoding="utf-8")
                subprocess.run(
                    [
                        "chromium",
                        "--headless",
                        "--no-sandbox",
                        "--disable-gpu",
                        "--hide-scrollbars",
                        "--force-device-scale-factor=1.5",
                        f"--window-size={WIDTH},{height}",
                        f"--user-data-dir={folder}/profile",
                        f"--screenshot={HERE / f'{name}-{theme}.png'}",
                        source.as_uri(),
                    ],
                    check=True,
                    capture_output=True,
                )


if __name__ == "__main__":
    main()

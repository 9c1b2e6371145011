"""What panels are made of: ipywidgets that look as cards do, and hear their buttons while a cell runs."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from sm_magics.render import html as cards

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LIVE", "MANY", "Written", "alert", "button", "hear_at_once", "live_bundle", "row", "style", "walk"]

FEW, MANY = 760, 980  # pixels that a table needs to stand as one; of many columns, with wide letters
LIVE = "application/vnd.sm-magics.live+json"  # marks an output for the extension of JupyterLab: show it while it lives
# When the kernel is restarted, ipywidgets puts the class `jupyter-widgets-disconnected` on every widget. Our extension
# of JupyterLab puts `sm-ended` on what holds a panel however its kernel ends.
_STYLE = """<style>
.sm-panel {overflow: visible}
.sm-panel .sm-live, .sm-panel .sm-log {container-type: inline-size; width: auto}
.sm-panel .sm-live:has(th:nth-child(9)) {container-name: sm-many}
.sm-panel .sm-card table.sm-wide td:first-child {white-space: normal; overflow-wrap: anywhere; min-width: 14ch}
.sm-panel .sm-row {display: flex; flex-flow: row wrap; align-items: center; gap: 4px 8px; overflow: visible}
.sm-panel .widget-html, .sm-panel .widget-html-content {
  height: auto; line-height: normal; overflow: visible; min-width: 0; max-width: 100%;
}
.sm-panel .sm-controls {container-type: inline-size; width: auto; overflow: visible}
.sm-panel .sm-variants {
  display: grid; grid-template-columns: fit-content(24ch) minmax(200px, 480px) max-content fit-content(30ch);
  gap: 4px 16px; overflow: visible; margin-bottom: 6px;
}
.sm-panel .sm-variants > .sm-row {display: grid; grid-template-columns: subgrid; grid-column: 1 / -1; column-gap: 16px}
.sm-panel .sm-variants .widget-slider {grid-column: 2; width: auto}
.sm-panel .sm-variants .sm-typed {grid-area: 2 / 2}
.sm-panel .sm-variants .sm-count {grid-column: 3}
.sm-panel .sm-variants .sm-promote {grid-column: 4}
.sm-panel .sm-variants .widget-label {width: auto}
.sm-panel .sm-aloud, .sm-panel .sm-typed:not(:focus-within) {
  position: absolute; width: 1px !important; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
.sm-panel .sm-row {position: relative}
.sm-panel .sm-variant {font-weight: 600; white-space: normal; line-height: 1.3; height: auto; overflow-wrap: anywhere}
.sm-panel button:focus-visible, .sm-panel input:focus-visible, .sm-panel .noUi-handle:focus-visible,
.sm-panel textarea:focus-visible {outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 1px}
.sm-panel .jupyter-button {
  max-width: 100%; height: auto; min-height: 28px; padding: 4px 10px;
  line-height: 1.3; white-space: normal; overflow-wrap: anywhere;
}
.sm-panel .jupyter-button:disabled {
  opacity: 1; color: var(--jp-ui-font-color2, GrayText); background: none; box-shadow: none; cursor: not-allowed;
  border: 1px dashed var(--jp-border-color1, GrayText);
}
.sm-panel .sm-alert {
  color: var(--jp-error-color1, #cf3030); white-space: pre-wrap;
  font: 13px/1.5 var(--jp-ui-font-family, system-ui, sans-serif);
  border-left: 4px solid currentColor; padding: 2px 10px; margin: 4px 0;
}
.sm-panel textarea {font: 12px/1.5 var(--jp-code-font-family, ui-monospace, monospace)}
.sm-panel:is(.jupyter-widgets-disconnected, .sm-ended *)::before {
  content: "Disconnected: the kernel that showed this has ended. This is what was seen last; run the cell again.";
  display: block; padding: 4px 10px; font: 600 13px/1.5 var(--jp-ui-font-family, system-ui, sans-serif);
  color: var(--jp-warn-color0, #b26a00); border: 1px solid currentColor; border-radius: 4px;
}
.sm-panel:is(.jupyter-widgets-disconnected, .sm-ended *) > * {opacity: .5; pointer-events: none}
.sm-panel .jupyter-widgets-disconnected::before {content: none}
.jp-OutputArea:has(.sm-panel) > .jp-OutputArea-child:has(.sm-record) {display: none}
:is(.cell_container, #output-area):has(.sm-panel) .sm-record {display: none}
</style>"""  # where VS Code and Colab keep the outputs of one cell

# Of each variant a block: its name, the slider, and what else there is, as it fits.
_NARROW = """
.sm-panel .sm-variants {display: block}
.sm-panel .sm-variants > .sm-row {
  display: flex; padding: 4px 0 8px; border-bottom: 1px solid var(--jp-border-color2, #8884);
}
.sm-panel .sm-variants .sm-variant, .sm-panel .sm-variants .widget-slider {
  flex: 1 1 100%; min-width: 0; max-width: 100%;
}
.sm-panel .sm-variants .sm-promote {flex: 0 1 auto}
"""


class Written:
    """An HTML widget that is sent what is new only."""

    def __init__(self, *classes: str) -> None:
        import ipywidgets

        self.widget = ipywidgets.HTML()
        for each in classes:
            self.widget.add_class(each)

    def write(self, text: str) -> None:
        """Show this, unless it is shown already."""
        if self.widget.value != text:
            self.widget.value = text


def style() -> Any:
    """Return the widget that gives all panels their look."""
    import ipywidgets

    fitting = (
        f"<style>@container (max-width: {FEW}px) {{\n{cards.narrow()}{_NARROW}}}\n"
        f"@container sm-many (max-width: {MANY}px) {{\n{cards.narrow()}}}</style>"
    )
    return ipywidgets.HTML(f"<style>\n{cards.style()}\n</style>{_STYLE}{fitting}", layout={"display": "none"})


def button(label: str, tooltip: str, pressed: Callable[[], None], kind: str = "") -> Any:
    """Return a button that calls `pressed`; `kind` is ipywidgets' button style."""
    import ipywidgets

    made = ipywidgets.Button(description=label, tooltip=tooltip, button_style=kind, layout={"width": "auto"})
    made.on_click(lambda _: pressed())
    return made


def row(*children: Any, label: str = "") -> Any:
    """Return widgets in a line that is broken where it does not fit."""
    import ipywidgets

    made = ipywidgets.Box(children, layout={"flex_flow": "row wrap", "align_items": "center"})
    made.add_class("sm-row")
    if label:
        made.tooltip = label
    return made


def live_bundle(widget: Any) -> dict[str, Any]:
    """Return the bundle that shows a widget while it lives, and nothing where a notebook is opened again without it."""
    return {**widget._repr_mimebundle_(), LIVE: {}, "text/plain": ""}


def alert(text: str) -> str:
    """Return an error as HTML that a screen reader says at once; nothing for nothing."""
    return f'<div class="sm-alert" role="alert">{html.escape(text)}</div>' if text else ""


def hear_at_once(root: Any) -> None:
    """Let a widget and all in it hear the front end while a cell runs.

    ipykernel 7.4 hands a message to the shell that spoke last on its comm, the main one, which the cell holds, and not
    to the one that the front end names. There is no public way to say otherwise.
    """
    for each in walk(root):
        if hasattr(each.comm, "_reply_subshell_for"):
            each.comm._reply_subshell_for = _as_asked  # noqa: SLF001 - see above


def walk(root: Any) -> Iterator[Any]:
    """Yield a widget and all that it holds."""
    yield root
    for each in getattr(root, "children", ()):
        yield from walk(each)


def _as_asked(_data: object, default: object) -> object:
    return default

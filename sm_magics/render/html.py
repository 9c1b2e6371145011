"""Cards as HTML, by one template."""

from __future__ import annotations

import base64
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sm_magics.render.view import View

__all__ = ["narrow", "record", "render", "style"]

_HIDES_ERROR = """<style>
.jp-OutputArea:has(.sm-record) > .jp-OutputArea-child:has(.jupyter-widgets):not(:has(.sm-panel)) {display: none}
</style>"""
_BAR = re.compile("([█░]{2,})")


def render(view: View, *, styled: bool = True) -> str:
    """Return the card as HTML, with its style unless that is there already; all text in it is escaped."""
    return str(_template().render(view=view, styled=styled))


def record(view: View) -> str:
    """Return the card that stays where a widget is shown live below it, and is hidden by that as long as it is there.

    A notebook that is opened again has no such widget any more; what the front end then says in its place is hidden.
    """
    return f'<div class="sm-record">{render(view)}{_HIDES_ERROR}</div>'


def style() -> str:
    """Return the rules of style of all cards."""
    return _file("card.css").rstrip("\n").replace("{{ narrow }}", narrow())


def narrow() -> str:
    """Return the rules of style by which a card's wide tables fit where there is little room."""
    return _file("narrow.css").rstrip("\n")


def _barred(value: str) -> Any:
    """Return a text, escaped, with the bar in it, if any, as bars look everywhere."""
    from markupsafe import Markup, escape

    bar = '<span class="sm-bar" aria-hidden="true">{}</span>'
    parts = _BAR.split(value)
    return Markup("").join(Markup(bar).format(each) if _BAR.fullmatch(each) else escape(each) for each in parts)  # noqa: S704 - ours


@cache
def _template() -> Any:
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["barred"] = _barred
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    environment.globals["style"] = Markup(style())  # noqa: S704 - ours
    return environment.from_string(_file("card.html.j2"))


def _file(name: str) -> str:
    return files("sm_magics.render").joinpath(name).read_text(encoding="utf-8")

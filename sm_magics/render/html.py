"""Cards as HTML, by one template."""

from __future__ import annotations

import base64
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sm_magics.render.view import View

__all__ = ["render"]

_BAR = re.compile("([█░]{2,})")


def render(view: View) -> str:
    """Return the card as HTML; all text in it is escaped."""
    return str(_template().render(view=view))


def _barred(value: str) -> Any:
    """Return a text, escaped, with the bar in it, if any, as bars look everywhere."""
    from markupsafe import Markup, escape

    bar = '<span class="sm-bar" aria-hidden="true">{}</span>'
    parts = _BAR.split(value)
    return Markup("").join(Markup(bar).format(each) if _BAR.fullmatch(each) else escape(each) for each in parts)  # noqa: S704 - ours


@cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["barred"] = _barred
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    return environment.from_string(files("sm_magics.render").joinpath("card.html.j2").read_text(encoding="utf-8"))

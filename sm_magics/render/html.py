"""Cards as HTML, by one template."""

from __future__ import annotations

import base64
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sm_magics.render.view import View

__all__ = ["render"]


def render(view: View) -> str:
    """Return the card as HTML; all text in it is escaped."""
    return str(_template().render(view=view))


@cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    return environment.from_string(files("sm_magics.render").joinpath("card.html.j2").read_text(encoding="utf-8"))

"""What shows itself as a card, as text and as HTML, wherever it is displayed."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sm_magics.render.view import View

__all__ = ["Shown", "bundle", "printed"]


class Shown:
    """Base of all results: a subclass says what its card holds in `view`, and every front end shows it.

    `quiet` hides the card, for `--quiet`; the object itself is returned all the same.
    """

    quiet = False

    def view(self) -> View:
        """Return what the card says."""
        raise NotImplementedError

    def __str__(self) -> str:
        return printed(self.view())

    __repr__ = __str__

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002 - IPython's
        return bundle(self.view())

    def _ipython_display_(self) -> None:
        if not self.quiet:
            raise NotImplementedError  # IPython then shows the bundle


def bundle(view: View) -> dict[str, str]:
    """Return a card for every front end: HTML where it can be shown, text where not."""
    from sm_magics.render import html

    return {"text/plain": printed(view), "text/html": html.render(view)}


def printed(view: View) -> str:
    """Return a card as text: in a terminal as wide as that is, elsewhere the same for everyone."""
    from sm_magics.render import text

    return text.render(view, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)

"""What is shown live while its kernel runs, and as a record everywhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sm_magics.render.shown import Shown, printed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sm_magics.render.view import View

__all__ = ["Watched"]


@dataclass(frozen=True, repr=False)
class Watched(Shown):
    """A panel, or the table of all endpoints.

    Attributes
    ----------
    record
        What it was when it was asked for.
    plain
        The same as text for a notebook, without what another run may find changed; None for all of it.
    live
        Shows this bundle, and a widget below it, None where there are no widgets.
    """

    record: View
    plain: View | None = None
    live: Callable[[Mapping[str, str]], None] | None = field(default=None, compare=False)
    quiet: bool = False

    def view(self) -> View:
        return self.record

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002 - IPython's
        from sm_magics.render import html

        return {"text/plain": printed(self.plain or self.record), "text/html": html.record(self.record)}

    def _ipython_display_(self) -> None:
        if self.live is None or self.quiet:
            super()._ipython_display_()
        else:
            self.live(self._repr_mimebundle_())

"""The table of all endpoints of a connection, kept up to date."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sm_magics.live.watching import Watching
from sm_magics.live.widgets import Written, row, style
from sm_magics.render import html, views

if TYPE_CHECKING:
    from sm_magics.live.poller import Poller

__all__ = ["Board"]


class Board(Watching):
    """All endpoints, watched."""

    def __init__(self, poller: Poller) -> None:
        super().__init__(poller, None)
        self._card = Written("sm-live")
        self._begin(style(), self._card.widget, row(self._button))

    def _paint(self) -> None:
        if self._report is None:
            return
        snapshots = [each for _, each in sorted(self._report.snapshots.items())]
        view = views.endpoints(snapshots, self._poller.connection.label, live=True)
        self._card.write(html.render(replace(view, blocks=(*view.blocks, *self._notes())), styled=False))

"""The table of all endpoints of a connection, kept up to date."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sm_magics.live.widgets import Written, button, hear_at_once, row, style
from sm_magics.render import html, views
from sm_magics.render.view import Note

if TYPE_CHECKING:
    from collections.abc import Callable

    from sm_magics.live.poller import Poller, Report

__all__ = ["Board"]


class Board:
    """All endpoints, watched; `widget` is what is displayed."""

    def __init__(self, poller: Poller) -> None:
        import ipywidgets

        self._poller, self._lock = poller, threading.RLock()
        self._report: Report | None = None
        self._stop: Callable[[], None] | None = None
        self._card = Written("sm-live")
        self._button = button("Stop watching", "Look at the endpoints no more", self.watch_or_stop)
        self.widget = ipywidgets.VBox([style(), self._card.widget, row(self._button)])
        self.widget.add_class("sm-panel")
        hear_at_once(self.widget)
        self.watch_or_stop()

    @property
    def watching(self) -> bool:
        """Whether the endpoints are looked at."""
        return self._stop is not None

    def watch_or_stop(self) -> None:
        """Watch the endpoints, or stop that."""
        with self._lock:
            if self._stop is not None:
                self._stop()
                self._stop = None
            else:
                self._stop = self._poller.watch(None, self.see, alive=lambda: self.widget.comm is not None)
            self._button.description = "Stop watching" if self.watching else "Watch again"
            self._paint()

    def see(self, report: Report) -> None:
        """Take what a look has seen."""
        with self._lock:
            if self.watching:
                self._report = report
                self._paint()

    def close(self) -> None:
        """End the watching, for good."""
        with self._lock:
            if self.watching:
                self.watch_or_stop()

    def _paint(self) -> None:
        if self._report is None:
            return
        snapshots = [each for _, each in sorted(self._report.snapshots.items())]
        view = views.endpoints(snapshots, self._poller.connection.label, live=True)
        told = "" if self.watching else "No longer watched: this is what was seen last."
        told = f"Not up to date: {self._report.problem}" if self.watching and self._report.problem else told
        blocks = (*view.blocks, Note(told)) if told else view.blocks
        self._card.write(html.render(type(view)(view.title, view.badge, blocks), styled=False))

"""What the table of all endpoints and the panel of one have in common: they are watched until that is stopped."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from sm_magics.live.widgets import button, hear_at_once
from sm_magics.render.view import Note

if TYPE_CHECKING:
    from collections.abc import Callable

    from sm_magics.live.poller import Poller, Report

__all__ = ["Watching"]


class Watching:
    """Watches one endpoint (all of them for None), stops that and goes on; who inherits it paints what was seen.

    Callbacks come on any thread, so that there is a lock. `widget` is what is displayed.
    """

    widget: Any

    def __init__(self, poller: Poller, name: str | None) -> None:
        self._poller, self._watched, self._lock = poller, name, threading.RLock()
        self._report: Report | None = None
        self._stop: Callable[[], None] | None = None
        whom = "endpoints" if name is None else "endpoint"
        self._button = button("Stop watching", f"Look at the {whom} no more; nothing else ends", self.watch_or_stop)

    @property
    def watching(self) -> bool:
        """Whether it is looked at."""
        return self._stop is not None

    def watch_or_stop(self) -> None:
        """Watch, or stop that."""
        with self._lock:
            if self._stop is not None:
                self._stop()
                self._stop = None
            else:
                one = self._watched is not None
                self._stop = self._poller.watch(self._watched, self.see, alive=self._alive, measured=one)
            self._button.description = "Stop watching" if self.watching else "Watch again"
            self._paint()

    def see(self, report: Report) -> None:
        """Take what a look has seen."""
        with self._lock:
            if self.watching:  # else it was stopped while the look was on its way
                self._report = report
                self._saw(report)

    def close(self) -> None:
        """End the watching, for good."""
        with self._lock:
            if self.watching:
                self.watch_or_stop()

    def _begin(self, *parts: Any) -> None:
        """Make the widget of its parts, and watch."""
        import ipywidgets

        self.widget = ipywidgets.VBox(parts)
        self.widget.add_class("sm-panel")
        hear_at_once(self.widget)
        self.watch_or_stop()

    def _alive(self) -> bool:
        return self.widget.comm is not None

    def _saw(self, _report: Report) -> None:
        self._paint()

    def _paint(self) -> None:
        """Show all as it is known now."""
        raise NotImplementedError

    def _notes(self) -> tuple[Note, ...]:
        """Return why what is shown is not up to date."""
        if self._report is None:
            return ()
        if not self.watching:
            return (Note("No longer watched: this is what was seen last."),)
        return (Note(f"Not up to date: {self._report.problem}", "bad"),) if self._report.problem else ()

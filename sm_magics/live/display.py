"""Shows events while they happen: as a card that changes in place, as lines of text, or not at all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from sm_magics.deploy import Called, Calling, Planned, Seen

if TYPE_CHECKING:
    from collections.abc import Callable

    from sm_magics.watch import Snapshot

__all__ = ["Card", "Display", "Lines", "Nothing", "choose"]

FIRST_SHOWN_SECONDS = 1.0  # what is over sooner needs no card
UPDATE_SECONDS = 0.2


class Display(Protocol):
    """Takes events as they come, and is closed when they end."""

    def show(self, event: object) -> None:
        """Take one event."""

    def close(self) -> None:
        """Take what was shown away, or leave it, as fits the display."""


class Nothing:
    """Shows nothing: the record at the end says it all."""

    def show(self, event: object) -> None: ...

    def close(self) -> None: ...


class Lines:
    """One line for each call and each change of state."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._last = ""

    def show(self, event: object) -> None:
        text = _line(event)
        if text and text != self._last:
            self._write(text + "\n")
            self._last = text

    def close(self) -> None: ...


class Card:
    """A card in a kernel's front end: shown after a second of waiting, changed in place, gone at the end.

    Only traits of one widget are set, and only by the thread that runs the cell.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._updated = 0.0
        self._doing = ""
        self._widget: Any = None
        self._handle: Any = None

    def show(self, event: object) -> None:
        now = self._clock()
        if isinstance(event, Calling):
            self._doing = event.action.operation
        if now - self._began < FIRST_SHOWN_SECONDS or not isinstance(event, Seen):
            return
        if self._widget is None:
            self._open()
        if now - self._updated >= UPDATE_SECONDS:
            self._updated = now
            value = _card(event.snapshot)
            if value != self._widget.value:
                self._widget.value = value

    def close(self) -> None:
        if self._widget is not None:
            from IPython.display import HTML

            self._handle.update(HTML(""))  # a closed widget would be an error in the saved notebook
            self._widget.close()

    def _open(self) -> None:
        import ipywidgets
        from IPython.display import display

        self._widget = ipywidgets.HTML()
        self._handle = display(self._widget, display_id=True)


def choose(mode: str, shell: Any, write: Callable[[str], object]) -> Display:
    """Return the display for a mode (`auto`, `live`, `static` or `text`) in this shell."""
    in_kernel = hasattr(shell, "kernel")
    if mode == "text" or (mode == "auto" and not in_kernel):
        return Lines(write)
    if mode == "static" or not in_kernel:
        return Nothing()
    return Card()


def _card(snapshot: Snapshot) -> str:
    from sm_magics.render import html, views

    return html.render(views.watching(snapshot))


def _line(event: object) -> str:
    match event:
        case Planned(plan):
            count = len(plan.actions)
            return f"plan: {count} call{'' if count == 1 else 's'}" if count else "plan: nothing to change"
        case Calling(action):
            return f"{action.operation}: {action.what}"
        case Called():
            return ""
        case Seen(snapshot):
            states = snapshot.pending or snapshot.variants
            ready = ", ".join(f"{each.name} {each.count or 0} of {each.wanted_count or 0} ready" for each in states)
            return f"{snapshot.name}: {snapshot.status}" + (f" ({ready})" if ready and not snapshot.settled else "")
        case _:
            return ""

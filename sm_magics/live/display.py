"""Shows events while they happen: as a card that changes in place, as lines of text, or not at all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from sm_magics.events import Called, Calling, Loading, Planned, Progress, Seen, Stepping
from sm_magics.live.widgets import live_bundle
from sm_magics.logs import Printed, plain
from sm_magics.render import html, loaded, observed, watching
from sm_magics.render.shown import bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from sm_magics.render.view import View

__all__ = ["Card", "Display", "Lines", "Nothing", "choose", "told"]

FIRST_SHOWN_SECONDS = 1.0  # what is over sooner needs no card
UPDATE_SECONDS = 0.2
LIVE_LINES = 20  # of a log that is followed: what fits beside the cell
_EMPTY = {"text/plain": "", "text/html": ""}


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
        text = told(event)
        if text and (text != self._last or isinstance(event, Printed)):
            self._write(text + "\n")
            self._last = text

    def close(self) -> None: ...


class Card:
    """A card in a kernel's front end: shown after a second of waiting, changed in place, gone at the end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._updated = clock()
        self._place: WidgetPlace | OutputPlace | None = None

    def show(self, event: object) -> None:
        now = self._clock()
        if now - self._began < FIRST_SHOWN_SECONDS or (view := _view(event)) is None:
            return
        if self._place is None:
            self._place = _place(view)  # kept before it is shown: an interrupt in between must find it
            self._place.show()
        elif now - self._updated >= UPDATE_SECONDS:
            self._place.change(view)
        else:
            return
        self._updated = now

    def close(self) -> None:
        if self._place is not None:
            self._place.clear()


class WidgetPlace:
    """A widget that holds the card. Only its traits are set, and only by the thread that runs the cell."""

    def __init__(self, view: View) -> None:
        import ipywidgets
        from IPython.display import DisplayHandle

        self._widget = ipywidgets.HTML(html.render(view))
        self._handle = DisplayHandle()

    def show(self) -> None:
        self._handle.display(live_bundle(self._widget), raw=True)

    def change(self, view: View) -> None:
        self._widget.value = html.render(view)

    def clear(self) -> None:
        self._handle.update(_EMPTY, raw=True)  # a closed widget would be an error in the saved notebook
        self._widget.close()


class OutputPlace:
    """An output of the cell that is replaced in place, for where there are no widgets."""

    def __init__(self, view: View) -> None:
        from IPython.display import DisplayHandle

        self._view = view
        self._handle = DisplayHandle()

    def show(self) -> None:
        self._handle.display(bundle(self._view), raw=True)

    def change(self, view: View) -> None:
        self._handle.update(bundle(view), raw=True)

    def clear(self) -> None:
        self._handle.update(_EMPTY, raw=True)


def _place(view: View) -> WidgetPlace | OutputPlace:
    try:
        return WidgetPlace(view)
    except ImportError:
        return OutputPlace(view)


def choose(mode: str, shell: Any, write: Callable[[str], object]) -> Display:
    """Return the display for a mode (`auto`, `live`, `static` or `text`) in this shell; cards need a kernel."""
    if mode == "static":
        return Nothing()
    if mode == "text" or not hasattr(shell, "kernel"):
        return Lines(write)
    return Card()


def _view(event: object) -> View | None:
    match event:
        case Seen(snapshot, earlier):
            return watching.watching(snapshot, earlier=earlier)
        case Printed(entries):
            return observed.following(entries[-LIVE_LINES:])
        case Progress():
            from sm_magics.render import compared  # with numpy, which only a comparison needs

            return compared.progress(event)
        case Loading():
            return loaded.progress(event)
        case Stepping():
            return watching.stepping(event)
        case _:
            return None


def told(event: object) -> str:  # noqa: PLR0911 - a line for each kind
    """Return what happens as a line of text, nothing where it is not worth one."""
    match event:
        case Planned(plan):
            count = len(plan.actions)
            return f"plan: {count} call{'' if count == 1 else 's'}" if count else "plan: nothing to change"
        case Calling(action):
            return f"{action.operation}: {action.what}"
        case Called():
            return ""
        case Seen(snapshot, earlier):
            how = "" if snapshot.settled else watching.summary(snapshot)
            whose = ", as asked for before: waiting for it first" if earlier and not snapshot.settled else ""
            return f"{snapshot.name}: {snapshot.status}" + (f" ({how})" if how else "") + whose
        case Progress():
            from sm_magics.render import compared

            return compared.summary(event)
        case Loading():
            return loaded.summary(event)
        case Stepping():
            return watching.held(event)
        case Printed(_, new):
            return "\n".join(f"{each.variant}/{each.instance}  {plain(each.text)}" for each in new)
        case _:
            return ""

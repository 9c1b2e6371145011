"""The panel of an endpoint: its card, kept up to date, and controls that act as cells do, in the background.

Callbacks come on any thread, so that a panel has a lock; they set traits of widgets, and nothing prints.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sm_magics.errors import PlanError, ServiceError, in_words
from sm_magics.live.controls import Controls, Presses
from sm_magics.live.display import told
from sm_magics.live.widgets import Written, alert, hear_at_once, style
from sm_magics.render import html
from sm_magics.render.panel import events, happened, panel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sm_magics.clock import Clock
    from sm_magics.live.poller import Poller, Report
    from sm_magics.watch import Snapshot

__all__ = ["Context", "Panel"]

LINES = 50  # of the log that are kept
SECOND_CLICK_SECONDS = 5.0
UPDATE_SECONDS = 0.2


def _thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="sm_magics-panel", daemon=True).start()


def _timer(seconds: float, run: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, run)
    timer.daemon = True
    timer.start()


@dataclass(frozen=True, slots=True)
class Context:
    """What a panel acts with: who looks, the clock of waiting, how long to wait (seconds), and how things are run."""

    poller: Poller
    clock: Clock
    timeout: float = 3600.0
    wall: Callable[[], float] = time.time
    run: Callable[[Callable[[], None]], None] = _thread
    later: Callable[[float, Callable[[], None]], None] = _timer


class Panel:
    """One endpoint, watched and controlled; `widget` is what is displayed."""

    def __init__(self, snapshot: Snapshot, context: Context) -> None:
        import ipywidgets

        self.name, self._context, self._connection = snapshot.name, context, context.poller.connection
        self._lock = threading.RLock()
        self._snapshot: Snapshot | None = snapshot
        self._report: Report | None = None
        self._lines: deque[str] = deque(maxlen=LINES)
        self._last, self._busy, self._armed, self._painted = "", False, False, float("-inf")
        self._stop: Callable[[], None] | None = None
        self._card, self._problem, self._log = Written("sm-live"), Written("sm-problem"), Written("sm-log")
        self._cell = ipywidgets.Textarea(
            disabled=False,
            tooltip="The cell that makes what the sliders say",
            layout={"width": "98%", "display": "none"},
        )
        self.controls = Controls(
            Presses(self.apply, self.promote, self.roll_back, self.delete, self.watch_or_stop, self.copy),
            hear_at_once,
            self._lock,
        )
        parts = [self._card.widget, self.controls.widget, self._problem.widget, self._cell, self._log.widget]
        self.widget = ipywidgets.VBox([style(), *parts])
        self.widget.add_class("sm-panel")
        hear_at_once(self.widget)
        self._note(happened(snapshot))
        self._paint()
        self.watch_or_stop()

    @property
    def watching(self) -> bool:
        """Whether the endpoint is looked at."""
        return self._stop is not None

    def watch_or_stop(self) -> None:
        """Watch the endpoint, or stop that."""
        with self._lock:
            if self._stop is not None:
                self._stop()
                self._stop = None
            else:
                alive = lambda: self.widget.comm is not None  # noqa: E731
                self._stop = self._context.poller.watch(self.name, self.see, alive=alive, measured=True)
            self.controls.watch.description = "Stop watching" if self.watching else "Watch again"
            self._paint()

    def see(self, report: Report) -> None:
        """Take what a look has seen."""
        with self._lock:
            if not self.watching:
                return  # stopped while the look was on its way
            self._report = report
            if report.all_seen:
                self._snapshot = report.snapshots.get(self.name)
                if (line := happened(self._snapshot)) != self._last and not self._busy:
                    self._note(line)
            if self._busy:  # what is done paints too
                self._paint_if_due()
            else:
                self._paint()

    def apply(self) -> None:
        """Give the variants the weights and instances that the sliders say."""
        from sm_magics.shifting import shift

        weights, counts = self.controls.weights, self.controls.counts
        self._do("Apply", lambda: shift(*self._where, weights, self._context.clock, counts=counts, **self._waiting))

    def promote(self, variant: str) -> None:
        """Make a variant the only one."""
        from sm_magics.versions import promote

        self._do(f"Promote {variant}", lambda: promote(*self._where, variant, self._context.clock, **self._waiting))

    def roll_back(self) -> None:
        """Go back to the config before."""
        from sm_magics.versions import chosen, history, rollback
        from sm_magics.watch import look

        def back() -> Iterable[object]:
            snapshot = look(*self._where)
            if snapshot is None:
                raise PlanError(f"endpoint '{self.name}' is gone")
            to = chosen(self.name, history(self._connection, snapshot), None)
            return rollback(*self._where, to, self._context.clock, **self._waiting)

        self._do("Roll back", back)

    def delete(self) -> None:
        """Delete the endpoint, if this is the second click."""
        from sm_magics.inventory import delete, deletion

        with self._lock:
            if not self._armed:
                self._arm(armed=True)
                self._context.later(SECOND_CLICK_SECONDS, lambda: self._arm(armed=False))
                return
            self._arm(armed=False)
        self._do(
            "Delete",
            lambda: delete(self._connection, deletion(*self._where), self._context.clock, **self._waiting),
        )

    def copy(self) -> None:
        """Show the cell that makes what the sliders say."""
        weights, counts = self.controls.weights, self.controls.counts

        def write() -> Iterable[object]:
            body = self._body(weights, counts)
            with self._lock:
                self._cell.value = body
                self._cell.rows = body.count("\n") + 1
                self._cell.layout.display = None
            return ()

        self._do("", write)

    def close(self) -> None:
        """End the watching, for good."""
        with self._lock:
            if self.watching:
                self.watch_or_stop()

    @property
    def _where(self) -> tuple[Any, str]:
        return self._connection, self.name

    @property
    def _waiting(self) -> dict[str, Any]:
        return {"timeout": self._context.timeout}

    def _body(self, weights: dict[str, float], counts: dict[str, int]) -> str:
        from sm_magics.resolve import spec_of
        from sm_magics.spec import to_yaml
        from sm_magics.watch import look

        snapshot = look(*self._where)
        if snapshot is None:
            raise PlanError(f"endpoint '{self.name}' is gone")
        variants = tuple(
            replace(
                each,
                wanted_weight=weights.get(each.name, each.wanted_weight),
                wanted_count=counts.get(each.name, each.wanted_count),
            )
            for each in snapshot.variants
        )
        config = self._connection.describe("EndpointConfig", snapshot.config_name)
        spec = spec_of(self._connection, replace(snapshot, variants=variants), config)
        if spec is None:
            raise PlanError(f"the config of endpoint '{self.name}' was deleted: there is no cell to be written")
        return f"%%sm_endpoint {self.name}\n{to_yaml(spec)}".rstrip("\n")

    def _do(self, what: str, begin: Callable[[], Iterable[object]]) -> None:
        """Do something in the background, one thing at a time; what goes wrong is shown in the panel."""
        with self._lock:
            if self._busy:
                return
            self._busy = True
            self._problem.write("")
            if what:
                self._note(what)
                self._cell.layout.display = "none"  # it says what the sliders said before
            self._paint()

        def run() -> None:
            problem = ""
            try:
                for event in begin():
                    self._happens(told(event))
            except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
                problem = in_words(error)
            snapshot = self._now()
            with self._lock:
                self._busy = False
                if problem:
                    self._note(f"{what or 'Copy as cell'}: {problem.splitlines()[0]}")
                    self._problem.write(alert(problem))
                elif what:
                    self._note(f"{what}: done")
                self._refreshed(snapshot, reset=bool(what) and not problem)

        self._context.run(run)

    def _now(self) -> Snapshot | None:
        """Look once more after something was done."""
        from sm_magics.watch import look

        try:
            return look(*self._where)
        except ServiceError:  # which the poller tells
            return self._snapshot

    def _refreshed(self, snapshot: Snapshot | None, *, reset: bool) -> None:
        """Show what came of what was done; where that went well, the sliders say so."""
        self._snapshot = snapshot
        self.controls.follow(snapshot)
        if reset:
            self.controls.reset()
        self._last = happened(snapshot)  # which the log has said
        self._paint()
        self._context.poller.hurry(self.name)

    def _happens(self, line: str) -> None:
        line = line.removeprefix(f"{self.name}: ")
        with self._lock:
            if line and line != self._last:
                self._note(line)
                self._paint_if_due()

    def _arm(self, *, armed: bool) -> None:
        with self._lock:
            self._armed = armed
            self.controls.delete.description = f"Really delete {self.name}?" if armed else "Delete"

    def _note(self, line: str) -> None:
        self._last = line
        at = time.strftime("%H:%M:%S", time.localtime(self._context.wall()))
        self._lines.append(f"{at}  {line}")

    def _paint_if_due(self) -> None:
        if self._context.clock.now() - self._painted >= UPDATE_SECONDS:
            self._paint()

    def _paint(self) -> None:
        """Show all as it is known now; what has not changed is not sent."""
        snapshot, report = self._snapshot, self._report
        self._painted = self._context.clock.now()
        where = self._connection.label
        lately = report.usage.get(self.name) if report else None
        self._card.write(html.render(panel(self.name, snapshot, where, lately, self._notes()), styled=False))
        self._log.write(html.render(events(self._lines), styled=False))
        self.controls.follow(snapshot)
        able = self.watching and not self._busy and snapshot is not None
        serves = snapshot is not None and snapshot.status == "InService" and snapshot.settled
        deleting = snapshot is not None and snapshot.status == "Deleting"
        self.controls.allow(change=able and serves, delete=able and not deleting)

    def _notes(self) -> tuple[Any, ...]:
        from sm_magics.render.view import Note

        if not self.watching and self._report is not None:
            return (Note("No longer watched: this is what was seen last."),)
        if self._report is not None and self._report.problem:
            return (Note(f"Not up to date: {self._report.problem}", "bad"),)
        return ()

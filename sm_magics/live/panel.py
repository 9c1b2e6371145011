"""The panel of an endpoint: its card, kept up to date, and controls that act as cells do, in the background.

Callbacks come on any thread, so that a panel has a lock; they set traits of widgets, and nothing prints.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sm_magics.errors import PlanError, ServiceError, in_words
from sm_magics.events import Called, Seen
from sm_magics.live.controls import Controls, Presses
from sm_magics.live.display import told
from sm_magics.live.turns import Task, Turns
from sm_magics.live.watching import Watching
from sm_magics.live.widgets import Written, alert, hear_at_once, style
from sm_magics.render import html
from sm_magics.render.panel import events, happened, panel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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


class Panel(Watching):
    """One endpoint, watched and controlled."""

    def __init__(self, snapshot: Snapshot, context: Context) -> None:
        import ipywidgets

        super().__init__(context.poller, snapshot.name)
        self.name, self._context, self._connection = snapshot.name, context, context.poller.connection
        self._snapshot: Snapshot | None = snapshot
        self._turns = Turns(lambda task: context.run(lambda: self._work(task)))
        self._lines: deque[str] = deque(maxlen=LINES)
        self._last, self._painted = "", float("-inf")  # what was told of the endpoint last, and when
        self._armings, self._armed = itertools.count(1), 0  # of the second click on Delete; 0: not armed
        self._card, self._problem, self._log = Written("sm-live"), Written("sm-problem"), Written("sm-log")
        self._cell = ipywidgets.Textarea(
            disabled=False,
            tooltip="The cell that makes what the sliders say",
            layout={"width": "98%", "display": "none"},
        )
        self._copied: tuple[Mapping[str, float], Mapping[str, int]] | None = None  # what that cell says
        presses = Presses(self.apply, self.promote, self.roll_back, self.delete, self.copy)
        self.controls = Controls(presses, self._button, hear_at_once, self._lock)
        self._note_if_new(happened(snapshot))
        controls = self.controls.widget
        self._begin(style(), self._card.widget, controls, self._problem.widget, self._cell, self._log.widget)

    def apply(self) -> None:
        """Give the variants the weights and instances that the sliders say."""
        from sm_magics.shifting import shift

        with self._lock:  # what the log tells is what is applied
            (weights, counts), asked = self.controls.says, self.controls.asked

        def begin() -> Iterable[object]:
            return shift(*self._where, weights, self._context.clock, counts=counts, **self._waiting)

        self._do(Task("Apply", begin, asked, says=(weights, counts)))

    def promote(self, variant: str) -> None:
        """Make a variant the only one."""
        from sm_magics.versions import promote

        self._do(
            Task(
                f"Promote {variant}",
                lambda: promote(*self._where, variant, self._context.clock, **self._waiting),
            )
        )

    def roll_back(self) -> None:
        """Go back to the config before."""
        from sm_magics.versions import chosen, history, rollback

        def begin() -> Iterable[object]:
            to = chosen(self.name, history(self._connection, self._there()), None)
            return rollback(*self._where, to, self._context.clock, **self._waiting)

        self._do(Task("Roll back", begin, f"to {self._before}" if self._before else ""))

    def delete(self) -> None:
        """Delete the endpoint, if this is the second click."""
        from sm_magics.inventory import delete, deletion

        with self._lock:
            if not self._armed:
                number = next(self._armings)
                self._arm(number)
                self._context.later(SECOND_CLICK_SECONDS, lambda: self._disarm(number))
                return
            self._arm(0)

        def begin() -> Iterable[object]:
            return delete(self._connection, deletion(*self._where), self._context.clock, **self._waiting)

        self._do(Task("Delete", begin, leaves="gone"))

    def copy(self) -> None:
        """Show the cell that makes what the sliders say."""
        says = self.controls.says

        def begin() -> Iterable[object]:
            body = self._body(*says)
            with self._lock:
                self._copied, self._cell.value = says, body
                self._cell.rows = body.count("\n") + 1
                self._cell.layout.display = None
            return ()

        self._do(Task("Copy as cell", begin, changes=False))

    @property
    def _where(self) -> tuple[Any, str]:
        return self._connection, self.name

    @property
    def _waiting(self) -> dict[str, Any]:
        return {"timeout": self._context.timeout}

    def _body(self, weights: dict[str, float], counts: dict[str, int]) -> str:
        from sm_magics.resolve import spec_of
        from sm_magics.spec import to_yaml

        snapshot = self._there()
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

    def _there(self) -> Snapshot:
        """Look at the endpoint, which must be there."""
        from sm_magics.watch import look

        if (snapshot := look(*self._where)) is None:
            raise PlanError(f"endpoint '{self.name}' is gone")
        return snapshot

    def _do(self, task: Task) -> None:
        """Do something in the background, in its turn; what cannot have one is said, as no control offers it."""
        with self._lock:
            if (other := self._turns.ask(task)) is not None:
                self._note(f"{task.name}: not done, as '{other.name}' is under way")
            else:
                self._problem.write("")
                if task.changes:
                    self._note(f"{task.name}: {task.asked}" if task.asked else task.name)
            self._paint()

    def _work(self, task: Task) -> None:
        """Do a task, on a thread of its own; what goes wrong is shown in the panel."""
        problem = ""
        calls: dict[str, bool] = {}  # in their order
        try:
            with self._lock:
                if task.changes and task.says != self._copied:
                    self._cell.layout.display = "none"  # it says what will be no more
            for event in task.begin():
                self._happens(event)
                if isinstance(event, Called):
                    calls[event.action.operation] = True
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            problem = in_words(error)
        snapshot = self._now()
        with self._lock:
            self._turns.over()
            if problem:
                self._note(f"{task.name}: {problem.splitlines()[0]}")
                self._problem.write(alert(problem))
            elif task.changes:
                by = f"done by {', '.join(calls)}" if calls else "nothing to change"
                self._note(f"{task.name}: {by}")
            done = task.changes and not problem
            if done:
                self._last = task.leaves  # which the log has said
            self._refreshed(snapshot, reset=done)

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
        self._note_if_new(happened(snapshot))
        self._paint()
        self._context.poller.hurry(self.name)

    def _happens(self, event: object) -> None:
        """Log what an endpoint goes through; the card shows the rest, and the calls are told in the end."""
        if not isinstance(event, Seen) or event.snapshot.settled:
            return
        line = told(event).removeprefix(f"{self.name}: ")
        with self._lock:
            if self._note_if_new(line):
                self._paint_if_due()

    def _arm(self, number: int) -> None:
        self._armed = number
        self.controls.delete.description = f"Really delete {self.name}?" if number else "Delete"

    def _disarm(self, number: int) -> None:
        with self._lock:
            if self._armed == number:  # else it was pressed, and maybe armed again
                self._arm(0)

    def _note_if_new(self, line: str) -> bool:
        """Log where the endpoint is, unless that was told last."""
        new, self._last = line != self._last, line
        if new:
            self._note(line)
        return new

    def _note(self, line: str) -> None:
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
        able = self.watching and self._turns.change is None and snapshot is not None
        serves = able and snapshot is not None and snapshot.status == "InService" and snapshot.settled
        deleting = snapshot is not None and snapshot.status == "Deleting"
        back = serves and self._before != ""  # None, which is not known, is tried
        self.controls.allow(change=serves, back=back, delete=able and not deleting)

    @property
    def _before(self) -> str | None:
        """The config that a rollback goes to, empty where there is none as yet; None where that cannot be known."""
        if self._report is None or self._snapshot is None:
            return ""
        config, before = self._report.before.get(self.name, ("", ""))
        return before if config == self._snapshot.config_name else ""

    def _saw(self, report: Report) -> None:
        if report.all_seen:
            self._snapshot = report.snapshots.get(self.name)
            if not self._turns.busy:
                self._note_if_new(happened(self._snapshot))
        if self._turns.busy:  # what is done paints too
            self._paint_if_due()
        else:
            self._paint()

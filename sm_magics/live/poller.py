"""Looks at the endpoints of a connection for all who watch them: one thread and one look, whatever their number.

Quick while something moves, slow when it has settled; of many that have settled one list tells which changed.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sm_magics import metrics
from sm_magics.clock import Clock
from sm_magics.errors import ServiceError, in_words
from sm_magics.render.panel import Lately
from sm_magics.versions import before
from sm_magics.watch import look, with_alarms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from sm_magics.connection import Connection
    from sm_magics.watch import Snapshot

__all__ = ["Poller", "Report"]

FIRST_PAUSE, GROWTH = 0.2, 1.3  # seconds between looks at one that changes, and how that grows while it does not
LONGEST_MOVING, LONGEST_SETTLED = 2.0, 5.0
FIRST_PENALTY, LONGEST_PENALTY = 1.0, 60.0  # seconds without a call after one that was refused
MANY = 3  # more than so many that have settled are listed, not described
THROTTLED = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"})
PERIODS = 12  # that are measured; together a whole number of minutes, as CloudWatch wants it
_SHOWN = frozenset({"invocations", "errors_4xx", "errors_5xx", "model_p50", "model_p99"})
SHOWN = tuple(each for each in metrics.MEASURES if each.key in _SHOWN)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """What was seen at a look: every endpoint that is watched and that there is, by name.

    `problem` is why the last look failed, and the rest is of the one before. `all_seen` is False before the first.
    `before` has of endpoints a config, and which one a rollback goes to from there: empty for none, None where that
    cannot be known.
    """

    snapshots: Mapping[str, Snapshot]
    usage: Mapping[str, Lately] = field(default_factory=dict)
    problem: str = ""
    all_seen: bool = True
    before: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)


@dataclass(eq=False, slots=True)
class _Watcher:
    name: str | None  # of the endpoint; None watches all
    tell: Callable[[Report], None]
    alive: Callable[[], bool]
    measured: bool
    failed: str = ""  # why it could not be told

    def take(self, report: Report) -> None:
        """Tell it; where that fails the others are told all the same."""
        try:
            self.tell(report)
            self.failed = ""
        except Exception as error:  # noqa: BLE001 - who shows what is seen is no reason to look no more
            if (why := in_words(error)) != self.failed:  # once, not at every look
                _LOG.error("what shows %s failed", self.name or "the endpoints", exc_info=error)
            self.failed = why


@dataclass(slots=True)
class _Watched:
    """One endpoint: as it was seen last, what the list said then, and when it is due again."""

    snapshot: Snapshot | None = None
    row: tuple[Any, ...] | None = None
    began: float = 0.0
    due: float = -math.inf
    pause: float = FIRST_PAUSE

    @property
    def settled(self) -> bool:
        return self.snapshot is None or self.snapshot.settled


class Poller:
    """Watches the endpoints of one connection; the thread runs while somebody watches."""

    def __init__(
        self,
        connection: Connection,
        clock: Clock | None = None,
        wall: Callable[[], float] = time.time,
        start: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self.connection = connection
        self._clock, self._wall, self._start = clock or Clock(), wall, start or _start
        self._changed = threading.Condition()
        self._running = self._hurried = self._seen = False
        self._watchers: list[_Watcher] = []
        self._watched: dict[str, _Watched] = {}
        self._usage: dict[str, Lately] = {}
        self._measured_at: dict[str, float] = {}
        self._before: dict[str, tuple[str, str | None]] = {}  # of endpoints: their config and the one before it
        self._doubted: set[str] = set()  # those of which that may have changed
        self._penalty = 0.0
        self._hold = self._list_due = -math.inf  # no call, and no list, before
        self._listed: dict[str, tuple[Any, ...]] = {}
        self._by_list = False
        self._pages = 0  # of the last list
        self._again = 0  # which of those that have settled is described although the list says nothing new

    def watch(
        self,
        name: str | None,
        tell: Callable[[Report], None],
        *,
        alive: Callable[[], bool] = lambda: True,
        measured: bool = False,
    ) -> Callable[[], None]:
        """Tell what an endpoint (all of them for None) looks like, again and again, and return what ends that.

        Parameters
        ----------
        tell
            Is called in the poller's thread.
        alive
            Whether there is still somebody to look; asked before each look.
        measured
            Whether to read metrics, and which config was the one before, too.
        """
        watcher = _Watcher(name, tell, alive, measured)
        with self._changed:
            self._watchers.append(watcher)
            if not self._running:
                self._running = True
                self._start(self._run)
        self.hurry(name)

        def stop() -> None:
            with self._changed:
                if watcher in self._watchers:
                    self._watchers.remove(watcher)
                self._changed.notify_all()

        return stop

    def hurry(self, name: str | None = None) -> None:
        """Look at once at an endpoint, of which something was asked just now."""
        with self._changed:
            for key, each in self._watched.items():
                if name in {None, key}:
                    each.due, each.pause = -math.inf, FIRST_PAUSE
                    self._doubted.add(key)
            self._list_due = -math.inf if name is None else self._list_due
            self._hurried = True
            self._changed.notify_all()

    def close(self) -> None:
        """End all watching."""
        with self._changed:
            self._watchers.clear()
            self._changed.notify_all()

    def turn(self) -> float | None:
        """Look at what is due, tell it, and return the seconds until the next look; None when nobody watches."""
        with self._changed:
            self._watchers[:] = [each for each in self._watchers if each.alive()]
            watchers = list(self._watchers)
        if not watchers:
            return None
        now = self._clock.now()
        if now < self._hold:
            return max(FIRST_PAUSE, self._hold - now)
        behind: list[str] = []
        try:
            self._see(watchers, now)
            self._seen = True
            self._tell(watchers)
            behind = self._behind(watchers)
            if behind:  # one in each turn, after what was seen was told: it can take many calls
                self._look_back(behind.pop(0))
                self._tell(watchers)
            self._penalty = 0.0
        except Exception as error:  # noqa: BLE001 - the thread serves all who watch, and has nobody else to tell
            self._penalty = min(max(FIRST_PENALTY, self._penalty * 2), LONGEST_PENALTY)
            self._hold = now + self._penalty
            why = error.message if isinstance(error, ServiceError) else in_words(error)
            self._tell(watchers, f"{why} The next look is in {self._penalty:g} s.")
        return max(FIRST_PAUSE, self._hold - now, 0.0 if behind else self._next() - now)

    def _tell(self, watchers: list[_Watcher], problem: str = "") -> None:
        snapshots = {name: each.snapshot for name, each in self._watched.items() if each.snapshot is not None}
        report = Report(snapshots, dict(self._usage), problem, all_seen=self._seen, before=dict(self._before))
        for each in watchers:
            each.take(report)

    def _next(self) -> float:
        by_list = self._list_due if self._by_list else math.inf
        return min([by_list, *(each.due for each in self._watched.values())])

    def _run(self) -> None:
        try:
            while self._go_on(self.turn()):
                pass
        except BaseException:
            with self._changed:
                self._running = False  # whoever watches next starts another one
            raise

    def _go_on(self, pause: float | None) -> bool:
        """Wait for the next look, and return whether there is anybody to look for."""
        with self._changed:
            if not self._watchers:
                self._running = False
                return False
            self._changed.wait_for(lambda: self._hurried or not self._watchers, pause or 0.0)
            hurried, self._hurried = self._hurried, False
        if hurried:
            self._clock.sleep(FIRST_PAUSE)  # so that whoever hurries us all the time gets five looks a second
        return True

    def _see(self, watchers: list[_Watcher], now: float) -> None:
        named = {each.name for each in watchers if each.name is not None}
        everything = any(each.name is None for each in watchers)
        settled = [each for each in self._watched.values() if each.snapshot is not None and each.settled]
        self._by_list = everything or len(settled) > max(MANY, self._pages)
        if self._by_list and now >= self._list_due:
            self._list(now)
        names = named | (self._listed.keys() if everything else set())
        self._watched = {name: self._watched.get(name) or _Watched() for name in sorted(names)}
        for name, each in self._watched.items():
            if each.due <= now or (math.isinf(each.due) and not self._by_list):
                self._describe(name, each, now)
        for name in _measured(watchers):
            self._measure(name, now)

    def _list(self, now: float) -> None:
        """Ask for the list of all endpoints, and let those be described of which it tells something new."""
        pages = list(self.connection.pages("ListEndpoints", SortBy="Name", SortOrder="Ascending", MaxResults=100))
        self._pages = len(pages)
        rows = (row for page in pages for row in page["Endpoints"])
        self._listed = {row["EndpointName"]: (row["EndpointStatus"], row.get("LastModifiedTime")) for row in rows}
        for name, each in self._watched.items():
            row = self._listed.get(name)
            known = each.row is None and row is not None and each.snapshot and each.snapshot.status == row[0]
            if row != each.row and not known:
                each.due = -math.inf
            each.row = row
        resting = [each for each in self._watched.values() if each.due == math.inf]
        if resting:  # the list does not tell of instances that died
            self._again += 1
            resting[self._again % len(resting)].due = -math.inf
        moving = len(resting) < len(self._watched)
        self._list_due = now + (LONGEST_MOVING if moving else LONGEST_SETTLED)

    def _describe(self, name: str, each: _Watched, now: float) -> None:
        before = each.snapshot
        found = look(self.connection, name)
        if found is not None:
            found = with_alarms(self.connection, found)
            if before is None or (before.settled and not found.settled):
                each.began = now
            found = replace(found, elapsed=now - each.began)
        each.snapshot = found
        longest = LONGEST_SETTLED if each.settled else LONGEST_MOVING
        each.pause = FIRST_PAUSE if found != before else min(each.pause * GROWTH, longest)
        each.due = math.inf if self._by_list and each.settled else now + each.pause

    def _measure(self, name: str, now: float) -> None:
        """Read how an endpoint was used lately, once in each period of the service's counting."""
        period = self.connection.counts_every
        snapshot = self._watched[name].snapshot
        if snapshot is None or now - self._measured_at.get(name, -math.inf) < period:
            return
        self._measured_at[name] = now
        end = math.ceil(self._wall() / period) * period
        when = metrics.Span(end - PERIODS * period, period, PERIODS)
        states = (*snapshot.variants, *snapshot.pending, *snapshot.shadows)
        names = list(dict.fromkeys(each.name for each in states))
        try:
            self._usage[name] = Lately(metrics.read(self.connection, snapshot.name, names, when, SHOWN), when)
        except ServiceError as error:
            self._usage[name] = Lately((), when, error.message)

    def _behind(self, watchers: list[_Watcher]) -> list[str]:
        """Return of which endpoints it is not known where a rollback goes to from the config that they settled on."""
        seen = {name: self._watched[name].snapshot for name in _measured(watchers)}
        settled = {name: each.config_name for name, each in seen.items() if each is not None and each.settled}
        return [
            name
            for name, config in settled.items()
            if name in self._doubted or self._before.get(name, ("",))[0] != config
        ]

    def _look_back(self, name: str) -> None:
        """Find out which config a rollback goes to."""
        snapshot = self._watched[name].snapshot
        if snapshot is None:
            return
        with self._changed:
            self._doubted.discard(name)
        try:
            found = before(self.connection, snapshot)
        except ServiceError as error:
            if error.code in THROTTLED:
                with self._changed:
                    self._doubted.add(name)
                raise
            found = None  # who presses the button is told why
        self._before[name] = snapshot.config_name, found


def _measured(watchers: list[_Watcher]) -> list[str]:
    return sorted({each.name for each in watchers if each.measured and each.name is not None})


def _start(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="sm_magics-poller", daemon=True).start()

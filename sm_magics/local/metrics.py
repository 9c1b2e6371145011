"""The engine's metrics, by the names, dimensions and units that SageMaker publishes them under.

They are held in memory, in steps of ten seconds for three hours, in minutes for a day; `metrics_file` keeps them. What
an endpoint did stays after it is gone, as on AWS. Source: the SageMaker developer guide, "Monitor SageMaker AI with
Amazon CloudWatch".
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from sm_magics.local import gauges
from sm_magics.local.tally import Meter, Spread, Tally, merged, spread_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["NAMESPACE", "UNITS", "Key", "Metric", "Metrics"]

NAMESPACE = "AWS/SageMaker"
STEP = 10  # seconds
MINUTE = 60
FINE_SECONDS = 3 * 3600
KEPT_SECONDS = 24 * 3600
MAX_METERS = 1000

_SPREADS: Mapping[str, Callable[[Tally], Spread]] = {
    "Invocations": lambda tally: _repeated(1, tally.invocations),
    "InvocationsPerInstance": lambda tally: _shared(tally.per_instance, tally.invocations),
    "Invocation4XXErrors": lambda tally: _errors(tally.client_errors, tally.invocations),
    "Invocation5XXErrors": lambda tally: _errors(tally.server_errors, tally.invocations),
    "InvocationModelErrors": lambda tally: _errors(tally.model_errors, tally.invocations),
    "ModelLatency": lambda tally: tally.model,
    "OverheadLatency": lambda tally: tally.overhead,
}
UNITS: Mapping[str, str] = {
    **{name: "Microseconds" if name.endswith("Latency") else "None" for name in _SPREADS},
    **dict.fromkeys(gauges.NAMES, "Percent"),
}


class Metric(NamedTuple):
    """What names a metric; dimensions are pairs of name and value, sorted."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


class Key(NamedTuple):
    """Whose invocations a meter counts: names of an endpoint, a variant and an endpoint config."""

    endpoint: str
    variant: str
    config: str

    def dimensions(self, *, of_config: bool) -> tuple[tuple[str, str], ...]:
        config = (("EndpointConfigName", self.config),) if of_config else ()
        return (*config, ("EndpointName", self.endpoint), ("VariantName", self.variant))


@dataclass(slots=True)
class _History:
    """One meter and what it has counted, the oldest first."""

    meter: Meter = field(default_factory=Meter)
    fine: deque[Tally] = field(default_factory=deque)
    coarse: deque[Tally] = field(default_factory=deque)

    def close(self) -> Tally | None:
        tally = self.meter.take()
        if tally is not None:
            self.fine.append(tally)
        return tally

    def age(self, now: float) -> None:
        """Make minutes of what is old, and forget what is older still."""
        while self.fine and self.fine[0].start < now - FINE_SECONDS:
            tally = self.fine.popleft()
            if self.coarse and self.coarse[-1].start // MINUTE == tally.start // MINUTE:
                tally = self.coarse.pop().plus(tally)
            self.coarse.append(tally)
        while self.coarse and self.coarse[0].start < now - KEPT_SECONDS:
            self.coarse.popleft()

    def tallies(self, start: float, end: float) -> Iterator[Tally]:
        """Yield what began from `start` to before `end`, the newest first."""
        opened = self.meter.peek()
        for group in ([opened] if opened else [], reversed(self.fine), reversed(self.coarse)):
            for each in group:
                if each.start < start:
                    return
                if each.start < end:
                    yield each

    @property
    def last(self) -> float | None:
        newest = self.meter.peek() or (self.fine or self.coarse or [None])[-1]
        return None if newest is None else newest.start


class Metrics:
    """The metrics of every variant of every endpoint.

    Parameters
    ----------
    now
        Returns the time in seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._open = _slot(now())
        self._histories: dict[Key, _History] = {}
        self.closed: Callable[[Key, Tally], object] = lambda _key, _tally: None  # told of every step that is over
        self.gauges = gauges.Gauges()

    def meter(self, endpoint: str, variant: str, config: str) -> Meter:
        """Return what counts the invocations of a variant of the fleet of one endpoint config.

        Whoever takes it counts as one more of its `users`, and takes that back at the end.
        """
        key = Key(endpoint, variant, config)
        history = self._histories.pop(key, None) or _History()
        self._histories[key] = history  # the last one
        history.meter.users += 1
        unused = [each for each, kept in self._histories.items() if not kept.meter.users]
        for oldest in unused[: max(0, len(self._histories) - MAX_METERS)]:
            del self._histories[oldest]
        return history.meter

    def tick(self) -> None:
        """Take in what was counted; called about once a second, and before a look at the metrics."""
        now = self._now()
        slot = _slot(now)
        for key, history in self._histories.items():
            history.meter.fold(self._open)
            if slot != self._open:
                self._close(key, history)
                history.age(now)
        if slot != self._open:
            kept = {key: each for key, each in self._histories.items() if each.meter.users or each.last is not None}
            self._histories = kept
            self.gauges.forget(now - KEPT_SECONDS)
        self._open = slot

    def close(self) -> None:
        """Close the step that is under way: nothing more is counted."""
        self.tick()
        for key, history in self._histories.items():
            self._close(key, history)

    def _close(self, key: Key, history: _History) -> None:
        tally = history.close()
        if tally is not None:
            self.closed(key, tally)

    def kept(self) -> Iterator[tuple[Key, Tally]]:
        """Yield all steps and minutes that are over, of each meter the oldest first."""
        for key, history in self._histories.items():
            yield from ((key, each) for group in (history.coarse, history.fine) for each in group)

    def restore(self, rows: Iterable[tuple[Key, Tally]]) -> None:
        """Take what `kept` yielded, or `closed` was told, before anything is counted."""
        for key, tally in rows:
            self._histories.setdefault(key, _History()).fine.append(tally)
        for history in self._histories.values():
            history.age(self._now())

    def values(self, metric: Metric, start: int, count: int, period: int) -> list[Spread]:
        """Return the spreads of `count` periods of `period` seconds from `start` on, empty where nothing was."""
        if metric.namespace == gauges.NAMESPACE:
            return self.gauges.values(metric.name, metric.dimensions, start, count, period)
        made = _SPREADS.get(metric.name)
        found: list[list[Spread]] = [[] for _ in range(count)]
        if made is not None and metric.namespace == NAMESPACE:
            for history in self._matching(metric.dimensions):
                for tally in history.tallies(start, start + count * period):
                    found[(tally.start - start) // period].append(made(tally))
        return [merged(each) for each in found]

    def known(self, since: float = 0.0) -> Iterator[Metric]:
        """Yield every metric that has a value from `since` on."""
        yield from (Metric(gauges.NAMESPACE, *each) for each in self.gauges.known(since))
        seen = set()
        for key, history in self._histories.items():
            last = history.last
            if last is None or last < since:
                continue
            for dimensions in (key.dimensions(of_config=False), key.dimensions(of_config=True)):
                if dimensions not in seen:
                    seen.add(dimensions)
                    yield from (Metric(NAMESPACE, name, dimensions) for name in _SPREADS)

    def _matching(self, dimensions: tuple[tuple[str, str], ...]) -> Iterator[_History]:
        for key, history in self._histories.items():
            if dimensions in (key.dimensions(of_config=False), key.dimensions(of_config=True)):
                yield history


def _slot(now: float) -> int:
    return int(now // STEP) * STEP


def _repeated(value: int, count: int) -> Spread:
    return spread_of({value: count} if count else {})


def _errors(errors: int, count: int) -> Spread:
    """Return the spread of one value per invocation: 1 for an error, 0 for none."""
    return spread_of({value: number for value, number in ((0, count - errors), (1, errors)) if number})


def _shared(total: float, count: int) -> Spread:
    """Return the spread of 1/n per invocation. Of n only the mean is kept, so that of one tally all are the same."""
    each = total / count if count else 0.0
    return Spread(count, total, each, each, array("I"))

"""Moves traffic between the variants of an endpoint, in place: at once, or in steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sm_magics.deploy import change, observe_endpoint
from sm_magics.events import Reached, Stepping
from sm_magics.plan import Plan, reweigh
from sm_magics.target import Share
from sm_magics.traffic import stepped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sm_magics.clock import Clock
    from sm_magics.connection import Connection
    from sm_magics.events import Event
    from sm_magics.plan import Action
    from sm_magics.target import Live

__all__ = ["Course", "course_plan", "shift", "step"]

LOOKS = 5  # while a share is held


@dataclass(frozen=True, slots=True)
class Course:
    """The way of a newcomer: its shares in percent, one after another, each held for so many seconds."""

    endpoint: str
    newcomer: str
    steps: tuple[float, ...]
    every: float


def shift(  # noqa: PLR0913 - as deploy
    connection: Connection,
    endpoint: str,
    weights: Mapping[str, float],
    clock: Clock,
    *,
    wait: bool = True,
    timeout: float = 3600.0,
) -> Iterator[Event]:
    """Give each variant its weight, and yield what happens on the way, as a deployment does.

    Raises
    ------
    PlanError, ServiceError, DeployError
        As a deployment.
    """

    def look() -> Live:
        return observe_endpoint(connection, endpoint)

    def make(live: Live) -> Plan:
        return reweigh(endpoint, live, weights)

    yield from change(connection, endpoint, look, make, clock, wait=wait, timeout=timeout)


def step(connection: Connection, course: Course, clock: Clock, timeout: float = 3600.0) -> Iterator[Event]:
    """Move traffic to a newcomer in steps, each one verified and held; the last is not held.

    An interrupt leaves the share at which it is.

    Raises
    ------
    PlanError, ServiceError, DeployError
        As a deployment; the weights stay as they are then.
    """
    before = _weights(observe_endpoint(connection, course.endpoint))
    for number, percent in enumerate(course.steps, 1):
        weights = stepped(before, course.newcomer, percent)
        reached: Event | None = None
        for reached in shift(connection, course.endpoint, weights, clock, timeout=timeout):
            yield reached
        if number < len(course.steps):
            yield from _held(course, percent, clock)
    assert isinstance(reached, Reached)  # noqa: S101 - what a shift that does not raise ends with


def course_plan(live: Live, course: Course) -> Plan:
    """Return the calls of all steps as one plan, to be shown."""
    before = _weights(live)
    actions: list[Action] = []
    for percent in course.steps:
        weights = stepped(before, course.newcomer, percent)
        actions += reweigh(course.endpoint, live, weights).actions
        live = replace(live, shares={name: Share(weights[name], each.count) for name, each in live.shares.items()})
    return Plan(course.endpoint, live.config_name, live.shares, tuple(actions))


def _held(course: Course, percent: float, clock: Clock) -> Iterator[Stepping]:
    for look in range(LOOKS):
        yield Stepping(course.endpoint, course.newcomer, percent, course.every * (1 - look / LOOKS), course.steps)
        clock.sleep(course.every / LOOKS)


def _weights(live: Live) -> dict[str, float]:
    return {name: share.weight for name, share in live.shares.items()}

"""Moves traffic between the variants of an endpoint, in place: at once, or in steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from sm_magics.amounts import duration
from sm_magics.deploy import at_rest, change, observe_endpoint
from sm_magics.errors import DeployError, Detached, SmError
from sm_magics.events import Called, Reached, Stepping
from sm_magics.plan import Plan, reweigh
from sm_magics.target import Share, percent
from sm_magics.traffic import check_rising, stepped

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from sm_magics.clock import Clock
    from sm_magics.connection import Connection
    from sm_magics.events import Event
    from sm_magics.plan import Action
    from sm_magics.target import Live

__all__ = ["LOOKS", "Course", "Guard", "course_plan", "shift", "step"]

LOOKS = 5  # while a share is held


@dataclass(frozen=True, slots=True)
class Course:
    """The way of a newcomer: its shares in percent, one after another, each held for so many seconds."""

    endpoint: str
    newcomer: str
    steps: tuple[float, ...]
    every: float


class Guard(Protocol):
    """Watches the newcomer."""

    def begin(self) -> None:
        """Take note that a step begins."""

    def trouble(self) -> str | None:
        """Return what is worse since then, in words; None where nothing is."""


def shift(  # noqa: PLR0913 - as deploy
    connection: Connection,
    endpoint: str,
    weights: Mapping[str, float],
    clock: Clock,
    *,
    counts: Mapping[str, int] | None = None,
    wait: bool = True,
    timeout: float = 3600.0,
) -> Iterator[Event]:
    """Give each variant its weight, and as many instances as `counts` says, and yield what happens on the way.

    Raises
    ------
    PlanError, ServiceError, DeployError
        As a deployment.
    """

    def make(live: Live) -> Plan:
        return reweigh(endpoint, live, weights, counts)

    look = partial(observe_endpoint, connection, endpoint)
    yield from change(connection, endpoint, look, make, clock, wait=wait, timeout=timeout)


def step(
    connection: Connection, course: Course, clock: Clock, *, guard: Guard | None = None, timeout: float = 3600.0
) -> Iterator[Event]:
    """Move traffic to a newcomer in steps, each one verified and held; the last is held only for a guard.

    What is under way at the endpoint is waited for first: the weights that it leads to are those to go back to.
    An interrupt leaves the share at which it is. Who has the share of the last step already keeps it.

    Raises
    ------
    CellError
        When the newcomer has more than the first step would give it.
    PlanError, ServiceError, DeployError
        As a deployment; the weights stay as they are then. A DeployError too when the guard finds that the newcomer
        is worse, or can no longer look: then the weights are again what they were before the first step. And one when
        somebody else moved the traffic while a share was held: then it stays where that one moved it, whatever a guard
        has found. Where the weights could not be moved back, it says both that and what was worse.
    Detached
        When the moving back is interrupted: it says the same.
    """
    before = _weights((yield from at_rest(connection, course.endpoint, clock, timeout)))
    if _arrived(before, course):
        yield from shift(connection, course.endpoint, before, clock, timeout=timeout)
        return
    check_rising(course.endpoint, course.newcomer, before, course.steps)
    if guard is not None:
        guard.begin()  # what cannot be watched is not begun
    for number, share in enumerate(course.steps, 1):
        weights = stepped(before, course.newcomer, share)
        reached: Event | None = None
        for reached in shift(connection, course.endpoint, weights, clock, timeout=timeout):
            yield reached
        if number < len(course.steps) or guard is not None:
            worse = yield from _held(course, share, clock, guard, more=number < len(course.steps))
            if worse is not None:
                yield from _taken_back(connection, course, weights, before, clock, timeout, f"at {share:g} %: {worse}")
            live = yield from at_rest(connection, course.endpoint, clock, timeout)  # it may be another's update
            if (moved := _disturbed(live, course, weights, before)) is not None:
                raise moved
    assert isinstance(reached, Reached)  # noqa: S101 - what a shift that does not raise ends with
    yield reached


def _held(
    course: Course, share: float, clock: Clock, guard: Guard | None, *, more: bool
) -> Generator[Stepping, None, str | None]:
    """Let the time of a step pass, and let the guard begin with the next where there is one; return what is worse."""
    try:
        for look in range(LOOKS):
            yield Stepping(course.endpoint, course.newcomer, share, course.every * (1 - look / LOOKS), course.steps)
            clock.sleep(course.every / LOOKS)
            if guard is not None and (worse := guard.trouble()) is not None:
                return worse
        if guard is not None and more:
            guard.begin()
    except SmError as error:
        return f"it can no longer be watched ({error.message})"
    return None


def _taken_back(  # noqa: PLR0913, PLR0917 - what is taken back, and why
    connection: Connection,
    course: Course,
    weights: Mapping[str, float],
    before: Mapping[str, float],
    clock: Clock,
    timeout: float,
    why: str,
) -> Iterator[Event]:
    """Give all variants the weights that they had, unless somebody else moved the traffic meanwhile, and raise."""
    moved: DeployError | None = None

    def make(live: Live) -> Plan:  # asked again where another change came between the look and the call
        nonlocal moved
        moved = _disturbed(live, course, weights, before, worse=why)
        if moved is not None:
            raise moved
        return reweigh(course.endpoint, live, before)

    look = partial(observe_endpoint, connection, course.endpoint)
    reached: Event | None = None
    asked = False
    try:
        for reached in change(connection, course.endpoint, look, make, clock, timeout=timeout):
            yield reached
            asked = asked or isinstance(reached, Called)
    except KeyboardInterrupt:
        raise _interrupted(course, weights, before, why, asked=asked) from None
    except SmError as error:
        if error is moved:
            raise
        raise _not_taken_back(course, weights, before, why, error, asked=asked) from error
    told = f"variant '{course.newcomer}' of endpoint '{course.endpoint}' was taken back {why}"
    hint = f"the traffic is as before: {_told(before)}; what it printed: %sm_logs {course.endpoint} {course.newcomer}"
    raise DeployError(told, hint=hint, snapshot=reached.snapshot if isinstance(reached, Reached) else None, over=True)


def _to_be_taken_back(course: Course, worse: str) -> str:
    return f"variant '{course.newcomer}' was to be taken back {worse}; "


def _not_taken_back(  # noqa: PLR0913 - what was to be taken back, why, and what came between
    course: Course,
    weights: Mapping[str, float],
    before: Mapping[str, float],
    worse: str,
    error: SmError,
    *,
    asked: bool,
) -> DeployError:
    """Return the error that says both that the newcomer was worse, and that it may still have its share."""
    share = _its_share(course, weights)
    failed = f"it still has {share}, for taking it back failed: {error.message}"
    if asked:
        failed = f"it may still have {share}, for that was asked for, and then failed: {error.message}"
    hint = _by_hand(course, before)
    if error.hint is not None:
        hint = f"{error.hint}\n  {hint}"
    snapshot = error.snapshot if isinstance(error, DeployError) else None
    return DeployError(_to_be_taken_back(course, worse) + failed, hint=hint, snapshot=snapshot)


def _interrupted(
    course: Course, weights: Mapping[str, float], before: Mapping[str, float], worse: str, *, asked: bool
) -> Detached:
    """Return what an interrupt of the taking back leaves: a call may be under way, too, which nobody waits for now."""
    why = "that was asked for, and goes on by itself" if asked else "that was interrupted"
    told = f"stopped; {_to_be_taken_back(course, worse)}it may still have {_its_share(course, weights)}, for {why}"
    return Detached(f"{told}\n  %sm_status {course.endpoint} shows it; {_by_hand(course, before)}")


def _its_share(course: Course, weights: Mapping[str, float]) -> str:
    return f"{weights[course.newcomer]:g} % of the traffic of endpoint '{course.endpoint}'"


def _by_hand(course: Course, before: Mapping[str, float]) -> str:
    words = " ".join(f"{name}={weight:.15g}" for name, weight in before.items())
    return f"to take it back yourself: %sm_traffic {course.endpoint} {words}"


def course_plan(live: Live, course: Course, kinds: Sequence[str] = ()) -> Plan:
    """Return the calls of all steps as one plan, to be shown, with how long each share is held, and what guards it.

    Raises
    ------
    CellError
        When the newcomer has more than the first step would give it.
    """
    before = _weights(live)
    actions: list[Action] = []
    arrived = _arrived(before, course)
    if not arrived:
        check_rising(course.endpoint, course.newcomer, before, course.steps)
    for share in () if arrived else course.steps:
        weights = stepped(before, course.newcomer, share)
        actions += reweigh(course.endpoint, live, weights).actions
        live = replace(live, shares={name: Share(weights[name], each.count) for name, each in live.shares.items()})
    notes = _course_words(course, before, kinds) if actions else ()
    return Plan(course.endpoint, live.config_name, live.shares, tuple(actions), notes=notes)


def _course_words(course: Course, before: Mapping[str, float], kinds: Sequence[str]) -> tuple[str, ...]:
    count = len(course.steps) if kinds else len(course.steps) - 1
    if not count:
        return ("The share is moved at once, and stays: nothing is held, and nothing guards it.",)
    last = "the last one, too" if kinds else "but the last, which stays"
    times = f"Each share is held for {duration(course.every)}, {last}: {duration(count * course.every)} in all,"
    times += " besides the calls."
    if not kinds:
        return (times, "Nothing guards it: --guard errors would take the share back when more requests fail.")
    looked = f"--guard {','.join(kinds)} looks {LOOKS} times while a share is held; when '{course.newcomer}' is worse,"
    return times, f"{looked} or can no longer be watched, the traffic goes back to {_told(before)}."


def _disturbed(
    live: Live, course: Course, weights: Mapping[str, float], before: Mapping[str, float], *, worse: str = ""
) -> DeployError | None:
    """Return the error that the traffic is no longer where a step moved it; `worse` is what a guard has found at it."""
    now = _weights(live)
    if now.keys() == weights.keys() and all(math.isclose(now[each], weights[each], rel_tol=1e-4) for each in now):
        return None
    moved = f"the traffic of endpoint '{course.endpoint}' was moved by somebody else while '{course.newcomer}' had"
    moved += f" {weights[course.newcomer]:g} %: {_told(now)}"
    if not worse:
        hint = "it stays there, and no further step is taken; run the cell again to begin anew"
        return DeployError(moved, hint=hint, over=True)
    hint = f"it stays there; see what there is now: %sm_status {course.endpoint}"
    had = 100 * _share(before, course.newcomer)
    if len(now) > 1 and 100 * _share(now, course.newcomer) > had:
        words = " ".join(f"{name}={share:.6g}" for name, share in stepped(now, course.newcomer, had).items())
        hint = f"it stays there; to take '{course.newcomer}' back yourself: %sm_traffic {course.endpoint} {words}"
    return DeployError(f"{_to_be_taken_back(course, worse)}it was not taken back: {moved}", hint=hint, over=True)


def _told(weights: Mapping[str, float]) -> str:
    total = sum(weights.values()) or 1.0
    return (
        ", ".join(f"{name} {percent(weight / total)}" for name, weight in weights.items()) or "it has no variants now"
    )


def _arrived(weights: Mapping[str, float], course: Course) -> bool:
    """Return whether the newcomer has the share of the last step: a cell that is run again takes nothing back."""
    return math.isclose(100 * _share(weights, course.newcomer), course.steps[-1], rel_tol=1e-4)


def _share(weights: Mapping[str, float], name: str) -> float:
    """Return which part of 1 one of them has, 0 where nobody has a weight."""
    return weights.get(name, 0.0) / (sum(weights.values()) or 1.0)


def _weights(live: Live) -> dict[str, float]:
    return {name: share.weight for name, share in live.shares.items()}

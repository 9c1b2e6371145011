"""Carries a rollout out: starts the new fleet, moves the traffic step by step, watches, and finishes or goes back.

No request is lost on the way: traffic moves only to instances that passed their health check, and an instance is
stopped only when it has answered all that it was sent.
"""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

from sm_magics.local.host import StartFailed
from sm_magics.local.router import Part

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from sm_magics.local.fleet import Fleet
    from sm_magics.local.rollout import Rollout, Step
    from sm_magics.local.router import Route

__all__ = ["Observer", "RolledBack", "Serving", "Shift", "Stuck", "parts", "retire"]

LOOK_SECONDS = 0.25  # between looks at the alarms
PARKED_LOOKS, PARKED_SECONDS = 250, 0.02

Serving = list[tuple["Fleet", Fraction]]  # the fleets of an endpoint, each with its share of the traffic


class RolledBack(Exception):  # noqa: N818 - named for what happened
    """The deployment is to be rolled back; the text is the endpoint's FailureReason."""


class Stuck(Exception):  # noqa: N818 - named for what happened
    """The old fleet of a rolling deployment cannot be brought back; the text is why. A mix of both serves."""


class Observer(Protocol):
    """Who is told of a deployment while it happens, and who knows the alarms."""

    def launched(self, counts: Mapping[str, int]) -> None:
        """Learn how many instances of each variant of the new fleet are ready."""

    def shifted(self, step: Step, status: str) -> None:
        """Learn that the traffic is as `step` says, and what happens now: `ActivatingTraffic` or `Baking`."""

    def left(self, counts: Mapping[str, int]) -> None:
        """Learn how many instances of each variant the old fleet has, when that has changed."""

    def retiring(self) -> None:
        """Learn that the old fleet is being stopped."""

    def alarmed(self, names: Sequence[str]) -> Sequence[str]:
        """Return those of the alarms that are in state ALARM."""


class Shift:
    """One deployment, from the fleets that serve to a new one.

    Parameters
    ----------
    old
        What serves, by fleet.
    new
        The fleet to be started.
    route
        Where requests go; changed at each step.
    rollout
        The steps.
    observer
        Told of each.
    """

    def __init__(self, old: Serving, new: Fleet, route: Route, rollout: Rollout, observer: Observer) -> None:
        self._old = old
        self._new = new
        self._route = route
        self._rollout = rollout
        self._observer = observer
        self._share = Fraction(0)

    async def run(self) -> Serving:
        """Carry the rollout out and return what serves then.

        Raises
        ------
        StartFailed, RolledBack
            When it was rolled back: what served before serves again.
        Stuck
            When it can go neither on nor back.
        """
        seconds = self._rollout.seconds
        try:
            async with asyncio.timeout(seconds):
                for step in self._rollout.steps:
                    await self._take(step)
        except TimeoutError:
            late = RolledBack(f"The deployment did not finish within {seconds:g} seconds, so it was rolled back.")
            await self._go_back(late)
            raise late from None
        except Exception as failure:
            await self._go_back(failure)
            raise
        self._observer.retiring()
        for fleet, _ in self._old:
            await retire(fleet)
        return [(self._new, Fraction(1))]

    @property
    def serving(self) -> Serving:
        """Every fleet with its share of the traffic right now."""
        return [(self._new, self._share)] + [(fleet, part * (1 - self._share)) for fleet, part in self._old]

    async def _take(self, step: Step) -> None:
        await self._new.scale(step.new, self._observer.launched)
        self._send(step.share)
        self._observer.shifted(step, "ActivatingTraffic")
        if step.seconds or step.share < 1:
            await asyncio.sleep(0)
            self._observer.shifted(step, "Baking")
        await self._watch(asyncio.sleep(step.seconds))
        for fleet, _ in self._old:
            counts = {name: step.old[name] for name in fleet.lanes if name in step.old}
            await self._watch(self._scale_old(fleet, counts))

    async def _watch(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do something, and end it when an alarm goes off meanwhile.

        One that was in ALARM before counts as well: the service's way is not known.
        """
        task = asyncio.get_running_loop().create_task(doing)
        try:
            while True:
                names = self._observer.alarmed(self._rollout.alarms)
                if names:
                    raise RolledBack(
                        f"One or more alarms [{', '.join(names)}] in AutoRollbackConfiguration went into ALARM state "
                        "during the deployment, so it was rolled back."
                    )
                if task.done():
                    return task.result()
                await asyncio.wait([task], timeout=LOOK_SECONDS)
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _go_back(self, failure: Exception) -> None:
        """Give the old fleet all it had, then stop the new one."""
        if self._rollout.batch is not None:
            try:
                await self._refill(self._rollout.batch)
            except StartFailed as again:
                raise Stuck(f"{failure} The rollback failed too: {again}") from again
        if self._old:
            self._send(Fraction(0))
        await retire(self._new)

    async def _refill(self, batch: int) -> None:
        """Bring the instances of the old fleet back that a rolling deployment has stopped, some at a time."""
        for fleet, _ in self._old:
            for name, whole in fleet.full.items():
                for count in [*range(fleet.counts[name] + batch, whole, batch), whole]:
                    await self._scale_old(fleet, {name: count})

    async def _scale_old(self, fleet: Fleet, counts: Mapping[str, int]) -> None:
        before = fleet.counts
        try:
            await fleet.scale(counts)
        finally:
            if fleet.counts != before:
                self._observer.left(fleet.counts)

    def _send(self, share: Fraction) -> None:
        self._share = share
        self._route.serve(parts(self.serving))


def parts(serving: Serving) -> list[Part]:
    """Return the parts of the traffic that fleets get."""
    return [Part({name: fleet.lanes[name] for name in fleet.weights}, fleet.weights, share) for fleet, share in serving]


async def retire(fleet: Fleet) -> None:
    """Stop a fleet that gets no new requests once it has answered those it has.

    What waits for an instance that died is answered when the instance is back, which takes a moment.
    """
    for _ in range(PARKED_LOOKS):
        if not any(lane.parked for lane in fleet.lanes.values()):
            break
        await asyncio.sleep(PARKED_SECONDS)
    await fleet.stop()

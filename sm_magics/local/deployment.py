"""Makes endpoints what their state says: starts fleets, has traffic moved, and records how it ended.

There is one task for an endpoint at a time. An update starts the new fleet beside the old one, moves the traffic as its
deployment policy says, and stops the old one when its last answer is given; no request is lost or answered twice. When
the new fleet cannot start, the old one never notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from sm_magics.errors import EngineError
from sm_magics.local import lifecycle, progress, rollout
from sm_magics.local.fleet import Fleet
from sm_magics.local.host import StartFailed
from sm_magics.local.router import Route
from sm_magics.local.shifting import RolledBack, Serving, Shift, Stuck, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sm_magics.local.capture import Captures
    from sm_magics.local.host import Host
    from sm_magics.local.lifecycle import Endpoint, Variant
    from sm_magics.local.rollout import Step
    from sm_magics.local.store import Store

__all__ = ["Deployments"]

WRITE_SECONDS = 1.0  # between tries to write down what has happened
_LOG = logging.getLogger(__name__)
_FAILED = "Request to service failed. If failure persists after retry, contact customer support."


class Deployments:
    """Follows the state of every endpoint.

    Parameters
    ----------
    store
        Where the state is kept.
    host
        What instances run on.
    captures
        What writes the data that endpoints capture.
    routes
        Where the data plane looks an endpoint up; kept in step with the fleets.
    alarmed
        Returns those of the alarms it is given that are in state ALARM.
    seed
        Makes the order of the traffic repeatable; each endpoint draws from a stream of its own.
    now
        Returns the time in seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913 - what it stands between
        self,
        store: Store,
        host: Host,
        captures: Captures,
        routes: dict[str, Route],
        alarmed: Callable[[Sequence[str]], Sequence[str]],
        *,
        seed: int,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._host = host
        self._captures = captures
        self._routes = routes
        self._alarmed = alarmed
        self._seed = seed
        self._now = now
        self._serving: dict[str, Serving] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def resume(self) -> None:
        """Bring back every endpoint that the store knows, after the engine was started again."""
        for each in self._store.all("endpoint"):
            if isinstance(each, lifecycle.Endpoint):
                for config in (each.capture, each.pending and each.pending.capture):
                    if config:
                        self._captures.clean(each.name, config)
            self.follow(each.name)

    def follow(self, name: str) -> None:
        """Make true what the endpoint's state says, in the background."""
        previous = self._tasks.get(name)
        self._tasks[name] = asyncio.get_running_loop().create_task(self._after(previous, name))

    def processes(self) -> Iterator[tuple[str, str, int]]:
        """Yield endpoint, variant and process id of every instance that runs."""
        for name, serving in self._serving.items():
            for lane in (each for fleet, _ in serving for each in fleet.lanes.values()):
                yield from ((name, lane.variant, each.pid) for each in lane.instances if each.pid is not None)

    def missing(self, name: str) -> Counter[str]:
        """Return how many instances of each variant of an endpoint died and do not come back soon."""
        return sum((fleet.missing for fleet, _ in self._serving.get(name, ())), Counter())

    async def stop(self) -> None:
        """End every fleet once it has answered what is under way; the states stay as they are."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(fleet.stop() for serving in self._serving.values() for fleet, _ in serving))

    async def _after(self, previous: asyncio.Task[None] | None, name: str) -> None:
        if previous is not None:
            await asyncio.wait([previous])
        endpoint = self._store.endpoint(name)
        if endpoint is None:
            return
        try:
            await self._reach(endpoint)
        except (StartFailed, RolledBack) as failure:
            await self._record_failure(name, str(failure))
        except Stuck as failure:
            reason = str(failure)
            await self._record(name, lambda each: lifecycle.mix(each, reason, self._now()))
        except Exception:  # noqa: BLE001 - whatever it is, the endpoint must not stay in progress for ever
            _LOG.exception("the deployment of %s failed", name)
            await self._record_failure(name, _FAILED)

    async def _reach(self, endpoint: Endpoint) -> None:
        match endpoint.status:
            case "Creating":
                await self._replace_fleet(endpoint)
            case "Updating" if endpoint.pending is not None:
                with contextlib.suppress(StartFailed):  # the new fleet may do better
                    await self._ensure_serving(endpoint)
                await self._replace_fleet(endpoint)
            case "Updating":
                await self._ensure_serving(endpoint)
                await self._rescale(endpoint)
            case "Deleting":
                await self._remove(endpoint)
            case "InService":
                await self._ensure_serving(endpoint)
            case "OutOfService" | "UpdateRollbackFailed":  # after a restart, the config of record serves alone
                await self._ensure_serving(endpoint)
                await self._record(endpoint.name, lambda each: lifecycle.settle(each, self._now()))

    async def _replace_fleet(self, endpoint: Endpoint) -> None:
        pending = endpoint.pending
        assert pending is not None  # noqa: S101 - both states that lead here have one
        name = endpoint.name
        old = self._serving.get(name, [])
        before, after = lifecycle.capacity(endpoint.variants), lifecycle.capacity(pending.variants)
        # What CreateEndpoint was given is kept for updates: a new endpoint has no old fleet to move traffic from.
        steps = rollout.plan(endpoint.deployment_config if endpoint.variants else None, before, after)
        new = self._fleet(name, pending.config_name, pending.variants, pending.capture)
        route = self._routes.get(name) or self._new_route(name)
        shift = Shift(old, new, route, steps, _Observer(self._store, name, self._alarmed, self._now))
        self._serving[name] = [*old, (new, Fraction(0))]  # so that a stop of the engine ends it, too
        try:
            self._serving[name] = await shift.run()
        except Stuck:
            self._serving[name] = shift.serving
            raise
        except Exception:
            self._serving[name] = old
            raise
        self._routes[name] = route
        await self._record(name, lambda each: lifecycle.settle(each, self._now()))

    async def _ensure_serving(self, endpoint: Endpoint) -> None:
        """Start the fleet that should serve already, when the engine has just come back."""
        name = endpoint.name
        if self._serving.get(name) or not endpoint.variants:
            return
        rescaling = endpoint.status == "Updating" and endpoint.pending is None
        variants = tuple(map(lifecycle.as_running, endpoint.variants)) if rescaling else endpoint.variants
        fleet = self._fleet(name, endpoint.config_name, variants, endpoint.capture)
        self._serving[name] = [(fleet, Fraction(1))]
        self._routes[name] = self._new_route(name)
        self._routes[name].serve(parts(self._serving[name]))  # what comes in meanwhile is parked
        try:
            await fleet.start()
        except StartFailed:
            self._forget(name)
            raise

    async def _rescale(self, endpoint: Endpoint) -> None:
        ((fleet, share),) = self._serving[endpoint.name]
        try:
            await fleet.scale({each.name: each.desired_count for each in endpoint.variants})
        except StartFailed:
            await fleet.scale({each.name: each.current_count for each in endpoint.variants})
            raise
        fleet.change(endpoint.variants)
        self._routes[endpoint.name].serve(parts([(fleet, share)]))
        await self._record(endpoint.name, lambda each: lifecycle.settle(each, self._now()))

    async def _remove(self, endpoint: Endpoint) -> None:
        serving = self._serving.get(endpoint.name, [])
        self._forget(endpoint.name)
        await asyncio.gather(*(fleet.stop() for fleet, _ in serving))
        async with self._store.lock:
            current = self._store.endpoint(endpoint.name)
            if current is not None:
                await self._store.drop(current)
        self._host.faults.forget(endpoint.name)

    def _fleet(
        self, name: str, config_name: str, variants: Sequence[Variant], capture: Mapping[str, Any] | None
    ) -> Fleet:
        rng = random.Random(f"{self._seed}:{name}:{config_name}")  # noqa: S311 - samples traffic, protects nothing
        taken = self._captures.open(name, capture, rng)
        return Fleet(name, config_name, variants, self._host, rng=rng, capture=taken)

    def _new_route(self, name: str) -> Route:
        return Route(name, random.Random(f"{self._seed}:{name}"))  # noqa: S311 - shares traffic, protects nothing

    def _forget(self, name: str) -> None:
        self._serving.pop(name, None)
        self._routes.pop(name, None)

    async def _record_failure(self, name: str, reason: str) -> None:
        """Keep why it failed; an endpoint that served before and has no fleet any more is out of service."""

        def ended(endpoint: Endpoint) -> Endpoint:
            if endpoint.status != "Creating" and not self._serving.get(name):
                return lifecycle.lose(endpoint, reason, self._now())
            return lifecycle.fail(endpoint, reason, self._now())

        await self._record(name, ended)

    async def _record(self, name: str, change: Callable[[Endpoint], Endpoint]) -> None:
        """Keep how a change ended. What has happened has happened: a disk that is full is waited for."""
        while True:
            try:
                async with self._store.lock:
                    endpoint = self._store.endpoint(name)
                    if endpoint is not None:
                        await self._store.put(change(endpoint))
            except EngineError:
                _LOG.exception("%s has changed, which cannot be written down yet", name)
                await asyncio.sleep(WRITE_SECONDS)
            else:
                return


class _Observer:
    """Shows a deployment under way. It is kept in memory only: after a crash the deployment begins anew."""

    def __init__(
        self,
        store: Store,
        name: str,
        alarmed: Callable[[Sequence[str]], Sequence[str]],
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._name = name
        self.alarmed = alarmed
        self._now = now

    def launched(self, counts: Mapping[str, int]) -> None:
        self._show(lambda endpoint: progress.launched(endpoint, counts))

    def shifted(self, step: Step, status: str) -> None:
        told = step.activating if status == "ActivatingTraffic" else step.baking
        self._show(lambda each: progress.shift(each, step.share, status, lambda v: told(v.name), self._now()))

    def left(self, counts: Mapping[str, int]) -> None:
        self._show(lambda endpoint: progress.left(endpoint, counts))

    def retiring(self) -> None:
        self._show(lambda endpoint: progress.retiring(endpoint, self._now()))

    def _show(self, change: Callable[[Endpoint], Endpoint]) -> None:
        endpoint = self._store.endpoint(self._name)
        if endpoint is not None:
            self._store.show(change(endpoint))

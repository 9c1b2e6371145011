"""Makes endpoints what their state says: starts fleets, moves traffic, drains and stops, and records how it ended.

There is one task for an endpoint at a time. An update starts the new fleet beside the old one, moves the traffic once
every instance of it is healthy, and stops the old one when its last answer is given; no request is lost or answered
twice. When the new fleet cannot start, the old one never notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from sm_magics.local import lifecycle
from sm_magics.local.fleet import Fleet, Host, StartFailed
from sm_magics.local.router import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sm_magics.local.lifecycle import Endpoint, Variant
    from sm_magics.local.store import Store

__all__ = ["Deployments"]

PARKED_LOOKS, PARKED_SECONDS = 250, 0.02
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
    routes
        Where the data plane looks an endpoint up; kept in step with the fleets.
    seed
        Makes the order of the traffic repeatable; each endpoint draws from a stream of its own.
    now
        Returns the time in seconds since the epoch.
    """

    def __init__(
        self, store: Store, host: Host, routes: dict[str, Route], *, seed: int, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._host = host
        self._routes = routes
        self._seed = seed
        self._now = now
        self._fleets: dict[str, Fleet] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def resume(self) -> None:
        """Bring back every endpoint that the store knows, after the engine was started again."""
        for each in self._store.all("endpoint"):
            self.follow(each.name)

    def follow(self, name: str) -> None:
        """Make true what the endpoint's state says, in the background."""
        previous = self._tasks.get(name)
        self._tasks[name] = asyncio.get_running_loop().create_task(self._after(previous, name))

    async def stop(self) -> None:
        """End every fleet once it has answered what is under way; the states stay as they are."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(fleet.stop() for fleet in self._fleets.values()))

    async def _after(self, previous: asyncio.Task[None] | None, name: str) -> None:
        if previous is not None:
            await asyncio.wait([previous])
        endpoint = self._store.endpoint(name)
        if endpoint is None:
            return
        try:
            await self._reach(endpoint)
        except StartFailed as failure:
            await self._record_failure(name, str(failure))
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
            case "OutOfService":
                await self._ensure_serving(endpoint)
                await self._record(endpoint.name, lambda each: lifecycle.settle(each, self._now()))

    async def _replace_fleet(self, endpoint: Endpoint) -> None:
        pending = endpoint.pending
        assert pending is not None  # noqa: S101 - both states that lead here have one
        fleet = await self._started(endpoint.name, pending.variants)
        old = self._fleets.get(endpoint.name)
        old_route = self._routes.get(endpoint.name)
        self._serve(endpoint.name, fleet, pending.config_name, pending.variants)
        if old is not None and old_route is not None:
            await _until_none_is_parked(old_route)
            await old.stop()
            old_route.abandon()
        await self._record(endpoint.name, lambda each: lifecycle.settle(each, self._now()))

    async def _ensure_serving(self, endpoint: Endpoint) -> None:
        """Start the fleet that should serve already, when the engine has just come back."""
        if endpoint.name in self._fleets or not endpoint.variants:
            return
        variants = [_as_running(each) for each in endpoint.variants]
        fleet = Fleet(endpoint.name, variants, self._host, self._recovered(endpoint.name))
        self._serve(endpoint.name, fleet, endpoint.config_name, variants)  # what comes in meanwhile is parked
        try:
            await fleet.start(lambda _: None)
        except StartFailed:
            self._forget(endpoint.name)
            raise
        for each in variants:
            self._routes[endpoint.name].release(each.name)

    async def _rescale(self, endpoint: Endpoint) -> None:
        fleet = self._fleets[endpoint.name]
        try:
            await fleet.scale({each.name: each.desired_count for each in endpoint.variants})
        except StartFailed:
            await fleet.scale({each.name: each.current_count for each in endpoint.variants})
            raise
        self._routes[endpoint.name].reweigh({each.name: each.desired_weight for each in endpoint.variants})
        await self._record(endpoint.name, lambda each: lifecycle.settle(each, self._now()))

    async def _remove(self, endpoint: Endpoint) -> None:
        fleet = self._fleets.get(endpoint.name)
        self._forget(endpoint.name)
        if fleet is not None:
            await fleet.stop()
        async with self._store.lock:
            current = self._store.endpoint(endpoint.name)
            if current is not None:
                await self._store.drop(current)
        self._host.logs.forget(endpoint.name)

    async def _started(self, name: str, variants: Sequence[Variant]) -> Fleet:
        fleet = Fleet(name, variants, self._host, self._recovered(name))

        def progress(counts: Mapping[str, int]) -> None:
            # Told while it happens, kept only in memory: a fleet that was starting starts again after a crash.
            current = self._store.endpoint(name)
            if current is not None:
                self._store.show(lifecycle.progress(current, counts))

        await fleet.start(progress)
        return fleet

    def _serve(self, name: str, fleet: Fleet, config_name: str, variants: Sequence[Variant]) -> None:
        rng = random.Random(f"{self._seed}:{name}")  # noqa: S311 - shares traffic, protects nothing
        weights = {each.name: each.desired_weight for each in variants}
        self._fleets[name] = fleet
        self._routes[name] = Route(config_name, weights, fleet.instances, rng)

    def _recovered(self, name: str) -> Callable[[str], None]:
        def release(variant: str) -> None:
            if name in self._routes:
                self._routes[name].release(variant)

        return release

    def _forget(self, name: str) -> None:
        self._fleets.pop(name, None)
        route = self._routes.pop(name, None)
        if route is not None:
            route.abandon()

    async def _record_failure(self, name: str, reason: str) -> None:
        """Keep why it failed; an endpoint that served before and has no fleet any more is out of service."""

        def ended(endpoint: Endpoint) -> Endpoint:
            if endpoint.status != "Creating" and name not in self._fleets:
                return lifecycle.lose(endpoint, reason, self._now())
            return lifecycle.fail(endpoint, reason, self._now())

        await self._record(name, ended)

    async def _record(self, name: str, change: Callable[[Endpoint], Endpoint]) -> None:
        async with self._store.lock:
            endpoint = self._store.endpoint(name)
            if endpoint is not None:
                await self._store.put(change(endpoint))


async def _until_none_is_parked(route: Route) -> None:
    """Wait for instances that died to come back and take what waits for them, for a while."""
    for _ in range(PARKED_LOOKS):
        if not route.parked:
            return
        await asyncio.sleep(PARKED_SECONDS)


def _as_running(variant: Variant) -> Variant:
    """Return the variant as it served before the change that is under way."""
    if not variant.current_count:
        return variant
    return replace(variant, desired_count=variant.current_count, desired_weight=variant.current_weight)

"""Faults on purpose: an endpoint that is slow, crashes, answers errors or cannot start, so that a rollout is rehearsed.

A fault acts where the real one would: a crash kills the worker's process, an error takes the place of the container's
own answer, a health check fails while an instance starts. So whatever watches the endpoint sees what it would see on a
bad day. Faults are in memory only: a restart of the engine ends them, and so does the end of their endpoint.
"""

from __future__ import annotations

import asyncio
import random
import weakref
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from sm_magics.local.instance import Answer
from sm_magics.local.lifecycle import Refused
from sm_magics.local.router import Shares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sm_magics.local.api import Account
    from sm_magics.local.awsjson import Operations
    from sm_magics.local.instance import Serving, Waiter
    from sm_magics.local.lifecycle import Endpoint, Variant
    from sm_magics.local.router import Lane
    from sm_magics.local.store import Store

__all__ = ["Fault", "FaultApi", "Faults", "LaneFault"]

_TAKES_SECONDS, _TAKES_PERCENTAGE = frozenset({"slow"}), frozenset({"5xx", "throttle", "crash"})
_SAYS_ERROR = b"an error on purpose, by a fault of kind 5xx"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of an endpoint.

    `variant` of None is every variant. `spares` is the endpoint config that is left alone, when `next_only`. `share` is
    a percentage of the invocations; a crash without one happens once.
    """

    kind: str
    variant: str | None = None
    seconds: float = 0.0
    share: float | None = None
    next_only: bool = False
    spares: str | None = None

    def reaches(self, variant: str, config_name: str) -> bool:
        """Whether it is on a variant of a config."""
        return self.variant in {None, variant} and not (self.next_only and config_name == self.spares)


@dataclass(slots=True)
class _Active:
    """A fault with what it draws from: which invocations it hits, exactly as many as its share says."""

    fault: Fault
    shares: Shares[bool]
    once: bool = False
    spent: bool = False

    def draw(self) -> bool:
        if self.spent:
            return False
        self.spent = self.once
        return self.shares.draw()


class LaneFault:
    """What is wrong with one lane, of all faults that reach it.

    Attributes
    ----------
    unhealthy
        Whether its instances fail their health check.
    stuck
        Whether its instances never come up.
    throttling
        Whether it turns invocations away.
    over
        Set when something else, or nothing, is wrong with the lane.
    """

    def __init__(self, found: dict[str, _Active], kill: Callable[[int], None]) -> None:
        self._kill = kill
        self._slow = found["slow"].fault.seconds if "slow" in found else 0.0
        self._error, self._crash, self._throttle = found.get("5xx"), found.get("crash"), found.get("throttle")
        self.unhealthy = "ping" in found
        self.stuck = "stuck-creating" in found
        self.throttling = self._throttle is not None
        self.over = asyncio.Event()

    def send(self, instance: Serving, request: bytes, waiter: Waiter) -> bool:
        """Send a request as `Lane.send` does, and spoil its answer; False when it is throttled instead."""
        if self._throttle is not None and self._throttle.draw():
            return False
        crash = self._crash is not None and self._crash.draw()
        error = self._error is not None and self._error.draw()
        instance.send(
            request, _Spoiled(waiter, self._slow, error=error, crash=self._kill if crash else None, of=instance)
        )
        return True


class _Spoiled:
    """Stands before a waiter and passes on what a fault makes of the answer."""

    __slots__ = ("_crash", "_error", "_instance", "_slow", "_waiter")

    def __init__(
        self, waiter: Waiter, slow: float, *, error: bool, crash: Callable[[int], None] | None, of: Serving
    ) -> None:
        self._waiter = waiter
        self._slow = slow
        self._error = error
        self._crash = crash
        self._instance = of

    @property
    def over(self) -> bool:
        return self._waiter.over

    def answered(self, answer: Answer) -> None:
        if self._crash is not None:
            self._instance.ready = False  # nothing more is sent to what is about to die
            if self._instance.pid is not None:
                self._crash(self._instance.pid)
            self._waiter.lost(started=True)
            return
        if self._error:
            answer = Answer(500, b"text/plain", None, _SAYS_ERROR)
        if self._slow:
            asyncio.get_running_loop().call_later(self._slow, self._waiter.answered, answer)
        else:
            self._waiter.answered(answer)

    def lost(self, *, started: bool) -> None:
        self._waiter.lost(started=started)


class Faults:
    """The faults of all endpoints, and the lanes that they are on.

    Parameters
    ----------
    kill
        Ends a process by its id, by a signal.
    seed
        Makes it repeatable which invocations are hit.
    """

    def __init__(self, kill: Callable[[int], None], seed: int = 0) -> None:
        self._kill = kill
        self._seed = seed
        self._active: dict[str, list[_Active]] = {}
        self._lanes: defaultdict[str, weakref.WeakSet[Lane]] = defaultdict(weakref.WeakSet)

    def join(self, endpoint: str, lane: Lane) -> None:
        """Put an endpoint's faults on a lane of a new fleet, and all later ones."""
        self._lanes[_key(endpoint)].add(lane)
        lane.fault = self._of(endpoint, lane)

    def of(self, endpoint: str) -> list[Fault]:
        """Return the faults of an endpoint; a crash that has happened is none any more."""
        return [each.fault for each in self._active.get(_key(endpoint), ()) if not each.spent]

    def put(self, endpoint: str, fault: Fault) -> None:
        """Put a fault on an endpoint, in the place of one of the same kind on the same variant."""
        place = fault.kind, fault.variant
        others = [
            each
            for each in self._active.get(_key(endpoint), ())
            if not each.spent and (each.fault.kind, each.fault.variant) != place
        ]
        rng = random.Random(f"{self._seed}:{endpoint}:{place}")  # noqa: S311 - spoils answers, protects nothing
        share = 100.0 if fault.share is None else fault.share
        active = _Active(
            fault, Shares({True: share, False: 100.0 - share}, rng), fault.kind == "crash" and fault.share is None
        )
        self._change(endpoint, [*others, active])

    def clear(self, endpoint: str, variant: str | None = None) -> None:
        """End the faults of an endpoint, or those on one variant."""
        kept = [each for each in self._active.get(_key(endpoint), ()) if variant not in {None, each.fault.variant}]
        self._change(endpoint, kept)

    def forget(self, endpoint: str) -> None:
        """End the faults of an endpoint that is gone."""
        self._active.pop(_key(endpoint), None)
        self._lanes.pop(_key(endpoint), None)

    def out_of_quota(self, endpoint: str, variant: str, config_name: str) -> bool:
        """Whether a variant may have no further instance."""
        return any(each.kind == "quota" and each.reaches(variant, config_name) for each in self.of(endpoint))

    def _change(self, endpoint: str, active: list[_Active]) -> None:
        self._active[_key(endpoint)] = active
        for lane in self._lanes.get(_key(endpoint), ()):
            before, lane.fault = lane.fault, self._of(endpoint, lane)
            if before is not None:
                before.over.set()
            if lane.fault is not None and lane.fault.unhealthy and not (before is not None and before.unhealthy):
                self._take_out(lane)

    def _take_out(self, lane: Lane) -> None:
        """End instances that run and are unhealthy now, as one that fails its health check is replaced."""
        for instance in lane.instances:
            instance.ready = False
            if instance.pid is not None:
                self._kill(instance.pid)

    def _of(self, endpoint: str, lane: Lane) -> LaneFault | None:
        """Return what is wrong with a lane: of each kind what was put on its variant, else what is on all."""
        reach = [
            each
            for each in self._active.get(_key(endpoint), ())
            if each.fault.kind != "quota" and each.fault.reaches(lane.variant, lane.config_name)
        ]
        reach.sort(key=lambda each: each.fault.variant is not None)
        return LaneFault({each.fault.kind: each for each in reach}, self._kill) if reach else None


class FaultApi:
    """The operations PutFault, ListFaults and DeleteFaults.

    Parameters
    ----------
    faults
        Where faults are kept.
    store
        Knows the endpoints.
    account
        Whose endpoints these are.
    """

    def __init__(self, faults: Faults, store: Store, account: Account) -> None:
        self._faults = faults
        self._store = store
        self._account = account

    def operations(self) -> Operations:
        """Return the operations by name."""
        return {"PutFault": self.put, "ListFaults": self.list, "DeleteFaults": self.delete}

    def check_quota(self, name: str, config_name: str, growth: Iterable[tuple[Variant, int]]) -> None:
        """Refuse further instances of variants that a fault has no quota for; `growth` says how many of each.

        Raises
        ------
        Refused
            In the service's words: the limit is what all endpoints use by now.
        """
        for variant, wanted in growth:
            if wanted > 0 and self._faults.out_of_quota(name, variant.name, config_name):
                raise _over_quota(variant.instance_type, self._in_use(variant.instance_type), wanted)

    def _in_use(self, instance_type: str) -> int:
        variants = [each for endpoint in self._store.all("endpoint") for each in cast("Endpoint", endpoint).variants]
        return sum(each.current_count for each in variants if each.instance_type == instance_type)

    async def put(self, request: dict[str, Any]) -> None:
        fault = _fault(request)
        name = request["EndpointName"]
        endpoint = self._store.endpoint(name)
        if not fault.next_only:
            self._check_there(name, fault.variant)
        spares = endpoint.config_name if endpoint is not None and endpoint.variants else None
        self._faults.put(name, replace(fault, spares=spares) if fault.next_only else fault)

    async def list(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Faults": [_told(each) for each in self._faults.of(request["EndpointName"])]}

    async def delete(self, request: dict[str, Any]) -> None:
        self._faults.clear(request["EndpointName"], request.get("VariantName"))

    def _check_there(self, name: str, variant: str | None) -> None:
        endpoint = self._store.endpoint(name)
        if endpoint is None:
            raise Refused(f'Could not find endpoint "{self._account.arn("endpoint", name)}".')
        variants = {
            each.name for each in (*endpoint.variants, *(endpoint.pending.variants if endpoint.pending else ()))
        }
        if variant is not None and variant not in variants:
            raise Refused(f'Could not find variant "{variant}" for endpoint "{name}".')


def _over_quota(instance_type: str, in_use: int, wanted: int) -> Refused:
    """Return the refusal of instances that the account may not have, in the service's words."""
    return Refused(
        f"The account-level service limit '{instance_type} for endpoint usage' is {in_use} Instances, with current "
        f"utilization of {in_use} Instances and a request delta of {wanted} Instances. Please use AWS Service Quotas "
        "to request an increase for this quota. If AWS Service Quotas is not available, contact AWS support to request "
        "an increase for this quota.",
        "ResourceLimitExceeded",
    )


def _key(endpoint: str) -> str:
    return endpoint.lower()  # the service's names differ by more than case


def _fault(request: dict[str, Any]) -> Fault:
    kind, seconds, share = request["Kind"], request.get("Seconds"), request.get("Percentage")
    if (seconds is not None) != (kind in _TAKES_SECONDS):
        raise Refused(f"A fault of kind {kind} {'needs' if seconds is None else 'takes no'} Seconds.")
    if share is not None and kind not in _TAKES_PERCENTAGE:
        raise Refused(f"A fault of kind {kind} takes no Percentage.")
    if share is None and kind == "5xx":
        raise Refused(f"A fault of kind {kind} needs Percentage.")
    if 0 in {seconds, share}:
        raise Refused("A fault of 0 is none: Seconds and Percentage must be above 0.")
    return Fault(kind, request.get("VariantName"), seconds or 0.0, share, bool(request.get("NextOnly")))


def _told(fault: Fault) -> dict[str, Any]:
    return {
        "Kind": fault.kind,
        "VariantName": fault.variant,
        "Seconds": fault.seconds or None,
        "Percentage": fault.share,
        "NextOnly": fault.next_only,
        "SparedConfigName": fault.spares,
    }

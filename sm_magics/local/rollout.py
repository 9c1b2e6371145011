"""What a DeploymentConfig asks for, as steps: pure.

Source: the SageMaker developer guide, "Deployment guardrails" (blue/green with all-at-once, canary and linear traffic
shifting; rolling deployments), and the messages of `VariantStatus` in the API reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from sm_magics.local.lifecycle import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Rollout", "Step", "check", "plan"]

Counts = dict[str, int]
_WHOLE = Fraction(1)
_MOST_OF_A_CANARY = Fraction(1, 2)
_BATCH = (Fraction(5, 100), Fraction(1, 2))


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the instances of the new fleet, its share of the traffic, what is left of the old one, and the pause.

    `capacity` is how SageMaker's messages call the instances with traffic; `pause` the member that asks for it.
    """

    share: Fraction
    new: Counts
    old: Counts
    seconds: float
    capacity: str
    pause: str

    def activating(self, variant: str) -> str:
        """Return the message while the traffic of `variant` moves."""
        return f"Activating traffic on {self.capacity} of {self._with_traffic(variant)} instance(s)."

    def baking(self, variant: str) -> str:
        """Return the message while the step is watched."""
        return (
            f"Baking for {self.seconds:g} seconds ({self.pause}) with traffic enabled on {self.capacity} of "
            f"{self._with_traffic(variant)} instance(s)."
        )

    def _with_traffic(self, variant: str) -> int:
        return math.ceil(self.new[variant] * (self.share if self.capacity.startswith("canary") else 1))


@dataclass(frozen=True, slots=True)
class Rollout:
    """A deployment: its steps, the alarms that end it, and the seconds that it may take (None: as long as it takes).

    `batch` is how many instances a rolling deployment brings back at once when it is rolled back, None for blue/green,
    which has them all.
    """

    steps: tuple[Step, ...]
    alarms: tuple[str, ...] = ()
    seconds: float | None = None
    batch: int | None = None


def check(config: Mapping[str, Any], old: Counts, new: Counts) -> None:
    """Refuse what the service does not carry out.

    Raises
    ------
    Refused
        With the documented rule; the service's literal texts are not known.
    """
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if not config:
        return
    if blue_green and rolling:
        raise Refused("Specify either BlueGreenUpdatePolicy or RollingUpdatePolicy in DeploymentConfig, not both.")
    if old.keys() != new.keys() and (rolling or _shifts(config) or config.get("AutoRollbackConfiguration")):
        raise Refused(
            "When doing a blue/green or rolling deployment, your new endpoint configuration must have the same variant "
            "names as the old endpoint configuration."
        )
    if rolling:
        _check_rolling(rolling, new)
        return
    routing = (blue_green or {}).get("TrafficRoutingConfiguration", {})
    kind = routing.get("Type", "ALL_AT_ONCE")
    member = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}.get(kind)
    for each in ("CanarySize", "LinearStepSize"):
        if (each in routing) != (each == member):
            verb = "needs" if each == member else "does not take"
            raise Refused(f"TrafficRoutingConfiguration of type {kind} {verb} {each}.")
    if member:
        share = _part(routing[member], sum(new.values()))
        least = Fraction(1, 10) if kind == "LINEAR" and routing[member]["Type"] == "CAPACITY_PERCENT" else Fraction(0)
        if not least <= share <= _MOST_OF_A_CANARY:
            raise Refused(
                f"{member} must be at most 50% of the new fleet's capacity{', at least 10%' if least else ''}."
            )


def _check_rolling(policy: Mapping[str, Any], new: Counts) -> None:
    if len(new) > 1:
        raise Refused("Rolling deployments are not supported for endpoints with multiple production variants.")
    least, most = _BATCH
    size = policy["MaximumBatchSize"]
    if size["Type"] == "CAPACITY_PERCENT" and not least <= Fraction(size["Value"], 100) <= most:
        raise Refused("MaximumBatchSize must be between 5% and 50% of the variant's total instance count.")
    if size["Type"] == "INSTANCE_COUNT" and size["Value"] > max(1, sum(new.values()) // 2):
        raise Refused("MaximumBatchSize must be between 5% and 50% of the variant's total instance count.")


def _shifts(config: Mapping[str, Any]) -> bool:
    """Whether the traffic moves in more than one step."""
    routing = config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    return bool(routing.get("Type", "ALL_AT_ONCE") != "ALL_AT_ONCE")


def plan(config: Mapping[str, Any] | None, old: Counts, new: Counts) -> Rollout:
    """Return the steps of a deployment from a fleet of `old` instances by variant to one of `new`.

    Without a config all traffic moves at once, as soon as the new fleet is ready.
    """
    config = config or {}
    alarms = (config.get("AutoRollbackConfiguration") or {}).get("Alarms") or ()
    names = tuple(each["AlarmName"] for each in alarms)
    rolling = config.get("RollingUpdatePolicy")
    if rolling:
        (variant,) = new
        back = rolling.get("RollbackMaximumBatchSize") or {"Type": "CAPACITY_PERCENT", "Value": 100}
        return Rollout(
            tuple(_batches(rolling, old, new)),
            names,
            rolling.get("MaximumExecutionTimeoutInSeconds"),
            _instances(back, new[variant]),
        )
    policy = config.get("BlueGreenUpdatePolicy") or {}
    return Rollout(tuple(_shift(policy, old, new)), names, policy.get("MaximumExecutionTimeoutInSeconds"))


def _shift(policy: Mapping[str, Any], old: Counts, new: Counts) -> Iterator[Step]:
    """Yield the steps of a blue/green deployment: the new fleet is whole from the start, the old one until the end."""
    routing = policy.get("TrafficRoutingConfiguration", {})
    size = routing.get("CanarySize") or routing.get("LinearStepSize")
    part = _part(size, sum(new.values())) if size else _WHOLE
    parts = [part] if routing.get("Type") == "CANARY" else _multiples(part)
    for share in parts:
        yield Step(share, new, old, routing["WaitIntervalInSeconds"], "canary capacity", "WaitIntervalInSeconds")
    yield Step(_WHOLE, new, old, policy.get("TerminationWaitInSeconds", 0), "full capacity", "TerminationWaitInSeconds")


def _multiples(part: Fraction) -> Iterator[Fraction]:
    share = part
    while share < 1:
        yield share
        share += part


def _batches(policy: Mapping[str, Any], old: Counts, new: Counts) -> Iterator[Step]:
    """Yield the steps of a rolling deployment: each batch of new instances takes the place of as many old ones."""
    (variant,) = new
    whole, before = new[variant], old[variant]
    batch = _instances(policy["MaximumBatchSize"], whole)
    for ready in [*range(batch, whole, batch), whole]:
        share = Fraction(ready, whole)
        left = before - math.floor(before * share)
        wait = policy["WaitIntervalInSeconds"]
        yield Step(share, {variant: ready}, {variant: left}, wait, "full capacity", "WaitIntervalInSeconds")


def _instances(size: Mapping[str, Any], whole: int) -> int:
    """Return how many instances a CapacitySize is of `whole`: at least one."""
    value: int = size["Value"]
    if size["Type"] == "CAPACITY_PERCENT":
        value = math.floor(Fraction(value, 100) * whole)
    return min(whole, max(1, value))


def _part(size: Mapping[str, Any], whole: int) -> Fraction:
    """Return a CapacitySize as a part of the fleet; a percentage is of traffic, so not of whole instances."""
    return Fraction(size["Value"], 100 if size["Type"] == "CAPACITY_PERCENT" else whole)

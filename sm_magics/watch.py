"""Follows an endpoint until it settles: one look after another, quick while something moves, slow otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from sm_magics.alarms import names_in
from sm_magics.connection import call
from sm_magics.errors import ServiceError
from sm_magics.target import IN_PROGRESS, Share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from sm_magics.clock import Clock
    from sm_magics.connection import Connection

__all__ = ["AlarmState", "Snapshot", "VariantState", "described", "look", "parts", "watch", "with_alarms"]

FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.05, 5.0, 1.3  # seconds between looks while nothing changes


@dataclass(frozen=True, slots=True)
class VariantState:
    """One variant at one moment: weight and instances, now and wanted, and the phase it is in: what, why, since when.

    A serverless variant wants no number of instances; the service says of it that it has 0.
    """

    name: str
    weight: float | None
    wanted_weight: float | None
    count: int | None
    wanted_count: int | None
    phase: str | None = None
    message: str | None = None
    since: datetime | None = field(default=None, compare=False)

    @property
    def settled(self) -> bool:
        """Whether it has all that is wanted."""
        has_instances = self.wanted_count is None or self.count == self.wanted_count
        return self.weight == self.wanted_weight and has_instances and self.phase is None


@dataclass(frozen=True, slots=True)
class AlarmState:
    """An alarm that an update is watched by, and its state as CloudWatch calls it."""

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An endpoint at one moment, as DescribeEndpoint tells it.

    `shadows` are the variants that get copies of requests; `pending` are those of the fleet that is being built, under
    the config `pending_config`; `alarms` are watched meanwhile. `raw` is the whole answer, `elapsed` the seconds since
    the watching began, `now` the time at the service.
    """

    name: str
    arn: str
    status: str
    config_name: str
    variants: tuple[VariantState, ...]
    pending_config: str | None = None
    pending: tuple[VariantState, ...] = ()
    failure_reason: str | None = None
    shadows: tuple[VariantState, ...] = ()
    alarms: tuple[AlarmState, ...] = ()
    elapsed: float = field(default=0.0, compare=False)
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    now: datetime | None = field(default=None, compare=False)

    @property
    def shares(self) -> Mapping[str, Share]:
        """The weight and the instances that each variant is to have."""
        return {each.name: Share(each.wanted_weight or 0.0, each.wanted_count) for each in self.variants}

    @property
    def settled(self) -> bool:
        """Whether the service has finished with what it was asked."""
        return (
            self.status not in IN_PROGRESS
            and self.pending_config is None
            and (self.status != "InService" or all(each.settled for each in (*self.variants, *self.shadows)))
        )


def look(connection: Connection, name: str, elapsed: float = 0.0) -> Snapshot | None:
    """Return the endpoint as it is now, None when there is none.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    told = connection.told("Endpoint", name)
    if told is None:
        return None
    answer = {key: value for key, value in told.items() if key != "ResponseMetadata"}
    date = told.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    pending = answer.get("PendingDeploymentSummary") or {}
    return Snapshot(
        name=answer["EndpointName"],
        arn=answer["EndpointArn"],
        status=answer["EndpointStatus"],
        config_name=answer.get("EndpointConfigName", ""),
        variants=_variants(answer),
        pending_config=pending.get("EndpointConfigName"),
        pending=_variants(pending),
        failure_reason=answer.get("FailureReason"),
        shadows=_variants(answer, "ShadowProductionVariants"),
        elapsed=elapsed,
        raw=answer,
        now=parsedate_to_datetime(date) if date else None,
    )


def parts(connection: Connection, name: str) -> frozenset[str]:
    """Return the names of the configs that an endpoint runs on or moves to, and of the models in them.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    snapshot = look(connection, name)
    configs = {snapshot.config_name, snapshot.pending_config or ""} - {""} if snapshot else set()
    answers = [connection.describe("EndpointConfig", config) or {} for config in configs]
    variants = (
        each
        for answer in answers
        for each in (*answer.get("ProductionVariants", ()), *answer.get("ShadowProductionVariants", ()))
    )
    return frozenset({*configs, *(each["ModelName"] for each in variants if "ModelName" in each)})


def watch(
    connection: Connection, name: str, clock: Clock, *, until: Callable[[Snapshot], bool] | None = None
) -> Iterator[Snapshot]:
    """Yield the endpoint at every look, until it has settled (or `until` says so) or is gone.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    began = clock.now()
    pause = FIRST_PAUSE
    previous: Snapshot | None = None
    while True:
        snapshot = look(connection, name, clock.now() - began)
        if snapshot is None:
            return
        snapshot = replace(snapshot, alarms=_alarms(connection, snapshot, previous))
        yield snapshot
        if until(snapshot) if until else snapshot.settled:
            return
        pause = FIRST_PAUSE if snapshot != previous else min(pause * GROWTH, LONGEST_PAUSE)
        previous = snapshot
        clock.sleep(pause)


def with_alarms(connection: Connection, snapshot: Snapshot) -> Snapshot:
    """Return what a look gave with the alarms of an update that is under way, as far as they may be read."""
    return replace(snapshot, alarms=_alarms(connection, snapshot, None))


def described(connection: Connection, names: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return what CloudWatch says of the alarms of these names, at most 100; those that there are not are missing.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    kinds = ["MetricAlarm", "CompositeAlarm"]
    answer = call(connection.client("cloudwatch"), "DescribeAlarms", AlarmNames=[*names], AlarmTypes=kinds)
    return [*(answer.get("MetricAlarms") or ()), *(answer.get("CompositeAlarms") or ())]


def _alarms(connection: Connection, snapshot: Snapshot, previous: Snapshot | None) -> tuple[AlarmState, ...]:
    """Return the alarms of an update that is under way; what cannot be read now is as it was."""
    names = names_in(snapshot.raw.get("LastDeploymentConfig"))
    if not names or snapshot.pending_config in {None, snapshot.config_name}:
        return ()
    try:
        return tuple(AlarmState(each["AlarmName"], each["StateValue"]) for each in described(connection, names))
    except ServiceError:
        return previous.alarms if previous else ()


def _variants(answer: Mapping[str, Any], member: str = "ProductionVariants") -> tuple[VariantState, ...]:
    return tuple(_state(each) for each in answer.get(member) or ())


def _state(variant: Mapping[str, Any]) -> VariantState:
    phase: Mapping[str, Any] = next(iter(variant.get("VariantStatus") or ()), {})
    return VariantState(
        variant["VariantName"],
        variant.get("CurrentWeight"),
        variant.get("DesiredWeight"),
        variant.get("CurrentInstanceCount"),
        variant.get("DesiredInstanceCount"),
        phase.get("Status"),
        phase.get("StatusMessage"),
        phase.get("StartTime"),
    )

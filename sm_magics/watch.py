"""Follows an endpoint until it settles: one look after another, quick while something moves, slow otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sm_magics.target import IN_PROGRESS, Share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sm_magics.clock import Clock
    from sm_magics.connection import Connection

__all__ = ["Snapshot", "VariantState", "look", "watch"]

FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.05, 5.0, 1.3  # seconds between looks while nothing changes


@dataclass(frozen=True, slots=True)
class VariantState:
    """One variant at one moment: weight and instances, now and wanted, and the phase it is in.

    A serverless variant wants no number of instances; the service says of it that it has 0.
    """

    name: str
    weight: float | None
    wanted_weight: float | None
    count: int | None
    wanted_count: int | None
    phase: str | None = None

    @property
    def settled(self) -> bool:
        """Whether it has all that is wanted."""
        has_instances = self.wanted_count is None or self.count == self.wanted_count
        return self.weight == self.wanted_weight and has_instances and self.phase is None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An endpoint at one moment, as DescribeEndpoint tells it.

    `pending` are the variants of the fleet that is being built, under the config `pending_config`. `raw` is the whole
    answer, and `elapsed` the seconds since the watching began.
    """

    name: str
    arn: str
    status: str
    config_name: str
    variants: tuple[VariantState, ...]
    pending_config: str | None = None
    pending: tuple[VariantState, ...] = ()
    failure_reason: str | None = None
    elapsed: float = field(default=0.0, compare=False)
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

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
            and (self.status != "InService" or all(each.settled for each in self.variants))
        )


def look(connection: Connection, name: str, elapsed: float = 0.0) -> Snapshot | None:
    """Return the endpoint as it is now, None when there is none.

    Raises
    ------
    ServiceError
        When the service does not answer.
    """
    answer = connection.describe("Endpoint", name)
    if answer is None:
        return None
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
        elapsed=elapsed,
        raw=answer,
    )


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
        yield snapshot
        if until(snapshot) if until else snapshot.settled:
            return
        pause = FIRST_PAUSE if snapshot != previous else min(pause * GROWTH, LONGEST_PAUSE)
        previous = snapshot
        clock.sleep(pause)


def _variants(answer: Mapping[str, Any]) -> tuple[VariantState, ...]:
    return tuple(
        VariantState(
            each["VariantName"],
            each.get("CurrentWeight"),
            each.get("DesiredWeight"),
            each.get("CurrentInstanceCount"),
            each.get("DesiredInstanceCount"),
            next((phase["Status"] for phase in each.get("VariantStatus") or ()), None),
        )
        for each in answer.get("ProductionVariants") or ()
    )

"""The plan of a cell: from what is there to what it declares."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sm_magics.plan.actions import (
    UNGUARDED,
    Action,
    Plan,
    clear_failed,
    create_endpoint,
    drop_alarms,
    make_alarms,
    make_parts,
    reshare,
    retag,
    update_endpoint,
)
from sm_magics.plan.differences import after_update, same_content
from sm_magics.plan.refusals import check_update

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sm_magics.target import Live, Target

__all__ = ["plan"]


def plan(target: Target, live: Live) -> Plan:
    """Return the calls that make `live` what `target` says.

    Raises
    ------
    PlanError
        When no call can: the service would refuse it.
    """
    target = _keeping_scaled_counts(target, live)
    if live.in_progress:
        return Plan(target.endpoint, target.config_name, target.shares, settle_first=True)
    if live.status is None or live.status == "Failed":
        actions = [*clear_failed(target, live), *make_parts(target, live), create_endpoint(target)]
        return Plan(target.endpoint, target.config_name, target.shares, tuple(actions))
    if same_content(target, live):
        actions = [*_reshared(target, live), *retag(target, live)]
        return Plan(target.endpoint, live.config_name, target.shares, tuple(actions))
    check_update(target, live)
    parts = [*make_parts(target, live), *make_alarms(target, live)]
    actions = [*parts, update_endpoint(target, live), *drop_alarms(target, live), *retag(target, live)]
    return Plan(target.endpoint, target.config_name, after_update(target, live), tuple(actions))


def _reshared(target: Target, live: Live) -> Iterator[Action]:
    guarded = bool(target.deployment or target.alarms)
    return reshare(target.endpoint, target.shares, live, caution=UNGUARDED if guarded else "")


def _keeping_scaled_counts(target: Target, live: Live) -> Target:
    """Leave the instance counts of autoscaled variants to autoscaling."""
    kept = live.scaled & live.shares.keys() & target.shares.keys()
    if not kept:
        return target
    variants = [
        {**each, "InitialInstanceCount": live.shares[each["VariantName"]].count}
        if each["VariantName"] in kept
        else each
        for each in target.config["ProductionVariants"]
    ]
    return replace(target, config={**target.config, "ProductionVariants": variants})

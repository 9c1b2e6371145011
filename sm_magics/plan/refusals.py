"""What the service would refuse, said before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sm_magics import alarms
from sm_magics.errors import PlanError
from sm_magics.plan.differences import after_update

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sm_magics.target import Live, Share, Target

__all__ = ["check_update"]


def check_update(target: Target, live: Live) -> None:
    if live.config is None:
        raise PlanError(
            f"the config that endpoint '{target.endpoint}' runs on, '{live.config_name}', was deleted, "
            "so the service refuses to update the endpoint",
            hint=f"make a config of that name again, or delete the endpoint: %sm_delete {target.endpoint} --yes",
        )
    config = alarms.guarded(target).get("DeploymentConfig") or {}
    if not config:
        return
    if target.shares.keys() != live.shares.keys():
        raise PlanError(
            f"a deployment policy needs the same variants before and after: endpoint '{target.endpoint}' has "
            f"{_names(live.shares)}, the cell {_names(target.shares)}",
            hint="leave the policy out for this update (all traffic moves at once), or keep the variants' names",
        )
    _check_sizes(config, after_update(target, live))
    for name in alarms.names_in(target.deployment.get("DeploymentConfig")):
        if live.alarms is not None and name not in live.alarms:
            hint = "make it first, or describe it in the cell: rollback_on: [{metric: Invocation5XXErrors, above: 1%}]"
            raise PlanError(f"there is no alarm '{name}'", hint=hint)
        if name in live.ringing:
            told = f"alarm '{name}' is in ALARM already, so the update would be rolled back at once"
            raise PlanError(told, hint="wait until it is OK, or leave it out where this update is to mend what it says")


def _check_sizes(config: Mapping[str, Any], shares: Mapping[str, Share]) -> None:
    """Refuse steps that are too large for the new fleet; percentages were checked with the cell."""
    if config.get("RollingUpdatePolicy") and len(shares) > 1:
        raise PlanError(
            "a rolling deployment works for one variant only", hint="use a blue/green policy, or leave the policy out"
        )
    fleet = sum(each.count or 0 for each in shares.values())
    routing = (config.get("BlueGreenUpdatePolicy") or {}).get("TrafficRoutingConfiguration") or {}
    rolling = config.get("RollingUpdatePolicy") or {}
    for size, word, least in (
        (routing.get("CanarySize"), "canary", 0),
        (routing.get("LinearStepSize"), "linear", 0),
        (rolling.get("MaximumBatchSize"), "rolling", 1),
    ):
        if size and size["Type"] == "INSTANCE_COUNT" and size["Value"] > max(least, fleet // 2):
            raise PlanError(
                f"{word}: {size['Value']} of {fleet} instances is more than half of the new fleet",
                hint=f"write {word}: {_percentage(size['Value'])}% where a percentage is meant, or add instances",
            )


def _percentage(value: int) -> int:
    """Return the percentage that a number was meant as, where it could be one."""
    return value if 10 <= value <= 50 else 10  # noqa: PLR2004 - what every kind of step may have


def _names(names: Iterable[str]) -> str:
    return " and ".join(names)

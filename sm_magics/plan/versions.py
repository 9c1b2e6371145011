"""The plans that go from one endpoint config to another without a cell: to one variant alone, to an older config."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sm_magics.errors import PlanError
from sm_magics.plan.actions import Plan, update_endpoint
from sm_magics.plan.refusals import check_update
from sm_magics.plan.weights import reweigh
from sm_magics.target import ANSWER_ONLY, TAGS_TAG, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sm_magics.target import Live

__all__ = ["at_once", "config_of", "promoted", "switch"]

AT_ONCE = "All traffic moves at once: a deployment policy needs the same variants before and after."
OLD_WEIGHTS = "All traffic moves at once, and weights and instance counts are those of that config."


def promoted(endpoint: str, live: Live, variant: str, instances: int | None = None) -> Target:
    """Return what an endpoint is when all is as it is now, with one of its variants alone.

    Its instances are as many as now, unless `instances` says another number. What a cell would make of the same is
    the same, by name too.

    Raises
    ------
    PlanError
        When the endpoint's config was deleted, or has no such variant, or a serverless variant is to have instances.
    """
    if live.config is None:
        check_update(Target(endpoint, {"ProductionVariants": []}), live)
    config = config_of(live.config or {})
    only = next((each for each in config["ProductionVariants"] if each["VariantName"] == variant), None)
    if only is None:
        raise PlanError(f"endpoint '{endpoint}' has no variant '{variant}'; it has {', '.join(live.shares)}")
    share = live.shares[variant]
    if instances is not None and share.count is None:
        raise PlanError(f"variant '{variant}' is serverless: it has no number of instances", hint="leave it out")
    alone = len(live.shares) == 1 and share.weight > 0
    amounts: dict[str, Any] = {"InitialVariantWeight": share.weight if alone else 1.0}
    if share.count is not None:
        amounts["InitialInstanceCount"] = share.count if instances is None else instances
    return Target(endpoint, {**config, "ProductionVariants": [{**only, **amounts}]}, tags=_own_tags(live.tags))


def switch(endpoint: str, live: Live, name: str, config: Mapping[str, Any]) -> Plan:
    """Return the call that brings an endpoint to a config that there is.

    Where it is on it, only weights and instance counts are brought back, in place: none when they are the config's.

    Raises
    ------
    PlanError
        When the service would refuse it.
    """
    if live.in_progress:
        return Plan(endpoint, live.config_name, live.shares, settle_first=True)
    if live.config_name == name and live.status == "InService":
        shares = Target(endpoint, config_of(config)).shares
        counts = {each: share.count for each, share in shares.items() if share.count is not None}
        return reweigh(endpoint, live, {each: share.weight for each, share in shares.items()}, counts)
    if live.config_name == name:
        return Plan(endpoint, name, live.shares)
    if live.status != "InService":
        told = f"endpoint '{endpoint}' is {live.status or 'gone'}, and only one in service goes to another config"
        raise PlanError(told, hint=f"%sm_status {endpoint} says more")
    target = Target(endpoint, config_of(config))
    check_update(target, live)
    action = update_endpoint(target, live)
    request = {**action.request, "EndpointConfigName": name}
    return Plan(endpoint, name, target.shares, (replace(action, request=request, caution=OLD_WEIGHTS),))


def at_once(steps: Plan) -> Plan:
    """Return a plan whose updates say that no policy goes with them."""
    actions = (replace(each, caution=AT_ONCE) if each.operation == "UpdateEndpoint" else each for each in steps.actions)
    return replace(steps, actions=tuple(actions))


def config_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what would make a config anew, by what DescribeEndpointConfig says of it, without what says nothing."""
    return {
        key: value for key, value in answer.items() if key not in ANSWER_ONLY and value not in (None, [], {}, False)
    }


def _own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: tags[key] for key in tags.get(TAGS_TAG, "").split() if key in tags}

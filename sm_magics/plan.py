"""The difference between what a cell asks for and what the service says, as calls to make: pure, no I/O.

`plan(target, live)` is total: every pair gives a plan or a `PlanError`, and applying a plan reaches the target. It
compares with the live endpoint, not only with its config, because weights and counts drift from the config by design.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sm_magics import alarms
from sm_magics.errors import PlanError
from sm_magics.spec import policy_words
from sm_magics.target import AMOUNTS, ENDPOINT_TAG, TAGS_TAG, Share, content, shares_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sm_magics.models import Artifact, DesiredModel
    from sm_magics.target import Live, Target

__all__ = ["Action", "Plan", "plan"]


@dataclass(frozen=True)
class Action:
    """One call to make: `operation` and `request` are those of `service`, the rest is for people.

    `artifact` must lie at the request's ModelDataUrl before the call.
    """

    operation: str
    request: Mapping[str, Any]
    what: str
    before: str
    after: str
    why: str
    artifact: Artifact | None = None
    service: str = "sagemaker"


@dataclass(frozen=True)
class Plan:
    """The calls that lead to the target, in order, and what must then be true.

    With `settle_first` the service is changing the endpoint: wait, look and plan again. `expected` are the shares that
    the endpoint ends with, under a config called `config_name`.
    """

    endpoint: str
    config_name: str
    expected: Mapping[str, Share]
    actions: tuple[Action, ...] = ()
    settle_first: bool = False


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
        actions = [*_clear_failed(target, live), *_make_parts(target, live), _create_endpoint(target)]
        return Plan(target.endpoint, target.config_name, target.shares, tuple(actions))
    if _same_content(target, live):
        actions = [*_reshare(target, live), *_retag(target, live)]
        return Plan(target.endpoint, live.config_name, target.shares, tuple(actions))
    _check_update(target, live)
    parts = [*_make_parts(target, live), *_make_alarms(target, live)]
    actions = [*parts, _update_endpoint(target, live), *_drop_alarms(target, live), *_retag(target, live)]
    return Plan(target.endpoint, target.config_name, _after_update(target, live), tuple(actions))


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


def _same_content(target: Target, live: Live) -> bool:
    if ENDPOINT_TAG in live.tags and _hash_in(live.config_name) == target.content_hash:
        return True
    if live.config is None or _dropped(target, live):
        return False
    return _within(content(target.config), content(live.config)) and target.shares.keys() == live.shares.keys()


def _dropped(target: Target, live: Live) -> list[str]:
    """Return what the live config has and the cell leaves out: a shadow, capture. The service adds none by itself."""
    return sorted(key for key, value in content(live.config or {}).items() if value and key not in target.config)


def _clear_failed(target: Target, live: Live) -> Iterator[Action]:
    if live.status != "Failed":
        return
    if ENDPOINT_TAG not in live.tags:
        raise PlanError(
            f"endpoint '{target.endpoint}' has failed, and a failed endpoint can only be deleted",
            hint="it was not made here, so delete it yourself, then run this cell again",
        )
    yield Action(
        "DeleteEndpoint",
        {"EndpointName": target.endpoint},
        f"endpoint {target.endpoint}",
        "Failed",
        "gone",
        "a failed endpoint can only be deleted",
    )


def _make_parts(target: Target, live: Live) -> Iterator[Action]:
    tags = _tag_list({**target.tags, ENDPOINT_TAG: target.endpoint})
    for model in target.models:
        if model.name not in live.existing:
            yield Action(
                "CreateModel",
                {"ModelName": model.name, **model.request, "Tags": tags},
                f"model {model.name}",
                "",
                _image(model),
                "there is no model with this content yet",
                model.artifact,
            )
    if target.config_name not in live.existing:
        yield Action(
            "CreateEndpointConfig",
            {"EndpointConfigName": target.config_name, **target.config, "Tags": tags},
            f"endpoint config {target.config_name}",
            "",
            shares_text(target.shares),
            "there is no config with this content yet",
        )


def _make_alarms(target: Target, live: Live) -> Iterator[Action]:
    for request in alarms.requests(target):
        name = request["AlarmName"]
        if name not in (live.alarms or ()):
            yield Action(
                "PutMetricAlarm",
                request,
                f"alarm {name}",
                "",
                request["AlarmDescription"].partition(": ")[2].partition(". ")[0],
                "rolls this update back when it goes off",
                service="cloudwatch",
            )


def _drop_alarms(target: Target, live: Live) -> Iterator[Action]:
    """Delete our alarms of earlier updates: they judge a fleet that is no longer new."""
    used = set(alarms.names_in(alarms.guarded(target).get("DeploymentConfig")))
    old = sorted(each for each in live.alarms or () if each.startswith(alarms.prefix(target.endpoint)))
    if stale := [each for each in old if each not in used]:
        what = f"alarm {stale[0]}" if len(stale) == 1 else f"{len(stale)} alarms of endpoint {target.endpoint}"
        why = "made for an update before this one"
        yield Action("DeleteAlarms", {"AlarmNames": stale}, what, "", "gone", why, service="cloudwatch")


def _create_endpoint(target: Target) -> Action:
    # The service keeps a deployment policy for updates to come. Alarms of ours come with the update that they judge.
    deployment = {key: value for key, value in target.deployment.items() if key == "DeploymentConfig"}
    request = {"EndpointName": target.endpoint, "EndpointConfigName": target.config_name, **deployment}
    return Action(
        "CreateEndpoint",
        {**request, "Tags": _tag_list(_endpoint_tags(target))},
        f"endpoint {target.endpoint}",
        "",
        shares_text(target.shares),
        "there is no such endpoint",
    )


def _update_endpoint(target: Target, live: Live) -> Action:
    policy = policy_words(target.deployment.get("DeploymentConfig") or {})
    return Action(
        "UpdateEndpoint",
        {"EndpointName": target.endpoint, "EndpointConfigName": target.config_name, **alarms.guarded(target)},
        f"endpoint {target.endpoint}",
        shares_text(live.shares),
        shares_text(_after_update(target, live)) + (f" · {policy}" if policy else ""),
        _difference(target, live),
    )


def _reshare(target: Target, live: Live) -> Iterator[Action]:
    """Change weights and counts in place: no new fleet, and the config stays."""
    changed = {name: share for name, share in target.shares.items() if not share.same(live.shares.get(name))}
    if not changed:
        return
    wanted = [
        {"VariantName": name, "DesiredWeight": share.weight}
        | ({"DesiredInstanceCount": share.count} if share.count not in {None, live.shares[name].count} else {})
        for name, share in changed.items()
    ]
    counts = any("DesiredInstanceCount" in each for each in wanted)
    yield Action(
        "UpdateEndpointWeightsAndCapacities",
        {"EndpointName": target.endpoint, "DesiredWeightsAndCapacities": wanted},
        f"endpoint {target.endpoint}",
        _amounts(live.shares) if counts else shares_text(live.shares),
        _amounts(target.shares) if counts else shares_text(target.shares),
        "only weights or instance counts differ: in place, no new fleet",
    )


def _retag(target: Target, live: Live) -> Iterator[Action]:
    wanted = _endpoint_tags(target)
    ours = set(filter(None, live.tags.get(TAGS_TAG, "").split(" ")))
    missing = {key: value for key, value in wanted.items() if live.tags.get(key) != value}
    surplus = sorted((ours & live.tags.keys()) - wanted.keys())
    if missing:
        shown = ", ".join(f"{key}={value}" for key, value in missing.items() if not key.startswith("sm_magics:"))
        request = {"ResourceArn": live.arn, "Tags": _tag_list(missing)}
        yield Action("AddTags", request, f"endpoint {target.endpoint}", "", shown or "ours", "tags differ")
    if surplus:
        request = {"ResourceArn": live.arn, "TagKeys": surplus}
        yield Action("DeleteTags", request, f"endpoint {target.endpoint}", ", ".join(surplus), "", "tags differ")


def _check_update(target: Target, live: Live) -> None:
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
    _check_sizes(config, _after_update(target, live))
    for name in alarms.names_in(target.deployment.get("DeploymentConfig")):
        if live.alarms is not None and name not in live.alarms:
            hint = "make it first, or describe it in the cell: rollback_on: [{metric: Invocation5XXErrors, above: 1%}]"
            raise PlanError(f"there is no alarm '{name}'", hint=hint)


def _check_sizes(config: Mapping[str, Any], shares: Mapping[str, Share]) -> None:
    """Refuse steps that are too large for the new fleet; percentages were checked with the cell."""
    if config.get("RollingUpdatePolicy") and len(shares) > 1:
        raise PlanError(
            "a rolling deployment works for one variant only", hint="use a blue/green policy, or leave the policy out"
        )
    fleet = sum(each.count or 0 for each in shares.values())
    routing = (config.get("BlueGreenUpdatePolicy") or {}).get("TrafficRoutingConfiguration") or {}
    rolling = config.get("RollingUpdatePolicy") or {}
    for size, path, least in (
        (routing.get("CanarySize"), "BlueGreenUpdatePolicy.TrafficRoutingConfiguration.CanarySize", 0),
        (routing.get("LinearStepSize"), "BlueGreenUpdatePolicy.TrafficRoutingConfiguration.LinearStepSize", 0),
        (rolling.get("MaximumBatchSize"), "RollingUpdatePolicy.MaximumBatchSize", 1),
    ):
        if size and size["Type"] == "INSTANCE_COUNT" and size["Value"] > max(least, fleet // 2):
            raise PlanError(
                f"DeploymentConfig.{path}: {size['Value']} of {fleet} instances is more than half of the new fleet",
                hint="give a percentage such as 10%, or the variants more instances",
            )


def _after_update(target: Target, live: Live) -> Mapping[str, Share]:
    """Return the shares after UpdateEndpoint, which keeps the live ones when it is told to."""
    if not target.deployment.get("RetainAllVariantProperties"):
        return target.shares
    excluded = {each["VariantPropertyType"] for each in target.deployment.get("ExcludeRetainedVariantProperties") or ()}

    def kept(name: str, share: Share) -> Share:
        now = live.shares.get(name, share)
        return Share(
            share.weight if "DesiredWeight" in excluded else now.weight,
            share.count if "DesiredInstanceCount" in excluded else now.count,
        )

    return {name: kept(name, share) for name, share in target.shares.items()}


def _difference(target: Target, live: Live) -> str:
    """Say in words what differs between the live config and the target."""
    old = {each["VariantName"]: each for each in (live.config or {}).get("ProductionVariants", ())}
    new = {each["VariantName"]: each for each in target.config["ProductionVariants"]}
    reasons = [f"without {name}" for name in old if name not in new]
    reasons += [f"with {name}" for name in new if name not in old]
    for name, wanted in new.items():
        had = old.get(name, wanted)
        changed = [key for key in {**wanted, **had} if key not in AMOUNTS and wanted.get(key) != had.get(key)]
        reasons += [f"{name}: {_FIELD_WORDS.get(key, key)}" for key in changed]
    reasons += [f"without {_FIELD_WORDS.get(key, key)}" for key in _dropped(target, live)]
    return ", ".join(reasons) or "the endpoint config differs"


_FIELD_WORDS = {
    "ModelName": "another model",
    "InstanceType": "another instance type",
    "ShadowProductionVariants": "shadow",
    "DataCaptureConfig": "capture",
}


def _within(wanted: Any, found: Any) -> bool:
    """Whether all that is wanted is found; what the service filled in by itself does not count."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and _within(wanted[key], found[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(wanted) == len(found) and all(map(_within, wanted, found))
    return bool(wanted == found)


def _hash_in(config_name: str) -> str:
    parts = config_name.rsplit("-", 2)
    return parts[1] if len(parts) == 3 else ""  # noqa: PLR2004 - name, content, amounts


def _endpoint_tags(target: Target) -> dict[str, str]:
    return {**target.tags, ENDPOINT_TAG: target.endpoint, TAGS_TAG: " ".join(target.tags)}


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _image(model: DesiredModel) -> str:
    container = model.request.get("PrimaryContainer") or {}
    return str(container.get("Image", "")).rpartition("/")[2]


def _amounts(shares: Mapping[str, Share]) -> str:
    return ", ".join(f"{name} weight {each.weight:g} × {each.count}" for name, each in shares.items())


def _names(names: Iterable[str]) -> str:
    return " and ".join(names)

"""What a plan is made of: the calls that there are, each with what it says to people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics import alarms
from sm_magics.errors import PlanError
from sm_magics.plan.differences import after_update, difference
from sm_magics.spec import policy_words
from sm_magics.target import AFTER_TAG, BY_TAG, ENDPOINT_TAG, TAGS_TAG, Share, shares_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sm_magics.models import Artifact, DesiredModel
    from sm_magics.target import Live, Target

__all__ = [
    "UNGUARDED",
    "Action",
    "Plan",
    "clear_failed",
    "create_endpoint",
    "drop_alarms",
    "make_alarms",
    "make_parts",
    "reshare",
    "retag",
    "update_endpoint",
]


UNGUARDED = "deploy and rollback_on do not apply: weights and instance counts change in place, and at once."


@dataclass(frozen=True)
class Action:
    """One call to make: `operation` and `request` are those of `service`, the rest is for people.

    `artifact` must lie at the request's ModelDataUrl before the call. `caution` is what a reader may not expect.
    """

    operation: str
    request: Mapping[str, Any]
    what: str
    before: str
    after: str
    why: str
    artifact: Artifact | None = None
    service: str = "sagemaker"
    caution: str = ""


@dataclass(frozen=True)
class Plan:
    """The calls that lead to the target, in order, and what must then be true.

    With `settle_first` the service is changing the endpoint: wait, look and plan again. `expected` are the shares that
    the endpoint ends with, under a config called `config_name`; `notes` are what else there is to say about it.
    """

    endpoint: str
    config_name: str
    expected: Mapping[str, Share]
    actions: tuple[Action, ...] = ()
    settle_first: bool = False
    notes: tuple[str, ...] = ()


def clear_failed(target: Target, live: Live) -> Iterator[Action]:
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


def make_parts(target: Target, live: Live) -> Iterator[Action]:
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
            {"EndpointConfigName": target.config_name, **target.config, "Tags": [*tags, *_tag_list(_origin(live))]},
            f"endpoint config {target.config_name}",
            "",
            shares_text(target.shares),
            "there is no config with this content yet",
        )


def _origin(live: Live) -> dict[str, str]:
    """Return the tags that say by whom, and after which, a config is made; a failed endpoint's config is none."""
    after = "" if live.status in {None, "Failed"} else live.config_name
    return {key: value for key, value in ((BY_TAG, live.by), (AFTER_TAG, after)) if value}


def make_alarms(target: Target, live: Live) -> Iterator[Action]:
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


def drop_alarms(target: Target, live: Live) -> Iterator[Action]:
    """Delete our alarms of earlier updates: they judge a fleet that is no longer new."""
    if target.deployment.get("RetainDeploymentConfig"):
        return  # which names them once more
    used = set(alarms.names_in(alarms.guarded(target).get("DeploymentConfig")))
    old = sorted(each for each in live.alarms or () if each.startswith(alarms.prefix(target.endpoint)))
    if stale := [each for each in old if each not in used]:
        what = f"alarm {stale[0]}" if len(stale) == 1 else f"{len(stale)} alarms of endpoint {target.endpoint}"
        why = "made for an update before this one"
        yield Action("DeleteAlarms", {"AlarmNames": stale}, what, "", "gone", why, service="cloudwatch")


def create_endpoint(target: Target) -> Action:
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


def update_endpoint(target: Target, live: Live) -> Action:
    policy = policy_words(target.deployment.get("DeploymentConfig") or {})
    return Action(
        "UpdateEndpoint",
        {"EndpointName": target.endpoint, "EndpointConfigName": target.config_name, **alarms.guarded(target)},
        f"endpoint {target.endpoint}",
        shares_text(live.shares),
        shares_text(after_update(target, live)) + (f" · {policy}" if policy else ""),
        difference(target, live),
    )


def reshare(endpoint: str, shares: Mapping[str, Share], live: Live, *, caution: str = "") -> Iterator[Action]:
    """Change weights and counts in place: no new fleet, and the config stays."""
    changed = {name: share for name, share in shares.items() if not share.same(live.shares.get(name))}
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
        {"EndpointName": endpoint, "DesiredWeightsAndCapacities": wanted},
        f"endpoint {endpoint}",
        _amounts(live.shares) if counts else shares_text(live.shares),
        _amounts(shares) if counts else shares_text(shares),
        "only weights or instance counts differ: in place, no new fleet",
        caution=caution,
    )


def retag(target: Target, live: Live) -> Iterator[Action]:
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


def _endpoint_tags(target: Target) -> dict[str, str]:
    return {**target.tags, ENDPOINT_TAG: target.endpoint, TAGS_TAG: " ".join(target.tags)}


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _image(model: DesiredModel) -> str:
    container = model.request.get("PrimaryContainer") or {}
    return str(container.get("Image", "")).rpartition("/")[2]


def _amounts(shares: Mapping[str, Share]) -> str:
    return ", ".join(f"{name} weight {each.weight:g} × {each.count}" for name, each in shares.items())

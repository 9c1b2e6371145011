"""How an update replaces what serves: `deploy:`, in few words or by DeploymentConfig's own fields."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sm_magics.amounts import duration, percentage, seconds
from sm_magics.nearest import did_you_mean
from sm_magics.spec.fields import Form, Site
from sm_magics.spec.keys import DEPLOY, sagemaker
from sm_magics.spec.nodes import UNKNOWN, Entry, MappingNode, ScalarNode, opened
from sm_magics.spec.problems import clipped
from sm_magics.spec.rules import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sm_magics.service_model import Steps
    from sm_magics.spec.fields import Found

__all__ = ["DEPLOYMENT", "check_deployment", "policy_words", "read_deployment", "watched_seconds", "watches", "worded"]

DEPLOYMENT = "DeploymentConfig"
HOW = "write deploy: {canary: 10%, wait: 5m}, {linear: 25%, every: 2m}, {rolling: 50%} or all-at-once"
ONCE = "all-at-once"
_KINDS = ("canary", "linear", "rolling", ONCE)
_POLICIES = ("BlueGreenUpdatePolicy", "RollingUpdatePolicy")
_BLUE_GREEN, _ROLLING = ((DEPLOYMENT, each) for each in _POLICIES)
_ROUTING = (*_BLUE_GREEN, "TrafficRoutingConfiguration")
_TYPES = {"canary": "CANARY", "linear": "LINEAR", ONCE: "ALL_AT_ONCE"}
_SIZES: dict[str, Steps] = {"canary": (*_ROUTING, "CanarySize"), "linear": (*_ROUTING, "LinearStepSize")}
_SIZES["rolling"] = (*_ROLLING, "MaximumBatchSize")
_NOT_WITH = {ONCE: ("wait", "every"), "rolling": ("bake",), "canary": ("every",)}
# Percent of the fleet: the developer guide, "Deployment guardrails".
_SHARES: dict[Steps, tuple[int, int]] = {
    _SIZES["canary"]: (1, 50),
    _SIZES["linear"]: (10, 50),
    _SIZES["rolling"]: (5, 50),
}
_SHARES[*_ROLLING, "RollbackMaximumBatchSize"] = (1, 100)


def read_deployment(entry: Entry | None, form: Form) -> dict[str, Any]:
    """Return the DeploymentConfig that `deploy:` says, empty where there is none."""
    if entry is None:
        return {}
    node = opened(entry.value)
    form.locate((DEPLOYMENT,), Site(clipped(entry.key), entry.place, node.place, node.expression))
    if isinstance(node, MappingNode):
        found = form.entries(node, DEPLOY, (DEPLOYMENT,))
        return _policy(found, entry, form) | form.fill_all(found, DEPLOY, (DEPLOYMENT,))
    if isinstance(node, ScalarNode):
        if node.value == ONCE:
            return _blue_green(ONCE, {}, {}, 0)
        if node.value is UNKNOWN:
            return {}
    value = node.value if isinstance(node, ScalarNode) else []
    if value is None:
        form.say(f"{clipped(entry.key)} has no value", HOW, entry.place)
    else:
        near = did_you_mean(value, [ONCE]) if isinstance(value, str) else None
        form.say(f"{clipped(entry.key)} cannot be {shown(value, node.expression)}", near or HOW, node.place)
    return {}


def _policy(found: Found, entry: Entry, form: Form) -> dict[str, Any]:
    """Take the short keys out of `found`, and return the policy that they say."""
    kinds = [each for each in found if each in _KINDS]
    short = {key: found.pop(key) for key in [*found] if key not in sagemaker().shape(DEPLOYMENT).members}
    policies = [each for each in found if each in _POLICIES]
    for other in [*kinds[1:], *(policies if kinds else ())]:
        another = found.get(other) or short[other]
        form.say(f"'{another.key}' has no place beside '{kinds[0]}'", "keep one of the two", another.place)
    if not short:
        return {}
    if not kinds:
        if not any(form.is_settled((DEPLOYMENT, each)) for each in _KINDS):
            form.say(f"{clipped(entry.key)} says neither canary, linear, rolling nor all-at-once", HOW, entry.place)
        return {}
    kind = kinds[0]
    for key in [each for each in _NOT_WITH.get(kind, ()) if each in short]:
        hint = (
            "use 'wait'" if kind == "canary" else "use 'bake'" if kind == ONCE else "the old fleet goes batch by batch"
        )
        form.settle((DEPLOYMENT, key))
        form.say(f"'{key}' has no place beside '{kind}'", hint, short.pop(key).place)
    if "wait" in short and "every" in short:
        form.say("'wait' and 'every' are the same", "keep one of the two", short.pop("every").place)
    return _built(kind, short, form)


def _built(kind: str, short: Found, form: Form) -> dict[str, Any]:
    home = _ROLLING if kind == "rolling" else _ROUTING
    wait = _seconds(short.get("wait") or short.get("every"), (*home, "WaitIntervalInSeconds"), form)
    if wait is None and kind in {"canary", "linear"} and not _is_tried(short, form):
        word = "wait" if kind == "canary" else "every"
        form.say(f"{kind} needs '{word}': how long each step is watched", f"for example {word}: 5m", short[kind].place)
    policy = home[:2]
    times: dict[str, Any] = {
        member: value
        for key, member in (("bake", "TerminationWaitInSeconds"), ("timeout", "MaximumExecutionTimeoutInSeconds"))
        if (value := _seconds(short.get(key), (*policy, member), form)) is not None
    }
    if kind == ONCE:
        _check_once(short[ONCE], form)
        return _blue_green(kind, {}, times, 0)
    size = _size(short[kind], _SIZES[kind], form)
    if kind == "rolling":
        rolling: dict[str, Any] = {"MaximumBatchSize": size, "WaitIntervalInSeconds": wait or 0}
        return {"RollingUpdatePolicy": rolling | times}
    return _blue_green(kind, {str(_SIZES[kind][-1]): size}, times, wait or 0)


def _blue_green(kind: str, size: Mapping[str, Any], times: Mapping[str, Any], wait: int) -> dict[str, Any]:
    routing = {"Type": _TYPES[kind], "WaitIntervalInSeconds": wait, **size}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **times}}


def _is_tried(short: Found, form: Form) -> bool:
    words = {"wait", "every"}
    return bool(words & short.keys()) or any(form.is_settled((DEPLOYMENT, each)) for each in words)


def _check_once(entry: Entry, form: Form) -> None:
    node = opened(entry.value)
    if not isinstance(node, ScalarNode) or node.value not in {True, UNKNOWN}:
        form.say("all-at-once takes true and nothing else", "write all-at-once: true", entry.place)


def _seconds(entry: Entry | None, path: Steps, form: Form) -> int | None:
    """Return a duration in whole seconds, within what the service takes; None where there is none to be had."""
    if entry is None:
        return None
    node = opened(entry.value)
    form.locate(path, Site(entry.key, entry.place, node.place, node.expression))
    form.settle(path)
    value: Any = node.value if isinstance(node, ScalarNode) else []
    if value is UNKNOWN:
        return None
    is_number = isinstance(value, int) and not isinstance(value, bool)
    amount = float(value) if is_number and abs(value) < 1 << 31 else seconds(value)
    shape = sagemaker().shape(str(path[-1]))
    least, most = shape.min or 0, shape.max or 0
    if amount is None:
        got = shown(value, node.expression)
        form.say(f"{entry.key} must be a duration such as 90s, 5m or 1h, not {got}", None, node.place)
    elif amount % 1:
        form.say(f"{entry.key} must be a whole number of seconds", None, node.place)
    elif not least <= amount <= most:
        bound = f"at most {duration(most)}" if amount > most else f"at least {duration(least)}"
        form.say(f"{entry.key} must be {bound}, not {shown(value, node.expression)}", None, node.place)
    else:
        return int(amount)
    return None


def _size(entry: Entry, path: Steps, form: Form) -> Any:
    """Return a CapacitySize: of `10%`, of a number of instances, or by its own fields."""
    node = opened(entry.value)
    if isinstance(node, MappingNode):
        return form.fill(entry, "CapacitySize", path)
    form.locate(path, Site(entry.key, entry.place, node.place, node.expression))
    form.locate((*path, "Value"), Site(entry.key, entry.place, node.place, node.expression))
    value = node.value if isinstance(node, ScalarNode) else []
    part = percentage(value)
    if part is not None and part % 1 == 0:
        return {"Type": "CAPACITY_PERCENT", "Value": int(part)}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"Type": "INSTANCE_COUNT", "Value": value}
    form.settle(path)
    if value is not UNKNOWN:
        hint = f"write {value:.0%}" if isinstance(value, float) and 0 < value < 1 else None
        got = shown(value, node.expression)
        what = "a whole percentage" if part is not None else "a percentage such as 10%, or a number of instances"
        form.say(f"{entry.key} must be {what}, not {got}", hint, node.place)
    return None


def check_deployment(config: Mapping[str, Any], variants: int, form: Form) -> None:
    """Add to `form` what the service would refuse in a DeploymentConfig, whatever it was written as.

    `variants` is how many variants the endpoint has.
    """
    both = [each for each in _POLICIES if each in config]
    if len(both) > 1:
        site = form.site((DEPLOYMENT, both[1]))
        form.say(f"'{site.label}' has no place beside the other policy", "keep one of the two", site.key)
    rolling = config.get("RollingUpdatePolicy")
    if rolling is not None and variants > 1:
        path = _SIZES["rolling"] if form.site(_SIZES["rolling"]).label == "rolling" else _ROLLING
        form.say("a rolling deployment works for one variant only", "use canary or linear", form.site(path).key)
    routing = _at(config, _ROUTING)
    if isinstance(routing, dict):
        _check_routing(routing, form)
    for path, (least, most) in _SHARES.items():
        size = _at(config, path)
        if isinstance(size, dict) and size.get("Type") == "CAPACITY_PERCENT":
            value, site = size.get("Value"), form.site((*path, "Value"))
            if isinstance(value, int) and not least <= value <= most and value > 0:
                form.say(f"{_owner(site, path, form)} must be from {least}% to {most}%, not {value}%", None, site.value)


def _owner(site: Site, path: Steps, form: Form) -> str:
    return form.site(path).label if site.label in {"value", "Value"} else site.label


def _check_routing(routing: Mapping[str, Any], form: Form) -> None:
    kind = routing.get("Type")
    if kind not in _TYPES.values():
        return  # the service model says so
    wanted = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}.get(str(kind))
    for member, word in (("CanarySize", "canary_size"), ("LinearStepSize", "linear_step_size")):
        if member == wanted and member not in routing:
            site = form.site(_ROUTING)
            form.say(f"{site.label} of type {kind} needs '{word}'", None, site.key)
        elif member in routing and member != wanted:
            site = form.site((*_ROUTING, member))
            form.say(f"'{site.label}' has no place in a deployment of type {kind}", "remove it", site.key)


def _at(config: Any, path: Steps) -> Any:
    for step in path[1:]:
        config = config.get(step) if isinstance(config, dict) else None
    return config


def watches(config: Mapping[str, Any]) -> bool:
    """Whether a deployment gives alarms the time to go off."""
    policy = config.get("BlueGreenUpdatePolicy") or {}
    kind = (policy.get("TrafficRoutingConfiguration") or {}).get("Type", "ALL_AT_ONCE")
    return bool(config.get("RollingUpdatePolicy") or kind != "ALL_AT_ONCE" or policy.get("TerminationWaitInSeconds"))


def watched_seconds(config: Mapping[str, Any]) -> float | None:
    """Return how long a deployment watches its new fleet in all, None where that depends on the number of instances."""
    policy = config.get("RollingUpdatePolicy") or config.get("BlueGreenUpdatePolicy") or {}
    routing = policy.get("TrafficRoutingConfiguration") or policy
    size = routing.get("LinearStepSize") or routing.get("MaximumBatchSize") or {}
    if size and size.get("Type") != "CAPACITY_PERCENT":
        return None
    steps = math.ceil(100 / size["Value"]) if size else 2 if routing.get("Type") == "CANARY" else 1
    pauses = steps if "RollingUpdatePolicy" in config else steps - 1
    return float(pauses * routing.get("WaitIntervalInSeconds", 0) + policy.get("TerminationWaitInSeconds", 0))


def worded(config: Mapping[str, Any]) -> dict[str, str] | str | None:
    """Return the few words that say the policy of a DeploymentConfig, None where only its own fields do."""
    rolling, blue_green = config.get("RollingUpdatePolicy"), config.get("BlueGreenUpdatePolicy")
    policy = dict(rolling or blue_green or {})
    if not policy or (rolling and blue_green):
        return None
    times: dict[str, Any] = {
        key: duration(policy.pop(member))
        for key, member in (("bake", "TerminationWaitInSeconds"), ("timeout", "MaximumExecutionTimeoutInSeconds"))
        if member in policy and (key != "bake" or blue_green)
    }
    routing = {"Type": "ROLLING", **policy} if rolling else dict(policy.pop("TrafficRoutingConfiguration", {}))
    if not rolling and policy:
        return None
    kind = {"ROLLING": "rolling", **{each: word for word, each in _TYPES.items()}}.get(str(routing.pop("Type", "")))
    wait = routing.pop("WaitIntervalInSeconds", None)
    if kind is None or wait is None:
        return None
    if kind == ONCE:
        return None if routing or wait else {ONCE: "true", **times} if times else ONCE
    size = routing.pop(_SIZES[kind][-1], None)
    if routing or not size or size.keys() != {"Type", "Value"}:
        return None
    amount = f"{size['Value']}%" if size["Type"] == "CAPACITY_PERCENT" else str(size["Value"])
    pause = {} if kind == "rolling" and not wait else {"every" if kind == "linear" else "wait": duration(wait)}
    return {kind: amount, **pause, **times}


def policy_words(config: Mapping[str, Any]) -> str:
    """Return the policy of a DeploymentConfig as a phrase: `canary 10%, wait 5m`; empty where there is none."""
    words = worded(config)
    if isinstance(words, dict):
        return ", ".join(key if value == "true" else f"{key} {value}" for key, value in words.items())
    return words or next((each for each in _POLICIES if each in config), "")

"""The alarms that roll an update back: those that a cell describes, as CloudWatch has them. Pure, no I/O.

SageMaker publishes an endpoint's metrics by endpoint and variant, and by endpoint config as well: with all three, only
the new fleet of an update is judged. So an alarm belongs to one endpoint config, and its name tells what it says: the
same cell has the same alarms.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sm_magics.spec import AlarmSpec, alarm_words
from sm_magics.target import ENDPOINT_TAG, digest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sm_magics.target import Target

__all__ = ["PREFIX", "endpoint_of", "guarded", "names_in", "prefix", "requests", "specs", "variant_of", "words"]

PREFIX = "sm_magics/"
_OURS = re.compile(rf"{PREFIX}([^/]+)/([^/]+)/[^/]+/[0-9a-f]{{8}}")
MINUTE = 60
_SIMPLE = frozenset({"Average", "Sum", "Minimum", "Maximum", "SampleCount"})


def requests(target: Target) -> list[dict[str, Any]]:
    """Return the PutMetricAlarm request of each alarm that a cell describes: one for each variant it is about."""
    return [
        _request(target, alarm, variant)
        for alarm in target.alarms
        for variant in ([alarm.variant] if alarm.variant else target.shares)
    ]


def guarded(target: Target) -> dict[str, Any]:
    """Return the UpdateEndpoint members of a deployment, with all its alarms by name."""
    ours = [each["AlarmName"] for each in requests(target)]
    if not ours:
        return dict(target.deployment)
    config = dict(target.deployment.get("DeploymentConfig") or {})
    names = dict.fromkeys([*names_in(config), *ours])
    config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": each} for each in names]}
    return {**target.deployment, "DeploymentConfig": config}


def names_in(config: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the alarms that a DeploymentConfig names."""
    alarms: Iterable[Mapping[str, str]] = ((config or {}).get("AutoRollbackConfiguration") or {}).get("Alarms") or ()
    return tuple(each["AlarmName"] for each in alarms if "AlarmName" in each)


def prefix(endpoint: str) -> str:
    """Return what the names of our alarms for an endpoint begin with."""
    return f"{PREFIX}{endpoint}/"


def endpoint_of(name: str) -> str | None:
    """Return the endpoint that an alarm of ours is for, None for any other alarm."""
    found = _OURS.fullmatch(name)
    return found[1] if found else None


def variant_of(name: str) -> str | None:
    """Return the variant that an alarm of ours is about, None for any other alarm."""
    found = _OURS.fullmatch(name)
    return found[2] if found else None


def specs(found: Iterable[Mapping[str, Any]], variants: Collection[str]) -> tuple[AlarmSpec, ...]:
    """Return what a cell says of alarms of ours, from what CloudWatch says; one of every variant alike is one alarm."""
    by_words: dict[AlarmSpec, set[str]] = {}
    for each in found:
        variant = variant_of(each["AlarmName"])
        if variant is not None and variant in variants:
            stat = each.get("Statistic") or each.get("ExtendedStatistic") or ""
            length = each["Period"] * each["EvaluationPeriods"]
            alike = AlarmSpec(each["MetricName"], stat, each["Threshold"], length)
            by_words.setdefault(alike, set()).add(variant)
    return tuple(
        each
        for alike, owners in by_words.items()
        for each in ([alike] if owners == {*variants} else [replace(alike, variant=name) for name in sorted(owners)])
    )


def words(alarm: AlarmSpec, variant: str) -> str:
    """Return what an alarm says: `Invocation5XXErrors of XGB-Model above 1% for 1m`."""
    said = alarm_words(alarm)
    stat = f"{said['stat']} of " if "stat" in said else ""
    return f"{stat}{alarm.metric} of {variant} above {said['above']} for {said['for']}"


def _request(target: Target, alarm: AlarmSpec, variant: str) -> dict[str, Any]:
    period = min(alarm.seconds, MINUTE)
    dimensions = {"EndpointName": target.endpoint, "VariantName": variant, "EndpointConfigName": target.config_name}
    request: dict[str, Any] = {
        "Namespace": "AWS/SageMaker",
        "MetricName": alarm.metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
        ("Statistic" if alarm.stat in _SIMPLE else "ExtendedStatistic"): alarm.stat,
        "Period": period,
        "EvaluationPeriods": alarm.seconds // period,
        "Threshold": alarm.threshold,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",  # without requests there are no errors
    }
    return {
        "AlarmName": f"{prefix(target.endpoint)}{variant}/{alarm.metric}/{digest(request)[:8]}",
        "AlarmDescription": f"Rolls an update back: {words(alarm, variant)}. Made by sm_magics.",
        **request,
        "Tags": [{"Key": ENDPOINT_TAG, "Value": target.endpoint}],
    }

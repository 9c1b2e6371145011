"""The alarms: CloudWatch's operations on them, and their evaluation as time goes by."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sm_magics.local import alarm as rules
from sm_magics.local import queries
from sm_magics.local.alarm import Alarm
from sm_magics.local.api import limited, tag_list, tags_of
from sm_magics.local.lifecycle import Refused
from sm_magics.local.listing import after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sm_magics.local.awsjson import Operations
    from sm_magics.local.metrics import Metrics
    from sm_magics.local.store import Store

__all__ = ["Alarms"]

_LOG = logging.getLogger(__name__)
DAY = 24 * 3600
_DEFAULT_PAGE = 50
_HELD_SECONDS = 1.0  # for which a state that was set is seen, at least
_METRIC = ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Dimensions", "Period", "Unit")
_NOT_OFFERED = (
    "ThresholdMetricId",
    "EvaluationWindow",
    "WarmUpConfiguration",
    "EvaluationCriteria",
    "EvaluationInterval",
    "ActionConfiguration",
)


class Alarms:
    """Every alarm. Actions are kept and shown, and none is taken: there is nothing here that they could reach.

    Parameters
    ----------
    store
        Where they are kept. What an evaluation changes is kept in memory only: it is made anew after a crash.
    metrics
        What they watch.
    arn
        Returns the ARN of an alarm by its name.
    now
        Returns the time in seconds since the epoch.
    """

    def __init__(self, store: Store, metrics: Metrics, arn: Callable[[str], str], now: Callable[[], float]) -> None:
        self._store = store
        self._metrics = metrics
        self._arn = arn
        self._now = now
        self._due: dict[str, float] = {}

    def operations(self) -> Operations:
        """Return the operations by name."""
        return {
            "PutMetricAlarm": self.put,
            "DescribeAlarms": self.describe,
            "DeleteAlarms": self.delete,
            "SetAlarmState": self.set_state,
            "EnableAlarmActions": self.enable_actions,
            "DisableAlarmActions": self.disable_actions,
            "ListTagsForResource": self.list_tags,
            "TagResource": self.tag,
            "UntagResource": self.untag,
        }

    def exists(self, name: str) -> bool:
        """Whether there is an alarm of that name."""
        return self._store.alarm(name) is not None

    def alarmed(self, names: Sequence[str]) -> list[str]:
        """Return those of the alarms that are in state ALARM."""
        found = ((name, self._store.alarm(name)) for name in names)
        return [name for name, each in found if each is not None and each.state == rules.ALARM]

    def tick(self) -> None:
        """Evaluate the alarms of which a period has ended; the metrics are to be ticked before."""
        now = self._now()
        for each in self._store.alarms():
            if now >= self._due.get(each.name, 0.0):
                self._due[each.name] = _boundary(now, each.step) + each.step
                try:
                    verdict = rules.evaluate(each, self._points(each, _boundary(now, each.step)), now)
                except Exception:  # noqa: BLE001 - one alarm that cannot be judged must not end the engine
                    _LOG.exception("alarm %s cannot be evaluated", each.name)
                    continue
                if verdict.state != each.state:
                    self._store.show(each.turn(verdict.state, verdict.reason, now, verdict.reason_data))

    def _points(self, watched: Alarm, end: int) -> list[tuple[float, float | None]]:
        asked = queries.read(_queries(watched.request))
        count, period = watched.periods, watched.period
        start = end - count * period
        found = queries.series(asked.values(), self._metrics, start, count, period)
        (shown,) = (name for name, query in asked.items() if query.shown)
        return [(start + place * period, value) for place, value in enumerate(found[shown])]

    async def put(self, request: dict[str, Any]) -> None:
        _check(request)
        name = request["AlarmName"]
        tags = tags_of(request)
        kept = {key: value for key, value in request.items() if key != "Tags"}
        async with self._store.lock:
            known = self._store.alarm(name)
            now = self._now()
            if known is not None:  # the state stays, and the tags do: they have calls of their own
                changed = replace(known, request=kept, created=now)
            else:
                changed = Alarm(name, self._arn(name), now, kept, tags, updated=now, transitioned=now)
            await self._store.put(changed)
        self._due[name] = 0.0

    async def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        for each in ("ChildrenOfAlarmName", "ParentsOfAlarmName"):
            if each in request:
                raise Refused(f"The embedded engine has no composite alarms, so {each} has no meaning.", _INVALID)
        rows = sorted(self._wanted(request), key=lambda each: each.name)
        part, token = after(rows, request.get("NextToken"), request.get("MaxRecords", _DEFAULT_PAGE))
        return {"MetricAlarms": [_row(each) for each in part], "CompositeAlarms": [], "NextToken": token}

    def _wanted(self, request: Mapping[str, Any]) -> Iterator[Alarm]:
        names = request.get("AlarmNames") or None
        if "MetricAlarm" not in (request.get("AlarmTypes") or ("MetricAlarm",)):
            return
        for each in self._store.alarms():
            actions = [
                a
                for kind in ("OKActions", "AlarmActions", "InsufficientDataActions")
                for a in each.request.get(kind) or ()
            ]
            if (
                (names is None or each.name in names)
                and each.name.startswith(request.get("AlarmNamePrefix", ""))
                and request.get("StateValue") in {None, each.state}
                and ("ActionPrefix" not in request or any(a.startswith(request["ActionPrefix"]) for a in actions))
            ):
                yield each

    async def delete(self, request: dict[str, Any]) -> None:
        async with self._store.lock:
            for each in [self._find(name) for name in request["AlarmNames"]]:
                await self._store.drop(each)
                self._due.pop(each.name, None)

    async def set_state(self, request: dict[str, Any]) -> None:
        async with self._store.lock:
            known = self._find(request["AlarmName"])
            now = self._now()
            self._due[known.name] = _boundary(now + _HELD_SECONDS, known.step) + known.step
            state, reason = request["StateValue"], request["StateReason"]
            await self._store.put(known.turn(state, reason, now, request.get("StateReasonData")))

    async def enable_actions(self, request: dict[str, Any]) -> None:
        await self._set_actions(request["AlarmNames"], enabled=True)

    async def disable_actions(self, request: dict[str, Any]) -> None:
        await self._set_actions(request["AlarmNames"], enabled=False)

    async def _set_actions(self, names: Sequence[str], *, enabled: bool) -> None:
        async with self._store.lock:
            for each in filter(None, map(self._store.alarm, names)):  # the service passes over those that there are not
                await self._store.amend(each, request={**each.request, "ActionsEnabled": enabled})

    async def list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": tag_list(self._tagged(request["ResourceARN"]).tags)}

    async def tag(self, request: dict[str, Any]) -> dict[str, Any]:
        async with self._store.lock:
            known = self._tagged(request["ResourceARN"])
            await self._store.amend(known, tags=limited({**known.tags, **tags_of(request)}))
        return {}

    async def untag(self, request: dict[str, Any]) -> dict[str, Any]:
        async with self._store.lock:
            known = self._tagged(request["ResourceARN"])
            kept = {key: value for key, value in known.tags.items() if key not in request["TagKeys"]}
            await self._store.amend(known, tags=kept)
        return {}

    def _tagged(self, arn: str) -> Alarm:
        for each in self._store.alarms():
            if each.arn == arn:
                return each
        raise Refused(f"There is no alarm {arn}.", "ResourceNotFoundException")  # the text is ours

    def _find(self, name: str) -> Alarm:
        found = self._store.alarm(name)
        if found is None:
            raise Refused(f"Alarm {name} does not exist.", "ResourceNotFound")  # the text is ours
        return found


_INVALID = "InvalidParameterValue"


def _boundary(now: float, step: int) -> int:
    return int(now // step) * step


def _row(each: Alarm) -> dict[str, Any]:
    return {
        "ActionsEnabled": True,
        "OKActions": [],
        "AlarmActions": [],
        "InsufficientDataActions": [],
        **({} if each.request.get("Metrics") else {"Dimensions": []}),
        **each.request,
        "AlarmArn": each.arn,
        "AlarmConfigurationUpdatedTimestamp": each.created,
        "StateValue": each.state,
        "StateReason": each.reason,
        "StateReasonData": each.reason_data,
        "StateUpdatedTimestamp": each.updated,
        "StateTransitionedTimestamp": each.transitioned,
    }


def _queries(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what an alarm watches as queries, the one of a single metric too."""
    if request.get("Metrics"):
        return list(request["Metrics"])
    metric = {name: request[name] for name in ("Namespace", "MetricName", "Dimensions") if name in request}
    stat = request.get("Statistic") or request["ExtendedStatistic"]
    measured = {"Metric": metric, "Period": request["Period"], "Stat": stat, "Unit": request.get("Unit")}
    return [{"Id": "m1", "MetricStat": measured}]


def _check(request: Mapping[str, Any]) -> None:
    """Refuse what CloudWatch refuses, and what is not offered here."""
    for each in _NOT_OFFERED:
        if each in request:
            raise Refused(f"The embedded engine does not offer {each} of an alarm.", _INVALID)
    for each in ("EvaluationPeriods", "ComparisonOperator", "Threshold"):
        if each not in request:
            raise queries.invalid(f"1 validation error detected: The parameter {each} is required.")
    if not math.isfinite(request["Threshold"]):
        raise queries.invalid("Threshold must be a finite number.")
    if request["ComparisonOperator"] not in rules.COMPARISONS:
        raise Refused("The embedded engine has no anomaly detection to compare with.", _INVALID)
    if request.get("TreatMissingData", "missing") not in rules.TREATMENTS:
        raise queries.invalid(f"Option for TreatMissingData must be one of {', '.join(rules.TREATMENTS)}.")
    if request.get("EvaluateLowSampleCountPercentile", "evaluate") != "evaluate":
        raise Refused("The embedded engine offers EvaluateLowSampleCountPercentile=evaluate only.", _INVALID)
    if request.get("DatapointsToAlarm", 1) > request["EvaluationPeriods"]:
        raise queries.invalid("DatapointsToAlarm must be less than or equal to EvaluationPeriods.")
    _check_watched(request)


def _check_watched(request: Mapping[str, Any]) -> None:
    if request.get("Metrics"):
        if any(each in request for each in _METRIC):
            raise queries.invalid("An alarm takes either Metrics or the members of a single metric, not both.")
    else:
        missing = [each for each in ("MetricName", "Namespace", "Period") if each not in request]
        if missing or ("Statistic" in request) == ("ExtendedStatistic" in request):
            raise queries.invalid(
                "An alarm needs Metrics, or MetricName, Namespace, Period and either Statistic or ExtendedStatistic."
            )
    asked = queries.read(_queries(request))
    if sum(each.shown for each in asked.values()) != 1:
        raise queries.invalid("Invalid metrics list: exactly one of its elements must have ReturnData set to true.")
    if len(periods := {each.period for each in asked.values()}) != 1:
        raise queries.invalid("Invalid metrics list: all metrics must have one period.")
    if periods.pop() * request["EvaluationPeriods"] > DAY:
        raise queries.invalid("Metrics cannot be checked across more than a day (EvaluationPeriods * Period).")

"""One alarm: what it watches, and how it comes to its state. Pure.

Source: the CloudWatch user guide, "Using Amazon CloudWatch alarms" and "Configuring how CloudWatch alarms treat missing
data", whose tables are among the tests.
"""

from __future__ import annotations

import json
import operator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Point = tuple[float, float | None]  # when a period began, in seconds since the epoch, and its value

__all__ = ["ALARM", "COMPARISONS", "TREATMENTS", "Alarm", "Verdict", "evaluate"]

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
OK: State = "OK"
ALARM: State = "ALARM"
UNKNOWN: State = "INSUFFICIENT_DATA"
MINUTE = 60
EXTRA_PERIODS = 2  # looked at when some are missing: the service's number is known by its examples only, 5 for 3
TREATMENTS = ("breaching", "notBreaching", "ignore", "missing")
COMPARISONS: Mapping[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """A metric alarm: the PutMetricAlarm request that made it last, and its state. Times are in seconds."""

    name: str
    arn: str
    created: float
    request: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)
    state: State = UNKNOWN
    reason: str = "Unchecked: Initial alarm creation"
    reason_data: str | None = None
    updated: float = 0.0
    transitioned: float = 0.0

    @property
    def period(self) -> int:
        """The seconds of one period."""
        measured = [each["MetricStat"] for each in self.request.get("Metrics") or () if each.get("MetricStat")]
        return int(measured[0]["Period"] if measured else self.request["Period"])

    @property
    def step(self) -> int:
        """The seconds from one evaluation to the next."""
        return min(self.period, MINUTE)

    @property
    def periods(self) -> int:
        """How many periods are looked at, those in reserve for missing ones included."""
        return int(self.request["EvaluationPeriods"]) + EXTRA_PERIODS

    def turn(self, state: State, reason: str, now: float, reason_data: str | None = None) -> Alarm:
        """Return the alarm with another state."""
        when = now if state != self.state else self.transitioned
        return replace(self, state=state, reason=reason, reason_data=reason_data, updated=now, transitioned=when)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)


class Verdict(NamedTuple):
    """The state that an evaluation comes to, why, and the same for machines."""

    state: State
    reason: str
    reason_data: str


def evaluate(alarm: Alarm, points: Sequence[Point], now: float) -> Verdict:
    """Return the state that an alarm has by its last periods, `alarm.periods` of them, the oldest first."""
    request = alarm.request
    wanted = request["EvaluationPeriods"]
    needed = request.get("DatapointsToAlarm", wanted)
    treatment = request.get("TreatMissingData", "missing")
    breaks, _ = COMPARISONS[request["ComparisonOperator"]]
    real = [(when, value) for when, value in points if value is not None][-wanted:]
    breaching = [point for point in real if breaks(point[1], request["Threshold"])]
    missing = wanted - len(real)
    state: State = OK
    if len(breaching) + (missing if treatment == "breaching" else 0) >= needed:
        state = ALARM
    elif missing and treatment in {"missing", "ignore"}:
        if not real:
            state = UNKNOWN if treatment == "missing" else alarm.state
        elif len(breaching) == len(real):
            # All that is known is breaching. It alarms once the oldest of it is as old as it takes datapoints.
            age = sum(when >= real[0][0] for when, _ in points)
            state = ALARM if treatment == "missing" and age >= needed else alarm.state
    shown = breaching if state == ALARM else real
    return Verdict(state, _reason(alarm, state, shown, missing), _data(alarm, points, now))


def _reason(alarm: Alarm, state: State, points: Sequence[tuple[float, float]], missing: int) -> str:
    request = alarm.request
    wanted = request["EvaluationPeriods"]
    needed = request.get("DatapointsToAlarm", wanted)
    treatment = request.get("TreatMissingData", "missing")
    if state == UNKNOWN:
        return f"Insufficient Data: {_datapoints(wanted)} {'was' if wanted == 1 else 'were'} unknown."
    if not points:
        treated = "Breaching" if treatment == "breaching" else "NonBreaching"
        periods = f"{wanted} period{'s'[: wanted != 1]}"
        were = "was" if missing == 1 else "were"
        return (
            f"Threshold Crossed: no datapoints were received for {periods} and "
            f"{missing} missing datapoint{'s'[: missing != 1]} {were} treated as [{treated}]."
        )
    values = ", ".join(f"{value!r} ({datetime.fromtimestamp(when, UTC):%d/%m/%y %H:%M:%S})" for when, value in points)
    _, words = COMPARISONS[request["ComparisonOperator"]]
    verb = ("was" if len(points) == 1 else "were") + ("" if state == ALARM else " not")
    number = f"{len(points)} out of the last {_datapoints(wanted)}" if state == ALARM else _datapoints(len(points))
    least = f" (minimum {_datapoints(needed)} for OK -> ALARM transition)" if state == ALARM else ""
    return (
        f"Threshold Crossed: {number} [{values}] {verb} {words} the threshold ({float(request['Threshold'])}){least}."
    )


def _datapoints(number: int) -> str:
    return f"{number} datapoint{'s'[: number != 1]}"


def _data(alarm: Alarm, points: Sequence[Point], now: float) -> str:
    request = alarm.request
    data = {
        "version": "1.0",
        "queryDate": _stamp(now),
        "startDate": _stamp(points[0][0]),
        "statistic": request.get("Statistic") or request.get("ExtendedStatistic"),
        "period": alarm.period,
        "recentDatapoints": [value for _, value in points if value is not None],
        "threshold": request["Threshold"],
    }
    return json.dumps({name: value for name, value in data.items() if value is not None})


def _stamp(when: float) -> str:
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%dT%H:%M:%S}.000+0000"

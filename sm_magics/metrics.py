"""How an endpoint was used, out of CloudWatch: invocations, errors, latencies and utilisation of each variant.

Source of the names, dimensions, units and of how long CloudWatch keeps what: the SageMaker developer guide, "Monitor
SageMaker AI with Amazon CloudWatch", and the CloudWatch user guide, "Metrics retention".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sm_magics.amounts import duration
from sm_magics.connection import call
from sm_magics.errors import CellError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sm_magics.connection import Connection

__all__ = ["MEASURES", "PERCENTILES", "Measure", "Span", "Used", "read", "span", "variants"]

NAMESPACE, OF_INSTANCES = "AWS/SageMaker", "/aws/sagemaker/Endpoints"
DAY = 86_400
FINEST = ((15 * DAY, 60), (63 * DAY, 300), (455 * DAY, 3600))  # up to which age CloudWatch keeps which steps, seconds
PERIODS = (60, 300, 900, 3600, 6 * 3600, DAY)  # of which the default is the first with few enough steps
FEW_STEPS, MOST_STEPS = 120, 1500
QUERIES = 500  # that one GetMetricData takes
PERCENTILES = ("p50", "p90", "p99")


class Measure(NamedTuple):
    """Something that is measured: its key here, the service's metric and statistic, and what one of its units is."""

    key: str
    metric: str
    stat: str
    unit: float = 1.0
    namespace: str = NAMESPACE


MEASURES = (
    Measure("invocations", "Invocations", "Sum"),
    Measure("errors_4xx", "Invocation4XXErrors", "Sum"),
    Measure("errors_5xx", "Invocation5XXErrors", "Sum"),
    Measure("model_errors", "InvocationModelErrors", "Sum"),
    *(Measure(f"model_{each}", "ModelLatency", each, 0.001) for each in PERCENTILES),  # microseconds to milliseconds
    *(Measure(f"overhead_{each}", "OverheadLatency", each, 0.001) for each in PERCENTILES),
    Measure("cpu", "CPUUtilization", "Average", 1.0, OF_INSTANCES),  # in percent, up to 100 for each CPU
    Measure("cpu_most", "CPUUtilization", "Maximum", 1.0, OF_INSTANCES),
    Measure("memory", "MemoryUtilization", "Average", 1.0, OF_INSTANCES),
    Measure("memory_most", "MemoryUtilization", "Maximum", 1.0, OF_INSTANCES),
)


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is looked at: `count` periods of `period` seconds from `start` on, in seconds since the epoch."""

    start: int
    period: int
    count: int

    @property
    def seconds(self) -> int:
        """How long it is."""
        return self.period * self.count

    @property
    def times(self) -> tuple[datetime, ...]:
        """When each period begins."""
        return tuple(datetime.fromtimestamp(self.start + self.period * n, UTC) for n in range(self.count))


@dataclass(frozen=True, slots=True)
class Used:
    """How one variant was used; the keys are those of `MEASURES`, latencies in milliseconds, utilisation in percent.

    `total` is about the whole span, `series` about each of its periods; None where nothing was measured.
    """

    variant: str
    total: Mapping[str, float | None]
    series: Mapping[str, tuple[float | None, ...]]

    @property
    def invocations(self) -> float:
        """How many invocations there were."""
        return self.total["invocations"] or 0.0

    @property
    def errors(self) -> float:
        """How many of them were answered with an error, 4XX or 5XX."""
        return (self.total["errors_4xx"] or 0.0) + (self.total["errors_5xx"] or 0.0)


def span(now: float, seconds: float, period: float | None) -> Span:
    """Return the last `seconds` up to `now` in periods of `period` seconds, or of as many as make some hundred steps.

    Raises
    ------
    CellError
        When CloudWatch has no such periods.
    """
    finest = next((step for age, step in FINEST if seconds <= age), None)
    if finest is None:
        raise CellError(f"--for {duration(seconds)}: CloudWatch keeps metrics for 455 days")
    if period is None:
        fitting = (each for each in PERIODS if each >= finest and seconds <= each * FEW_STEPS)
        period = next(fitting, PERIODS[-1])
    if period < finest or period % finest:
        told = "metrics are kept in steps of" if finest == FINEST[0][1] else "for so long there are only steps of"
        raise CellError(
            f"--period {duration(period)}: {told} {duration(finest)}",
            hint=f"write --period {duration(finest)}, or a multiple of it",
        )
    if seconds < period:
        raise CellError(
            f"--for {duration(seconds)} is shorter than one period of {duration(period)}",
            hint=f"write a time with its unit, without a space: --for {max(1, round(seconds))}m",
        )
    count = math.ceil(seconds / period)
    if count > MOST_STEPS:
        raise CellError(
            f"--period {duration(period)}: that is {count} steps, and {MOST_STEPS} at most are shown",
            hint="write a longer --period, or a shorter --for",
        )
    end = math.ceil(now / period) * int(period)
    return Span(end - int(period) * count, int(period), count)


def variants(connection: Connection, endpoint: str) -> list[str]:
    """Return the variants of which CloudWatch got metrics in the last two weeks, also of an endpoint that is gone.

    ListMetrics knows no others, says its API reference.

    Raises
    ------
    ServiceError
        When the metrics may not be listed.
    """
    of_endpoint = [{"Name": "EndpointName", "Value": endpoint}]
    request = {"Namespace": NAMESPACE, "MetricName": "Invocations", "Dimensions": of_endpoint}
    rows = [row for page in _pages(connection, "ListMetrics", **request) for row in page["Metrics"]]
    named = [{each["Name"]: each["Value"] for each in row["Dimensions"]} for row in rows]
    return sorted({each["VariantName"] for each in named if "VariantName" in each})


def read(
    connection: Connection, endpoint: str, names: Sequence[str], when: Span, measures: Sequence[Measure] = MEASURES
) -> tuple[Used, ...]:
    """Return how the variants of these names were used, by these `measures`.

    Raises
    ------
    ServiceError
        When the metrics may not be read.
    """
    asked = [
        (name, measure, period) for name in names for measure in measures for period in (when.period, when.seconds)
    ]
    found: dict[tuple[str, Measure, int], list[tuple[datetime, float]]] = {each: [] for each in asked}
    for first in range(0, len(asked), QUERIES):
        some = asked[first : first + QUERIES]
        queries = [_query(f"m{number}", endpoint, *each) for number, each in enumerate(some)]
        start, end = (datetime.fromtimestamp(each, UTC) for each in (when.start, when.start + when.seconds))
        request = {"MetricDataQueries": queries, "StartTime": start, "EndTime": end, "ScanBy": "TimestampAscending"}
        for page in _pages(connection, "GetMetricData", **request):
            for row in page["MetricDataResults"]:
                _check(row)
                found[some[int(row["Id"][1:])]] += zip(row["Timestamps"], row["Values"], strict=True)
    return tuple(
        Used(
            name,
            {each.key: _total(each, found[name, each, when.seconds]) for each in measures},
            {each.key: _series(each, found[name, each, when.period], when) for each in measures},
        )
        for name in names
    )


def _query(identity: str, endpoint: str, variant: str, measure: Measure, period: int) -> Mapping[str, Any]:
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    metric = {"Namespace": measure.namespace, "MetricName": measure.metric, "Dimensions": dimensions}
    return {"Id": identity, "MetricStat": {"Metric": metric, "Period": period, "Stat": measure.stat}}


def _pages(connection: Connection, operation: str, **request: Any) -> Iterator[Any]:
    client = connection.client("cloudwatch")
    while True:
        answer = call(client, operation, **request)
        yield answer
        if not answer.get("NextToken"):
            return
        request["NextToken"] = answer["NextToken"]


def _check(row: Mapping[str, Any]) -> None:
    if row.get("StatusCode") in {"InternalError", "Forbidden"}:
        told = "; ".join(each.get("Value", "") for each in row.get("Messages") or ())
        raise ServiceError("GetMetricData", row["StatusCode"], told, row)


def _total(measure: Measure, points: Sequence[tuple[datetime, float]]) -> float | None:
    """Return the one value of the whole span; where the service cut it in two, a percentile is the larger at most."""
    values = [value * measure.unit for _, value in points]
    return sum(values) if measure.stat == "Sum" else max(values, default=None)


def _series(measure: Measure, points: Sequence[tuple[datetime, float]], when: Span) -> tuple[float | None, ...]:
    values: list[float | None] = [0.0 if measure.stat == "Sum" else None] * when.count
    for at, value in points:
        place = int(at.timestamp() - when.start) // when.period
        if 0 <= place < when.count:
            values[place] = value * measure.unit
    return tuple(values)

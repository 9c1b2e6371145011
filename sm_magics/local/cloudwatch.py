"""CloudWatch's operations on metrics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sm_magics.local import queries
from sm_magics.local.lifecycle import Refused
from sm_magics.local.listing import after, seconds
from sm_magics.local.metrics import KEPT_SECONDS, UNITS, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sm_magics.local.awsjson import Operations
    from sm_magics.local.metrics import Metrics
    from sm_magics.local.queries import Query
    from sm_magics.local.tally import Spread

__all__ = ["CloudWatch"]

MAX_STATISTICS = 1440  # datapoints of one GetMetricStatistics
MAX_DATA = 100_800  # datapoints of one GetMetricData
PAGE = 500
RECENT_SECONDS = 3 * 3600  # the service's PT3H
_FUTURE_SECONDS = 3600

Point = tuple[int, float]


class CloudWatch:
    """The operations on metrics.

    Parameters
    ----------
    metrics
        What there is.
    now
        Returns the time in seconds since the epoch.
    """

    def __init__(self, metrics: Metrics, now: Callable[[], float]) -> None:
        self._metrics = metrics
        self._now = now

    def operations(self) -> Operations:
        """Return the operations by name."""
        return {
            "GetMetricData": self.data,
            "GetMetricStatistics": self.statistics,
            "ListMetrics": self.list,
        }

    async def data(self, request: dict[str, Any]) -> dict[str, Any]:
        asked = queries.read(request["MetricDataQueries"])
        start, end = _range(request)
        self._metrics.tick()
        newest_first = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        rows = []
        points: dict[str, list[Point]] = {}
        for period in {each.period for each in asked.values()}:
            points |= self._points([each for each in asked.values() if each.period == period], start, end, period)
        skip, room = _offset(request.get("NextToken")), request.get("MaxDatapoints", MAX_DATA)
        reached = skip
        more = False
        for each in request["MetricDataQueries"]:
            query = asked[each["Id"]]
            if not query.shown:
                continue
            all_of_it = sorted(points[query.id], reverse=newest_first)
            part = all_of_it[skip : skip + room]
            cut = len(all_of_it) > skip + len(part)
            more |= cut
            skip, room, reached = max(0, skip - len(all_of_it)), room - len(part), reached + len(part)
            rows.append(
                {
                    "Id": query.id,
                    "Label": query.label,
                    "Timestamps": [when for when, _ in part],
                    "Values": [value for _, value in part],
                    "StatusCode": "PartialData" if cut else "Complete",
                }
            )
        return {"MetricDataResults": rows, "Messages": [], "NextToken": str(reached) if more else None}

    def _points(self, asked: list[Query], start: float, end: float, period: int) -> dict[str, list[Point]]:
        begin, count = self._periods(start, end, period)
        found = queries.series(asked, self._metrics, begin, count, period)
        return {
            name: [(begin + place * period, value) for place, value in enumerate(values) if value is not None]
            for name, values in found.items()
        }

    def _periods(self, start: float, end: float, period: int) -> tuple[int, int]:
        """Return the first period of a range and their number; nothing is known from before a day, or of the future."""
        start = max(start, self._now() - KEPT_SECONDS - period)
        begin = int(start // period) * period
        return begin, max(0, math.ceil((min(end, self._now() + _FUTURE_SECONDS) - begin) / period))

    async def statistics(self, request: dict[str, Any]) -> dict[str, Any]:
        period = request["Period"]
        plain, extended = request.get("Statistics") or [], request.get("ExtendedStatistics") or []
        queries.check_period(period)
        for each in (*plain, *extended):
            queries.check_statistic(each)
        if not plain and not extended:
            raise Refused("Must specify either Statistics or ExtendedStatistics", "MissingParameter")
        start, end = _range(request)
        number = math.ceil((end - start) / period)
        if number > MAX_STATISTICS:
            raise Refused(
                f"You have requested up to {number:,} datapoints, which exceeds the limit of {MAX_STATISTICS:,}. You "
                "may reduce the datapoints requested by increasing Period, or decreasing the time range.",
                "InvalidParameterCombination",
            )
        self._metrics.tick()
        metric = queries.metric_of(request)
        unit = UNITS.get(metric.name, "None")
        begin, count = self._periods(start, end, period)
        spreads = self._metrics.values(metric, begin, count, period) if request.get("Unit", unit) == unit else []
        rows = [
            {"Timestamp": begin + place * period, **_statistics(spread, plain, extended), "Unit": unit}
            for place, spread in enumerate(spreads)
            if spread.count
        ]
        return {"Label": metric.name, "Datapoints": rows}

    async def list(self, request: dict[str, Any]) -> dict[str, Any]:
        self._metrics.tick()
        since = self._now() - RECENT_SECONDS if "RecentlyActive" in request else 0.0
        found = sorted(each for each in self._metrics.known(since) if _listed(each, request))
        part, token = after(found, request.get("NextToken"), PAGE)
        rows = [
            {
                "Namespace": each.namespace,
                "MetricName": each.name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in each.dimensions],
            }
            for each in part
        ]
        return {"Metrics": rows, "NextToken": token}


def _range(request: Mapping[str, Any]) -> tuple[float, float]:
    start, end = seconds(request["StartTime"]), seconds(request["EndTime"])
    if start >= end:
        raise queries.invalid("The parameter StartTime must be less than the parameter EndTime.")
    return start, end


def _statistics(spread: Spread, plain: list[str], extended: list[str]) -> dict[str, Any]:
    told: dict[str, Any] = {each: queries.statistic(spread, each) for each in plain}
    if extended:
        told["ExtendedStatistics"] = {each: queries.statistic(spread, each) for each in extended}
    return told


def _listed(metric: Metric, request: Mapping[str, Any]) -> bool:
    dimensions = dict(metric.dimensions)
    return (
        request.get("Namespace") in {None, metric.namespace}
        and request.get("MetricName") in {None, metric.name}
        and all(
            each["Name"] in dimensions and each.get("Value") in {None, dimensions[each["Name"]]}
            for each in request.get("Dimensions") or ()
        )
    )


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    if not token.isascii() or not token.isdigit():
        raise Refused("The NextToken is not valid.", "InvalidNextToken")
    return int(token)

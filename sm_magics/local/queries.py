"""What is asked of the metrics: statistics over periods, and metric math over those."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics.local import expressions
from sm_magics.local.lifecycle import Refused
from sm_magics.local.metrics import UNITS, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sm_magics.local.metrics import Metrics
    from sm_magics.local.tally import Spread

__all__ = ["Query", "check_period", "metric_of", "read", "series", "statistic"]

Series = list[float | None]
MINUTE = 60
SHORT_PERIODS = (10, 20, 30)
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
_PERCENTILE = re.compile(r"[pP](\d{1,2}(?:\.\d{1,10})?|100)", re.ASCII)
_STATISTICS: Mapping[str, Callable[[Spread], float]] = {
    "SampleCount": lambda spread: spread.count,
    "Sum": lambda spread: spread.total,
    "Average": lambda spread: spread.average,
    "Minimum": lambda spread: spread.least,
    "Maximum": lambda spread: spread.most,
}


@dataclass(frozen=True, slots=True)
class Query:
    """One of the queries of a list: a statistic of a metric, or an expression over others."""

    id: str
    label: str
    shown: bool
    period: int
    metric: Metric | None = None
    stat: str = ""
    unit: str | None = None
    expression: expressions.Expression | None = None


def read(request: Sequence[Mapping[str, Any]]) -> dict[str, Query]:
    """Return the queries of a `MetricDataQueries` by id, each after those that it uses.

    Raises
    ------
    Refused
        When one is not well formed.
    """
    raw = {each["Id"]: each for each in request}
    if len(raw) < len(request):
        raise invalid("Invalid metrics list: the ids must differ.")
    found: dict[str, Query] = {}

    def add(name: str, path: tuple[str, ...]) -> None:
        if name in path or name not in raw:
            why = "uses itself" if name in path else "is not in the list"
            raise invalid(f"Invalid metrics list: '{name}' {why}.")
        if name not in found:
            expression = _expression(raw[name])
            for each in sorted(expressions.names(expression)) if expression is not None else ():
                add(each, (*path, name))
            found[name] = _query(raw[name], expression, found)

    for name in raw:
        add(name, ())
    return found


def _expression(request: Mapping[str, Any]) -> expressions.Expression | None:
    name = request["Id"]
    if not _ID.fullmatch(name):
        raise invalid(f"The value '{name}' for parameter Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$.")
    text = request.get("Expression")
    if (text is None) == (request.get("MetricStat") is None):
        raise invalid(f"Invalid metrics list: '{name}' must have either MetricStat or Expression.")
    return None if text is None else expressions.parse(text)


def _query(request: Mapping[str, Any], expression: expressions.Expression | None, found: Mapping[str, Query]) -> Query:
    name = request["Id"]
    shown = request.get("ReturnData", True)
    if expression is not None:
        periods = {found[each].period for each in expressions.names(expression)}
        if len(periods) != 1:
            raise invalid(f"Invalid metrics list: the metrics of expression '{name}' must have one period.")
        return Query(name, request.get("Label", name), shown, periods.pop(), expression=expression)
    measured = request["MetricStat"]
    check_period(measured["Period"])
    check_statistic(measured["Stat"])
    metric = metric_of(measured["Metric"])
    label = request.get("Label", metric.name)
    return Query(name, label, shown, measured["Period"], metric, measured["Stat"], measured.get("Unit"))


def series(queries: Iterable[Query], metrics: Metrics, start: int, count: int, period: int) -> dict[str, Series]:
    """Return the values of queries of one period at `count` times from `start` on, None where there is none."""
    found: dict[str, Series] = {}
    for each in queries:
        if each.metric is not None:
            spreads = metrics.values(each.metric, start, count, period)
            right = each.unit in {None, UNITS.get(each.metric.name)}
            found[each.id] = [statistic(spread, each.stat) if right and spread.count else None for spread in spreads]
        elif each.expression is not None:
            used = expressions.names(each.expression)
            found[each.id] = [
                expressions.value(each.expression, {name: found[name][place] for name in used})
                for place in range(count)
            ]
    return found


def metric_of(request: Mapping[str, Any]) -> Metric:
    """Return the metric that a request names."""
    dimensions = sorted((each["Name"], each["Value"]) for each in request.get("Dimensions") or ())
    return Metric(request.get("Namespace", ""), request.get("MetricName", ""), tuple(dimensions))


def statistic(spread: Spread, stat: str) -> float:
    """Return a statistic of values of which there is at least one."""
    known = _STATISTICS.get(stat)
    return float(known(spread) if known is not None else spread.percentile(float(stat[1:])))


def check_statistic(stat: str) -> None:
    """Refuse a statistic that is not offered."""
    if stat not in _STATISTICS and not _PERCENTILE.fullmatch(stat):
        raise Refused(
            f"The value {stat} for parameter Stat is not supported: the embedded engine offers "
            f"{', '.join(_STATISTICS)} and percentiles such as p99.",
            "InvalidParameterValue",
        )


def check_period(period: int) -> None:
    """Refuse a period that CloudWatch does not take."""
    if period not in SHORT_PERIODS and period % MINUTE:
        raise invalid("Valid periods are 10, 20, 30, or any multiple of 60.")


def invalid(text: str) -> Refused:
    """Return CloudWatch's refusal of a request that is not well formed."""
    return Refused(text, "ValidationError")

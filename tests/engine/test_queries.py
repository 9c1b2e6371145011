from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.lifecycle import Refused
from sm_magics.local.metrics import NAMESPACE, Metric
from sm_magics.local.queries import check_period, check_statistic, metric_of, read, series, statistic
from sm_magics.local.tally import spread_of

BY = [{"Name": "VariantName", "Value": "A"}, {"Name": "EndpointName", "Value": "boston"}]
START = 1_800_000_000


def measured(name, metric="Invocations", stat="Sum", period=60, **more):
    watched = {"Namespace": NAMESPACE, "MetricName": metric, "Dimensions": BY}
    return {"Id": name, "MetricStat": {"Metric": watched, "Period": period, "Stat": stat, **more.pop("of", {})}, **more}


def computed(name, expression, **more):
    return {"Id": name, "Expression": expression, **more}


class Metrics:
    """Metrics by name: for each period the values that there were."""

    def __init__(self, **values):
        self.values_by_name = values

    def values(self, metric, _start, count, _period):
        found = self.values_by_name.get(metric.name, ())
        return [spread_of(Counter(each)) for each in (*found, *[()] * (count - len(found)))]


def values(request, **found):
    return series(read(request).values(), Metrics(**found), START, 3, 60)


def test_a_metric_is_the_same_in_whatever_order_its_dimensions_are_named():
    one, other = (metric_of({"Namespace": "n", "MetricName": "m", "Dimensions": each}) for each in (BY, BY[::-1]))
    assert one == other == Metric("n", "m", (("EndpointName", "boston"), ("VariantName", "A")))
    assert metric_of({}) == Metric("", "", ())


def test_queries_come_after_those_that_they_use():
    found = read([computed("rate", "100*bad/calls"), measured("calls"), measured("bad", "Invocation5XXErrors")])
    assert list(found) == ["bad", "calls", "rate"]
    assert [each.shown for each in found.values()] == [True] * 3
    assert (found["rate"].period, found["rate"].label, found["calls"].label) == (60, "rate", "Invocations")


def test_what_is_not_to_be_returned_and_what_is_called_otherwise_is_known():
    found = read([measured("a", ReturnData=False, Label="calls"), computed("b", "a*2", Label="twice")])
    assert [(each.label, each.shown) for each in found.values()] == [("calls", False), ("twice", True)]


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ([measured("a"), measured("a")], "the ids must differ"),
        ([computed("a", "a+1")], "'a' uses itself"),
        ([computed("a", "b"), computed("b", "c"), computed("c", "a")], "uses itself"),
        ([computed("a", "b+1")], "'b' is not in the list"),
        ([{"Id": "a"}], "'a' must have either MetricStat or Expression"),
        ([{**measured("a"), "Expression": "1"}], "'a' must have either MetricStat or Expression"),
        ([measured("A")], "The value 'A' for parameter Id is not matching the expected pattern"),
        ([measured("a"), measured("b", period=300), computed("c", "a+b")], "'c' must have one period"),
        ([computed("a", "1+1")], "'a' must have one period"),
        ([measured("a", period=45)], "Valid periods are 10, 20, 30, or any multiple of 60"),
        ([measured("a", stat="median")], "The value median for parameter Stat is not supported"),
    ],
)
def test_a_list_that_is_not_well_formed_is_refused(request_, told):
    with pytest.raises(Refused) as caught:
        read(request_)
    assert told in caught.value.message


def test_a_series_has_a_value_where_there_was_one():
    found = values([measured("a"), measured("n", stat="SampleCount")], Invocations=[[1, 1, 1], [], [2]])
    assert found == {"a": [3.0, None, 2.0], "n": [3.0, None, 1.0]}


def test_an_expression_has_one_where_each_of_those_it_uses_has():
    rate = [measured("calls"), measured("bad", "Invocation5XXErrors"), computed("rate", "100*bad/calls")]
    found = values(rate, Invocations=[[1] * 4, [1] * 2, []], Invocation5XXErrors=[[1], [], [1]])
    assert found["rate"] == [25.0, None, None]


@pytest.mark.parametrize(("unit", "there"), [(None, True), ("None", True), ("Microseconds", False), ("Percent", False)])
def test_another_unit_than_the_metrics_own_has_no_values(unit, there):
    of = {} if unit is None else {"Unit": unit}
    assert values([measured("a", of=of)], Invocations=[[1]])["a"][0] == (1.0 if there else None)


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=50))
def test_statistics_are_those_of_the_values(numbers):
    spread = spread_of(Counter(numbers))
    told = {each: statistic(spread, each) for each in ("SampleCount", "Sum", "Minimum", "Maximum", "Average")}
    assert told == {
        "SampleCount": len(numbers),
        "Sum": sum(numbers),
        "Minimum": min(numbers),
        "Maximum": max(numbers),
        "Average": sum(numbers) / len(numbers),
    }
    assert min(numbers) <= statistic(spread, "p50") <= statistic(spread, "p99.9") <= statistic(spread, "p100")
    assert statistic(spread, "P100") == max(numbers)


@pytest.mark.parametrize("stat", ["Sum", "Average", "p0", "p1", "p99.99", "P90", "p100"])
def test_statistics_that_cloudwatch_has_are_taken(stat):
    check_statistic(stat)


@pytest.mark.parametrize("stat", ["sum", "p", "p101", "p-1", "p1e1", "tm90", "IQM", "PR(0:1)", "", "p50 ", "p\u0665"])
def test_others_are_refused(stat):
    with pytest.raises(Refused, match="is not supported"):
        check_statistic(stat)


@pytest.mark.parametrize("period", [10, 20, 30, 60, 120, 86_400])
def test_periods_are_short_ones_or_whole_minutes(period):
    check_period(period)


@pytest.mark.parametrize("period", [1, 5, 40, 61])
def test_no_others_are_taken(period):
    with pytest.raises(Refused, match="multiple of 60"):
        check_period(period)

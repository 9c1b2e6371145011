from __future__ import annotations

import asyncio

import pytest

from sm_magics.local import alarm as rules
from sm_magics.local.alarms import Alarms
from sm_magics.local.metrics import Metrics
from sm_magics.local.store import Store

ALARM = {
    "AlarmName": "errors",
    "Namespace": "AWS/SageMaker",
    "MetricName": "Invocation5XXErrors",
    "Dimensions": [{"Name": "EndpointName", "Value": "boston"}, {"Name": "VariantName", "Value": "A"}],
    "Statistic": "Sum",
    "Period": 10,
    "EvaluationPeriods": 1,
    "Threshold": 0.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "notBreaching",
}


class Time:
    seconds = 1_000_000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def alarms(tmp_path, time):
    store = Store(tmp_path / "state.sqlite")
    yield Alarms(store, Metrics(time), lambda name: f"arn:{name}", time)
    store.close()


def put(alarms, name="errors"):
    asyncio.run(alarms.put({**ALARM, "AlarmName": name}))


def test_an_alarm_is_judged_once_a_period(alarms, time, monkeypatch):
    put(alarms)
    judged = []
    evaluate = rules.evaluate
    monkeypatch.setattr(rules, "evaluate", lambda *given: judged.append(given[2]) or evaluate(*given))
    for _ in range(25):
        alarms.tick()
        time.seconds += 1.0
    assert judged == [1_000_000.0, 1_000_010.0, 1_000_020.0]


def test_one_alarm_that_cannot_be_judged_does_not_keep_the_others_from_it(alarms, time, monkeypatch):
    put(alarms, "broken")
    put(alarms, "whole")
    evaluate = rules.evaluate

    def failing(watched, points, now):
        if watched.name == "broken":
            raise ZeroDivisionError
        return evaluate(watched, points, now)

    monkeypatch.setattr(rules, "evaluate", failing)
    time.seconds += 10.0
    alarms.tick()
    described = asyncio.run(alarms.describe({}))["MetricAlarms"]
    assert {each["AlarmName"]: each["StateValue"] for each in described} == {
        "broken": "INSUFFICIENT_DATA",
        "whole": "OK",
    }


def test_an_alarm_watches_how_busy_instances_are(tmp_path, time):
    metrics = Metrics(time)
    store = Store(tmp_path / "state.sqlite")
    alarms = Alarms(store, metrics, lambda name: f"arn:{name}", time)
    time.seconds = 1_000_020.0  # a whole minute
    watched = {"Namespace": "/aws/sagemaker/Endpoints", "MetricName": "CPUUtilization", "Unit": "Percent"}
    busy = {"Statistic": "Average", "Period": 60, "Threshold": 80.0}
    asyncio.run(alarms.put({**ALARM, **watched, **busy}))
    states = []
    for minute, cpu in enumerate((70.0, 90.0, 170.0, 10.0)):
        time.seconds = 1_000_080.0 + 60 * minute
        metrics.gauges.take("boston", "A", 1_000_020 + 60 * minute, (cpu, 1.0))
        alarms.tick()
        states.append(store.alarm("errors").state)
    store.close()
    assert states == ["OK", "ALARM", "ALARM", "OK"]

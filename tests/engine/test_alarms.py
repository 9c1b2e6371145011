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

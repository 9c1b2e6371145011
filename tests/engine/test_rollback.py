"""Updates that alarms end: a canary that answers errors, or whose alarm somebody sets off, rolls back by itself."""

from __future__ import annotations

import time

import pytest
from cloudwatchkit import client_of, dimensions, stat

from sm_magics.local.metrics import STEP


@pytest.fixture
def cloudwatch(engine):
    return client_of(engine)


@pytest.fixture
def alarm(cloudwatch, endpoint):
    name = f"{endpoint}-4xx"

    def put(**watched):
        cloudwatch.put_metric_alarm(
            AlarmName=name, EvaluationPeriods=1, Threshold=20.0, ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching", **watched,
        )  # fmt: skip
        return name

    yield put
    cloudwatch.delete_alarms(AlarmNames=[name])


def update(engine, endpoint, alarm, wait=60):
    engine.echo(f"n-{endpoint}", bias=1000)
    engine.config(f"d-{endpoint}", ("A", f"n-{endpoint}"))
    routing = {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
        "WaitIntervalInSeconds": wait,
    }
    engine.call(
        "UpdateEndpoint",
        EndpointName=endpoint,
        EndpointConfigName=f"d-{endpoint}",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 0},
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm}]},
        },
    )


def baking(engine, endpoint):
    deadline = time.monotonic() + 30
    while True:
        told = engine.describe(endpoint)
        pending = told.get("PendingDeploymentSummary", {}).get("ProductionVariants") or [{}]
        statuses = pending[0].get("VariantStatus") or []
        if any(each["Status"] == "Baking" for each in statuses):
            return
        assert time.monotonic() < deadline, told
        time.sleep(0.05)


def rolled_back(engine, endpoint, alarm):
    told = engine.settled(endpoint)
    assert told["EndpointStatus"] == "InService"
    assert told["EndpointConfigName"] == f"c-{endpoint}"
    assert told["FailureReason"] == (
        f"One or more alarms [{alarm}] in AutoRollbackConfiguration went into ALARM state during the deployment, so it "
        "was rolled back."
    )
    assert {engine.invoke(endpoint, 1).score for _ in range(6)} == {1}


def test_a_canary_that_answers_errors_rolls_back_by_itself_by_their_share(engine, endpoint, cloudwatch, alarm):
    by = dimensions(EndpointName=endpoint, VariantName="A", EndpointConfigName=f"d-{endpoint}")
    name = alarm(
        Metrics=[
            {"Id": "share", "Expression": "100*bad/calls", "Label": "percent of errors"},
            {**stat("bad", "Invocation4XXErrors", by, period=STEP), "ReturnData": False},
            {**stat("calls", "Invocations", by, period=STEP), "ReturnData": False},
        ]
    )
    update(engine, endpoint, name)
    baking(engine, endpoint)
    deadline = time.monotonic() + 45
    while engine.status(endpoint) == "Updating":
        assert time.monotonic() < deadline
        assert engine.invoke(endpoint, "no number").status == 424
        time.sleep(0.05)
    rolled_back(engine, endpoint, name)
    (told,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert told["StateValue"] == "ALARM"
    assert "[100.0 (" in told["StateReason"]


def test_errors_of_the_old_fleet_alone_do_not_end_an_update(engine, endpoint, cloudwatch, alarm):
    by = dimensions(EndpointName=endpoint, VariantName="A", EndpointConfigName=f"d-{endpoint}")
    name = alarm(
        Namespace="AWS/SageMaker", MetricName="Invocation4XXErrors", Dimensions=by, Statistic="Average", Period=STEP
    )
    for _ in range(3):
        assert engine.invoke(endpoint, "no number").status == 424
    update(engine, endpoint, name, wait=STEP + 2)
    assert engine.settled(endpoint)["EndpointConfigName"] == f"d-{endpoint}"
    (told,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert told["StateValue"] == "OK"


def test_an_alarm_that_is_set_off_ends_the_update(engine, endpoint, cloudwatch, alarm):
    by = dimensions(EndpointName=endpoint, VariantName="A")
    name = alarm(Namespace="AWS/SageMaker", MetricName="Invocations", Dimensions=by, ExtendedStatistic="p99", Period=60)
    update(engine, endpoint, name)
    baking(engine, endpoint)
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="rehearsal")
    rolled_back(engine, endpoint, name)


def test_an_update_that_names_an_alarm_that_there_is_not_is_refused(engine, endpoint):
    with pytest.raises(Exception, match='Could not find alarm "nowhere"'):
        update(engine, endpoint, "nowhere")
    assert engine.status(endpoint) == "InService"

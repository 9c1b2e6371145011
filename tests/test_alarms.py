from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.alarms import endpoint_of, guarded, names_in, prefix, requests, specs, variant_of
from sm_magics.spec import AlarmSpec
from sm_magics.target import ENDPOINT_TAG, Target

ERRORS = AlarmSpec("Invocation5XXErrors", "Average", 0.01, 300)
LATENCY = AlarmSpec("ModelLatency", "p99", 200_000.0, 10, "B")


def wanted(*alarms, model="m", deployment=None):
    variants = [
        {"VariantName": name, "ModelName": model, "InitialVariantWeight": 1.0, "InitialInstanceCount": 1}
        for name in ("A", "B")
    ]
    return Target("boston", {"ProductionVariants": variants}, (), deployment or {}, {}, alarms)


def test_a_share_is_the_average_of_what_each_invocation_counts_for():
    first, second = requests(wanted(ERRORS))
    assert second["AlarmName"].startswith("sm_magics/boston/B/Invocation5XXErrors/")
    assert {key: first[key] for key in first if key not in {"AlarmName", "Dimensions"}} == {
        "AlarmDescription": "Rolls an update back: Invocation5XXErrors of A above 1% for 5m. Made by sm_magics.",
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocation5XXErrors",
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 5,
        "Threshold": 0.01,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        "Tags": [{"Key": ENDPOINT_TAG, "Value": "boston"}],
    }


def test_only_the_new_fleet_is_judged():
    target = wanted(ERRORS)
    dimensions = {each["Name"]: each["Value"] for each in requests(target)[0]["Dimensions"]}
    assert dimensions == {"EndpointName": "boston", "VariantName": "A", "EndpointConfigName": target.config_name}


def test_a_percentile_is_an_extended_statistic_of_one_short_period():
    (request,) = requests(wanted(LATENCY))
    assert (request["ExtendedStatistic"], request["Period"], request["EvaluationPeriods"]) == ("p99", 10, 1)
    assert "Statistic" not in request
    assert variant_of(request["AlarmName"]) == "B"
    assert endpoint_of(request["AlarmName"]) == "boston"


def test_the_same_cell_has_the_same_alarms_and_another_one_others():
    def names(target):
        return {each["AlarmName"] for each in requests(target)}

    assert names(wanted(ERRORS)) == names(wanted(ERRORS))
    assert not names(wanted(ERRORS)) & names(wanted(ERRORS, model="n"))
    assert not names(wanted(ERRORS)) & names(wanted(AlarmSpec("Invocation5XXErrors", "Average", 0.02, 300)))
    assert all(each.startswith(prefix("boston")) for each in names(wanted(ERRORS, LATENCY)))


def test_the_deployment_names_all_its_alarms_once():
    named = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "theirs"}]}}
    target = wanted(LATENCY, deployment={"DeploymentConfig": named, "RetainAllVariantProperties": True})
    (ours,) = (each["AlarmName"] for each in requests(target))
    assert names_in(guarded(target)["DeploymentConfig"]) == ("theirs", ours)
    assert guarded(target)["RetainAllVariantProperties"] is True
    assert guarded(wanted()) == {}


@pytest.mark.parametrize("config", [None, {}, {"AutoRollbackConfiguration": {}}])
def test_a_deployment_without_alarms_names_none(config):
    assert names_in(config) == ()


@pytest.mark.parametrize("name", ["boston-5xx", "a/b/c/d/e", "sm_magics/boston", "sm_magics/a/b/c/d"])
def test_of_another_alarm_the_variant_is_not_known(name):
    assert variant_of(name) is None
    assert endpoint_of(name) is None


ALARMS = st.builds(
    AlarmSpec,
    st.sampled_from(["Invocation5XXErrors", "ModelLatency"]),
    st.sampled_from(["Average", "Sum", "p99", "p99.9"]),
    st.floats(0, 1e9),
    st.sampled_from([10, 30]) | st.integers(1, 1440).map(lambda n: 60 * n),
    st.sampled_from([None, "A"]),
)


@given(st.lists(ALARMS, max_size=3, unique_by=lambda each: (each.metric, each.stat)))
def test_what_cloudwatch_says_of_them_is_what_the_cell_said(alarms):
    found = [{key: value for key, value in each.items() if key != "Tags"} for each in requests(wanted(*alarms))]
    assert specs([*found, {"AlarmName": "theirs"}], ["A", "B"]) == tuple(alarms)


@given(st.lists(ALARMS, max_size=3, unique=True))
def test_every_request_is_one_that_cloudwatch_takes_and_no_two_have_one_name(alarms):
    client = boto3.client("cloudwatch", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    made = requests(wanted(*alarms))
    with Stubber(client) as stub:
        for each in made:
            stub.add_response("put_metric_alarm", {}, each)
            client.put_metric_alarm(**each)
            assert each["Period"] * each["EvaluationPeriods"] <= 86_400
            assert len(each["AlarmName"]) <= 255
    assert len({each["AlarmName"] for each in made}) == len(made)

"""CloudWatch as the engine plays it, seen by boto3: metrics of real invocations, alarms, and what they do."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError
from cloudwatchkit import NAMESPACE, client_of, dimensions, stat


def by_json(engine):
    """Return a client that speaks awsJson 1.0, as other SDKs do."""
    session = botocore.session.Session()
    loader = session.get_component("data_loader")
    original = loader.load_service_model

    def load(service, kind, *version, **given):
        model = original(service, kind, *version, **given)
        if (service, kind) != ("cloudwatch", "service-2"):
            return model
        return {**model, "metadata": {**model["metadata"], "protocol": "json", "protocols": ["json"]}}

    loader.load_service_model = load
    return session.create_client(
        "cloudwatch",
        engine.region,
        endpoint_url=engine.url,
        aws_access_key_id=engine.access_key_id,
        aws_secret_access_key=engine.secret_access_key,
    )


@pytest.fixture(params=["cbor", "json"])
def cloudwatch(engine, request):
    return client_of(engine) if request.param == "cbor" else by_json(engine)


@pytest.fixture
def alarm(cloudwatch):
    """Yield a function that makes alarms, which are deleted afterwards."""
    made = []

    def put(name="high", **changed):
        request = {
            "AlarmName": name,
            "Namespace": NAMESPACE,
            "MetricName": "Invocation5XXErrors",
            "Dimensions": [{"Name": "EndpointName", "Value": "e"}, {"Name": "VariantName", "Value": "A"}],
            "Statistic": "Sum",
            "Period": 10,
            "EvaluationPeriods": 1,
            "Threshold": 1.5,
            "ComparisonOperator": "GreaterThanThreshold",
        }
        cloudwatch.put_metric_alarm(**{key: each for key, each in (request | changed).items() if each is not None})
        made.append(name)
        return name

    yield put
    present = cloudwatch.describe_alarms(AlarmNames=made)["MetricAlarms"]
    if present:
        cloudwatch.delete_alarms(AlarmNames=[each["AlarmName"] for each in present])


def state(cloudwatch, name):
    (found,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return found


def refusal(call, **request):
    with pytest.raises(ClientError) as caught:
        call(**request)
    return caught.value.response["Error"]


def last_hour():
    now = datetime.now(UTC)
    return {"StartTime": now - timedelta(hours=1), "EndTime": now + timedelta(minutes=1)}


def test_invocations_are_seen_at_once_with_errors_latencies_and_shares_of_errors(engine, endpoint, cloudwatch):
    for row in ("1", "2", "3", "no number"):
        engine.invoke(endpoint, row)
    by = dimensions(EndpointName=endpoint, VariantName="A")
    answer = cloudwatch.get_metric_data(
        MetricDataQueries=[
            stat("calls", "Invocations", by),
            stat("bad", "Invocation4XXErrors", by),
            stat("broken", "Invocation5XXErrors", by),
            stat("share", "Invocation4XXErrors", by, "Average"),
            stat("slowest", "ModelLatency", by, "Maximum"),
            stat("p90", "ModelLatency", by, "p90"),
            stat("apart", "OverheadLatency", by, "Minimum"),
            {"Id": "percent", "Expression": "100*bad/calls", "Label": "errors"},
        ],
        **last_hour(),
    )
    rows = {row["Id"]: row for row in answer["MetricDataResults"]}
    sums = {name: sum(row["Values"]) for name, row in rows.items()}
    if len(rows["calls"]["Values"]) == 1:  # no full hour ended meanwhile
        assert (sums["share"], sums["percent"]) == (0.25, 25)
    assert (sums["calls"], sums["bad"], sums["broken"]) == (4, 1, 0)
    assert 0 < sums["p90"] <= sums["slowest"] < 60e6
    assert 0 < sums["apart"] < 60e6
    assert (rows["percent"]["Label"], rows["calls"]["Label"]) == ("errors", "Invocations")
    assert all(isinstance(each, datetime) for each in rows["calls"]["Timestamps"])


def test_statistics_come_with_their_unit_and_by_config_too(engine, endpoint, cloudwatch):
    engine.invoke(endpoint, "1")
    by = dimensions(EndpointName=endpoint, VariantName="A", EndpointConfigName=f"c-{endpoint}")
    answer = cloudwatch.get_metric_statistics(
        Namespace=NAMESPACE, MetricName="ModelLatency", Dimensions=by, Period=3600,
        Statistics=["SampleCount", "Average", "Sum", "Minimum", "Maximum"], **last_hour(),
    )  # fmt: skip
    assert answer["Label"] == "ModelLatency"
    (point,) = answer["Datapoints"]
    assert (point["Unit"], point["SampleCount"]) == ("Microseconds", 1)
    assert point["Average"] == point["Sum"] == point["Minimum"] == point["Maximum"] > 0


def test_every_metric_of_a_variant_is_listed(engine, endpoint, cloudwatch):
    engine.invoke(endpoint, "1")
    pages = cloudwatch.get_paginator("list_metrics").paginate(
        Namespace=NAMESPACE, Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName"}]
    )
    found = [each for page in pages for each in page["Metrics"]]
    assert {each["MetricName"] for each in found} == {
        "Invocations", "InvocationsPerInstance", "Invocation4XXErrors", "Invocation5XXErrors",
        "InvocationModelErrors", "ModelLatency", "OverheadLatency",
    }  # fmt: skip
    assert {len(each["Dimensions"]) for each in found} == {2, 3}
    assert cloudwatch.list_metrics(MetricName="None", RecentlyActive="PT3H")["Metrics"] == []


def test_pages_of_datapoints_are_the_whole(engine, endpoint, cloudwatch):
    engine.invoke(endpoint, "1")
    by = dimensions(EndpointName=endpoint, VariantName="A")
    asked = [stat("a", "Invocations", by), stat("b", "Invocation4XXErrors", by)]
    first = cloudwatch.get_metric_data(MetricDataQueries=asked, MaxDatapoints=1, **last_hour())
    second = cloudwatch.get_metric_data(
        MetricDataQueries=asked, MaxDatapoints=1, NextToken=first["NextToken"], **last_hour()
    )
    assert [row["Values"] for row in first["MetricDataResults"]] == [[1.0], []]
    assert [row["Values"] for row in second["MetricDataResults"]] == [[], [0.0]]
    assert "NextToken" not in second


def test_an_alarm_is_described_as_it_was_made(cloudwatch, alarm):
    tags = [{"Key": "team", "Value": "pricing"}]
    name = alarm("a/b", AlarmDescription="too many", AlarmActions=["arn:aws:sns:us-east-1:1:t"], Tags=tags)
    told = state(cloudwatch, name)
    assert told["AlarmArn"] == "arn:aws:cloudwatch:us-east-1:123456789012:alarm:a/b"
    assert (told["Threshold"], told["Period"], told["AlarmDescription"]) == (1.5, 10, "too many")
    assert told["ActionsEnabled"]
    assert isinstance(told["AlarmConfigurationUpdatedTimestamp"], datetime)
    cloudwatch.disable_alarm_actions(AlarmNames=[name])
    assert not state(cloudwatch, name)["ActionsEnabled"]
    cloudwatch.enable_alarm_actions(AlarmNames=[name, "nothing"])
    assert state(cloudwatch, name)["ActionsEnabled"]
    alarm(name, Threshold=7.0)
    assert state(cloudwatch, name)["Threshold"] == 7


def test_an_alarm_has_tags_of_its_own(cloudwatch, alarm):
    name = alarm(Tags=[{"Key": "team", "Value": "pricing"}])
    arn = state(cloudwatch, name)["AlarmArn"]

    def tags():
        return {each["Key"]: each["Value"] for each in cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]}

    assert tags() == {"team": "pricing"}
    more = [{"Key": "team", "Value": "risk"}, {"Key": "stage", "Value": "test"}]
    cloudwatch.tag_resource(ResourceARN=arn, Tags=more)
    assert tags() == {"team": "risk", "stage": "test"}
    alarm(name, Threshold=7.0, Tags=[{"Key": "team", "Value": "another"}])  # which leaves them, as the service does
    cloudwatch.untag_resource(ResourceARN=arn, TagKeys=["stage", "nothing"])
    assert tags() == {"team": "risk"}


def test_tags_are_refused_where_there_is_no_alarm_and_where_there_are_too_many(cloudwatch, alarm):
    arn = state(cloudwatch, alarm())["AlarmArn"]
    many = [{"Key": f"k{n}", "Value": "v"} for n in range(51)]
    assert "at most 50 tags" in refusal(cloudwatch.tag_resource, ResourceARN=arn, Tags=many)["Message"]
    cloudwatch.tag_resource(ResourceARN=arn, Tags=many[:50])
    told = refusal(cloudwatch.tag_resource, ResourceARN=arn, Tags=many[50:])
    assert (told["Code"], told["Message"]) == ("ValidationError", "A resource can have at most 50 tags, not 51.")
    assert len(cloudwatch.list_tags_for_resource(ResourceARN=arn)["Tags"]) == 50
    for call, more in (
        ("list_tags_for_resource", {}),
        ("tag_resource", {"Tags": []}),
        ("untag_resource", {"TagKeys": []}),
    ):
        with pytest.raises(cloudwatch.exceptions.ResourceNotFoundException, match="no alarm") as caught:
            getattr(cloudwatch, call)(ResourceARN=f"{arn}2", **more)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_alarms_are_found_by_prefix_state_and_action_page_by_page(cloudwatch, alarm):
    names = [alarm(f"page-{n}") for n in range(3)]
    alarm("other", AlarmActions=["arn:aws:sns:us-east-1:1:t"])
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix="page-", PaginationConfig={"PageSize": 2}
    )
    assert [[each["AlarmName"] for each in page["MetricAlarms"]] for page in pages] == [names[:2], names[2:]]
    cloudwatch.set_alarm_state(AlarmName="page-1", StateValue="OK", StateReason="a test")
    found = {
        "state": cloudwatch.describe_alarms(AlarmNamePrefix="page-", StateValue="OK"),
        "action": cloudwatch.describe_alarms(ActionPrefix="arn:aws:sns"),
        "type": cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"]),
    }
    assert {key: [each["AlarmName"] for each in answer["MetricAlarms"]] for key, answer in found.items()} == {
        "state": ["page-1"], "action": ["other"], "type": [],
    }  # fmt: skip


def test_a_state_that_is_set_holds_until_the_next_evaluation(cloudwatch, alarm):
    name = alarm(TreatMissingData="notBreaching")
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test", StateReasonData='{"a": 1}')
    told = state(cloudwatch, name)
    assert (told["StateValue"], told["StateReason"], told["StateReasonData"]) == ("ALARM", "a test", '{"a": 1}')
    deadline = time.monotonic() + 30
    while (told := state(cloudwatch, name))["StateValue"] == "ALARM":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert told["StateValue"] == "OK"
    assert told["StateReason"].endswith("1 missing datapoint was treated as [NonBreaching].")


def test_errors_have_the_codes_that_clients_look_for(cloudwatch):
    unknown = refusal(cloudwatch.set_alarm_state, AlarmName="nothing", StateValue="OK", StateReason="x")
    assert unknown["Code"] == "ResourceNotFound"
    with pytest.raises(cloudwatch.exceptions.ResourceNotFound):
        cloudwatch.delete_alarms(AlarmNames=["nothing"])
    by = dimensions(EndpointName="e", VariantName="A")
    now = datetime.now(UTC)
    request = {"Namespace": NAMESPACE, "MetricName": "Invocations", "Dimensions": by, "Period": 10, "EndTime": now}
    too_many = refusal(
        cloudwatch.get_metric_statistics, StartTime=now - timedelta(days=1), Statistics=["Sum"], **request
    )
    assert too_many["Code"] == "InvalidParameterCombination"
    assert "up to 8,640 datapoints" in too_many["Message"]
    nothing = refusal(cloudwatch.get_metric_statistics, StartTime=now - timedelta(hours=1), **request)
    assert nothing["Code"] == "MissingParameter"
    token = refusal(cloudwatch.list_metrics, NextToken="?")
    assert token["Code"] == "InvalidNextToken"


@pytest.mark.parametrize(
    ("changed", "code", "told"),
    [
        ({"Period": 15}, "ValidationError", "multiple of 60"),
        ({"Statistic": None}, "ValidationError", "either Statistic or ExtendedStatistic"),
        ({"Statistic": None, "ExtendedStatistic": "tm90"}, "InvalidParameterValue", "percentiles such as p99"),
        ({"Statistic": "Mean"}, "ValidationError", "enum value set"),
        ({"Threshold": None}, "ValidationError", "Threshold is required"),
        ({"DatapointsToAlarm": 2}, "ValidationError", "less than or equal to EvaluationPeriods"),
        ({"EvaluationPeriods": 9000}, "ValidationError", "more than a day"),
        ({"TreatMissingData": "zero"}, "ValidationError", "TreatMissingData"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "InvalidParameterValue", "anomaly detection"),
        ({"EvaluateLowSampleCountPercentile": "ignore"}, "InvalidParameterValue", "evaluate only"),
        ({"ThresholdMetricId": "t1"}, "InvalidParameterValue", "ThresholdMetricId"),
        ({"Metrics": [stat("m1", "Invocations", [])]}, "ValidationError", "not both"),
    ],
)
def test_an_alarm_that_the_service_would_not_take_is_refused(cloudwatch, alarm, changed, code, told):
    with pytest.raises(ClientError) as caught:
        alarm(**changed)
    assert caught.value.response["Error"]["Code"] == code
    assert told in caught.value.response["Error"]["Message"]
    assert cloudwatch.describe_alarms(AlarmNames=["high"])["MetricAlarms"] == []


def test_one_signed_for_another_service_or_by_another_key_is_refused_so_that_boto3_can_tell(engine, cloudwatch):
    del cloudwatch
    client = boto3.client(
        "cloudwatch", engine.region, endpoint_url=engine.url, aws_access_key_id="AKX", aws_secret_access_key="no"
    )
    assert refusal(client.describe_alarms)["Code"] == "UnrecognizedClientException"

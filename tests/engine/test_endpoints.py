from __future__ import annotations

import pytest
from controlkit import IMAGE, NOW, controlling, variant

from sm_magics.local.containers import resolved

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/boston"
CANARY = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
            "WaitIntervalInSeconds": 60,
        }
    }
}


@pytest.fixture
def control(tmp_path):
    """Yield a control plane that has a model and two endpoint configs of it."""
    with controlling(tmp_path) as made:
        made.model()
        made.config("c1")
        made.config("c2", [variant("A", InitialVariantWeight=2.0, InitialInstanceCount=3)])
        yield made


@pytest.fixture
def serving(control):
    """Yield one whose endpoint is in service on the first config."""
    control.create()
    control.settle()
    control.followed.clear()
    control.growth.clear()
    return control


def update(control, config="c2", **more):
    return control.call("UpdateEndpoint", EndpointName="boston", EndpointConfigName=config, **more)


def rescale(control, *rows):
    return control.call("UpdateEndpointWeightsAndCapacities", EndpointName="boston", DesiredWeightsAndCapacities=rows)


def row(name, **wanted):
    return {"VariantName": name, **wanted}


class TestCreate:
    def test_it_is_kept_creating_and_followed(self, control):
        assert control.create(Tags=[{"Key": "team", "Value": "x"}], DeploymentConfig=CANARY) == {"EndpointArn": ARN}
        told = control.describe()
        assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("Creating", "c1")
        assert (told["ProductionVariants"], told["CreationTime"]) == (None, NOW)
        assert told["LastDeploymentConfig"] == CANARY
        assert control.store.endpoint("boston").tags == {"team": "x"}
        assert control.followed == ["boston"]
        assert control.growth == [("boston", "c1", [("A", 1)])]

    def test_its_arn_is_in_lower_case_and_its_name_as_it_was_given(self, control):
        assert control.create("Boston") == {"EndpointArn": ARN}
        assert control.describe("BOSTON")["EndpointName"] == "Boston"

    def test_another_of_the_name_is_refused_in_the_services_words(self, control):
        control.create()
        told = control.refused("CreateEndpoint", EndpointName="BOSTON", EndpointConfigName="c1")
        assert told == f'Cannot create already existing endpoint "{ARN}".'
        assert control.followed == ["boston"]

    def test_so_is_one_of_a_config_that_there_is_not(self, control):
        told = control.refused("CreateEndpoint", EndpointName="boston", EndpointConfigName="C9")
        assert told == (
            'Could not find endpoint configuration "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/c9".'
        )

    def test_a_variant_is_what_its_model_and_config_say(self, control):
        control.model("full", ModelDataUrl=None, Environment={"A": "1"})
        slow = variant("S", "full", ContainerStartupHealthCheckTimeoutInSeconds=90, InitialVariantWeight=3.0)
        control.config("c3", [slow], ShadowProductionVariants=[variant("Next")])
        control.create(config="c3")
        made, shadow = control.store.endpoint("boston").pending.variants
        assert (made.model, made.image, made.environment, made.instance_type) == (
            "full",
            IMAGE,
            {"A": "1"},
            "ml.m5.large",
        )
        assert (made.startup_seconds, made.desired_weight, made.desired_count, made.shadow) == (90, 3.0, 1, False)
        assert (shadow.name, shadow.startup_seconds, shadow.desired_weight, shadow.shadow) == ("Next", 240, 1.0, True)


class TestUpdate:
    def test_another_fleet_is_pending_while_the_first_serves(self, serving):
        serving.now += 5
        assert update(serving) == {"EndpointArn": ARN}
        told = serving.describe()
        assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("Updating", "c1")
        assert (told["LastModifiedTime"], told["CreationTime"]) == (NOW + 5, NOW)
        (old,) = told["ProductionVariants"]
        (new,) = told["PendingDeploymentSummary"]["ProductionVariants"]
        assert (old["CurrentInstanceCount"], old["DesiredInstanceCount"], old["InstanceType"]) == (1, 1, None)
        assert (new["CurrentInstanceCount"], new["DesiredInstanceCount"], new["InstanceType"]) == (0, 3, "ml.m5.large")
        assert new["VariantStatus"][0]["StatusMessage"] == "Launching 3 instance(s)."
        assert serving.followed == ["boston"]
        assert serving.growth == [("boston", "c2", [("A", 3)])]

    def test_weights_and_counts_are_retained_when_asked_for(self, serving):
        update(serving, RetainAllVariantProperties=True)
        (new,) = serving.describe()["PendingDeploymentSummary"]["ProductionVariants"]
        assert (new["DesiredWeight"], new["DesiredInstanceCount"]) == (1.0, 1)

    def test_all_but_those_that_are_excluded(self, serving):
        excluded = [{"VariantPropertyType": "DesiredWeight"}]
        update(serving, RetainAllVariantProperties=True, ExcludeRetainedVariantProperties=excluded)
        (new,) = serving.describe()["PendingDeploymentSummary"]["ProductionVariants"]
        assert (new["DesiredWeight"], new["DesiredInstanceCount"]) == (2.0, 1)

    @pytest.mark.parametrize(
        ("retain", "given", "kept"), [(True, None, CANARY), (False, None, None), (True, {}, CANARY), (False, {}, None)]
    )
    def test_the_last_deployment_config_is_used_again_only_when_asked_for(self, serving, retain, given, kept):
        update(serving, DeploymentConfig=CANARY)
        serving.settle()
        update(serving, "c1", RetainDeploymentConfig=retain, DeploymentConfig=given)
        assert serving.describe()["LastDeploymentConfig"] == kept

    def test_an_alarm_that_is_to_roll_it_back_must_be_there(self, serving):
        rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}
        given = {"EndpointName": "boston", "EndpointConfigName": "c2", "DeploymentConfig": rollback}
        assert serving.refused("UpdateEndpoint", **given) == 'Could not find alarm "errors".'
        serving.alarms.add("errors")
        serving.call("UpdateEndpoint", **given)

    @pytest.mark.parametrize(
        ("prepare", "told"),
        [
            (update, f'Cannot update in-progress endpoint "{ARN}".'),
            (lambda control: control.call("DeleteEndpoint", EndpointName="boston"), f'in-progress endpoint "{ARN}"'),
            (
                lambda control: control.call("DeleteEndpointConfig", EndpointConfigName="c1"),
                'Could not find endpoint configuration "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/c1".',
            ),
        ],
    )
    def test_it_is_refused_while_something_is_under_way_or_once_its_config_is_gone(self, serving, prepare, told):
        prepare(serving)
        before = serving.describe()
        assert told in serving.refused("UpdateEndpoint", EndpointName="boston", EndpointConfigName="c2")
        assert serving.describe() == before

    def test_and_on_the_config_in_use_or_after_it_failed(self, control):
        control.create()
        control.fail()
        request = {"EndpointName": "boston", "EndpointConfigName": "c2"}
        assert control.refused("UpdateEndpoint", **request) == f'Cannot update failed endpoint "{ARN}".'
        control.create("other")
        control.settle("other")
        told = control.refused("UpdateEndpoint", EndpointName="other", EndpointConfigName="c1")
        assert told == 'Cannot update endpoint with the currently in use endpoint configuration "c1".'


class TestRescale:
    def test_what_is_not_named_or_null_stays(self, serving):
        rescale(serving, row("A", DesiredWeight=None, DesiredInstanceCount=4))
        (told,) = serving.describe()["ProductionVariants"]
        assert (told["DesiredWeight"], told["DesiredInstanceCount"], told["CurrentInstanceCount"]) == (1.0, 4, 1)
        assert serving.growth == [("boston", "c1", [("A", 3)])]  # only what is to come is asked for
        assert serving.followed == ["boston"]

    @pytest.mark.parametrize(
        ("rows", "told"),
        [
            ([row("A", DesiredWeight=1), row("A", DesiredWeight=2)], 'The variant name "A" was non-unique'),
            ([row("A", DesiredInstanceCount=0)], "must keep at least 1 instance"),
            ([row("A", ServerlessUpdateConfig={"MaxConcurrency": 1})], "does not offer ServerlessUpdateConfig"),
            (
                [row("B", DesiredWeight=1)],
                'The variant name(s) "B" is/are not present within endpoint configuration "c1"',
            ),
            ([row("A", DesiredWeight=0)], "At least one production variant must have a weight"),
        ],
    )
    def test_what_cannot_be_is_refused_and_changes_nothing(self, serving, rows, told):
        before = serving.describe()
        request = {"EndpointName": "boston", "DesiredWeightsAndCapacities": rows}
        assert told in serving.refused("UpdateEndpointWeightsAndCapacities", **request)
        assert (serving.describe(), serving.followed) == (before, [])


class TestDescribe:
    @pytest.mark.parametrize(
        ("operation", "more"),
        [
            ("DescribeEndpoint", {}),
            ("DeleteEndpoint", {}),
            ("UpdateEndpoint", {"EndpointConfigName": "c2"}),
            ("UpdateEndpointWeightsAndCapacities", {"DesiredWeightsAndCapacities": [row("A", DesiredWeight=1)]}),
        ],
    )
    def test_one_that_there_is_not_is_not_found(self, control, operation, more):
        assert control.refused(operation, EndpointName="boston", **more) == f'Could not find endpoint "{ARN}".'

    def test_an_instance_that_does_not_come_back_is_not_counted(self, control):
        control.config("c3", [variant("A", InitialInstanceCount=2), variant("B")])
        control.create(config="c3")
        control.settle()
        for missing, told in (({"A": 1}, [1, 1]), ({"A": 3}, [0, 1]), ({}, [2, 1])):
            control.missing = missing
            rows = control.describe()["ProductionVariants"]
            assert [each["CurrentInstanceCount"] for each in rows] == told
            assert [each["DesiredInstanceCount"] for each in rows] == [2, 1]

    def test_images_are_told_as_they_were_when_the_fleet_was_made(self, control, tmp_path):
        program = tmp_path / "serve.sh"
        program.write_text("#!/bin/sh")
        program.chmod(0o755)
        control.model("own", Image=str(program))
        control.config("c3", [variant("A", "own"), variant("B")])
        was = resolved(str(program))
        control.create(config="c3")
        program.write_text("#!/bin/bash")
        control.now += 60
        control.settle()
        told = [each["DeployedImages"] for each in control.describe()["ProductionVariants"]]
        assert told == [
            [{"SpecifiedImage": str(program), "ResolvedImage": was, "ResolutionTime": NOW}],
            [{"SpecifiedImage": IMAGE, "ResolvedImage": resolved(IMAGE), "ResolutionTime": NOW}],
        ]

    def test_of_a_program_that_is_gone_only_its_path_is_told(self, control, tmp_path):
        program = tmp_path / "serve.sh"
        program.touch(0o755)
        control.model("own", Image=str(program))
        control.config("c3", [variant("A", "own")])
        program.unlink()
        control.create(config="c3")
        (told,) = control.describe()["PendingDeploymentSummary"]["ProductionVariants"]
        assert told["DeployedImages"] == [{"SpecifiedImage": str(program)}]

    def test_what_the_config_asks_of_metrics_and_routing_is_told_while_it_is_there(self, control):
        routing = {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}
        reserved = {"MlReservationArn": "arn:aws:sagemaker:us-east-1:123456789012:training-plan/p"}
        asked = {"MetricsConfig": {"EnableEnhancedMetrics": True}}
        control.config("c3", [variant("A", RoutingConfig=routing, CapacityReservationConfig=reserved)], **asked)
        control.create(config="c3")
        (pending,) = control.describe()["PendingDeploymentSummary"]["ProductionVariants"]
        assert pending["RoutingConfig"] == routing
        assert pending["CapacityReservationConfig"] is None  # the service's shape has none
        control.settle()
        told = control.describe()
        (row,) = told["ProductionVariants"]
        assert (told["MetricsConfig"], row["RoutingConfig"]) == (asked["MetricsConfig"], routing)
        assert row["CapacityReservationConfig"] == reserved
        control.call("DeleteEndpointConfig", EndpointConfigName="c3")
        told = control.describe()
        (row,) = told["ProductionVariants"]
        assert (told["MetricsConfig"], row["RoutingConfig"], row["CapacityReservationConfig"]) == (None,) * 3

    def test_a_shadow_is_told_apart(self, control):
        control.config("c3", ShadowProductionVariants=[variant("Next", InitialVariantWeight=0.5)])
        control.create(config="c3")
        pending = control.describe()["PendingDeploymentSummary"]
        control.settle()
        for told in (pending, control.describe()):
            assert [each["VariantName"] for each in told["ProductionVariants"]] == ["A"]
            assert [(each["VariantName"], each["DesiredWeight"]) for each in told["ShadowProductionVariants"]] == [
                ("Next", 0.5)
            ]

    @pytest.mark.parametrize(
        ("enabled", "works", "status"), [(True, True, "Started"), (True, False, "Stopped"), (False, True, "Stopped")]
    )
    def test_capture_is_told_as_it_is(self, control, enabled, works, status):
        asked = {
            "EnableCapture": enabled,
            "InitialSamplingPercentage": 20,
            "DestinationS3Uri": "s3://bucket/data",
            "CaptureOptions": [{"CaptureMode": "Input"}],
        }
        control.config("c3", DataCaptureConfig=asked)
        control.create(config="c3")
        assert control.describe()["DataCaptureConfig"] is None  # nothing serves yet
        control.settle()
        control.captures = works
        assert control.describe()["DataCaptureConfig"] == {
            "EnableCapture": enabled,
            "CaptureStatus": status,
            "CurrentSamplingPercentage": 20,
            "DestinationS3Uri": "s3://bucket/data",
            "KmsKeyId": "",
        }


def test_endpoints_are_listed_with_their_status(serving):
    serving.create("other")
    found = serving.call("ListEndpoints", StatusEquals="Creating")
    assert [(each["EndpointName"], each["EndpointStatus"]) for each in found["Endpoints"]] == [("other", "Creating")]
    first = serving.call("ListEndpoints", MaxResults=1, SortBy="Name", SortOrder="Ascending")
    second = serving.call(
        "ListEndpoints", NextToken=first["NextToken"], MaxResults=1, SortBy="Name", SortOrder="Ascending"
    )
    assert [each["EndpointArn"] for each in (*first["Endpoints"], *second["Endpoints"])] == [ARN, f"{ARN[:-6]}other"]


def test_a_deletion_is_kept_and_followed(serving):
    assert serving.call("DeleteEndpoint", EndpointName="boston") is None
    assert (serving.describe()["EndpointStatus"], serving.followed) == ("Deleting", ["boston"])
    assert serving.refused("DeleteEndpoint", EndpointName="boston") == f'Cannot update in-progress endpoint "{ARN}".'

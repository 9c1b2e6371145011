"""Deployments on the engine, and on a service that answers by a script where the engine cannot misbehave so."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

import pytest

from sm_magics import deploy as module
from sm_magics.advice import ALARMED
from sm_magics.alarms import requests
from sm_magics.clock import Clock
from sm_magics.connection import call
from sm_magics.deploy import create_model, deploy, observe
from sm_magics.errors import DeployError, PlanError, ServiceError
from sm_magics.events import Called, Calling, Planned, Reached, Seen
from sm_magics.inventory import delete, deletion, inventory
from sm_magics.models import DesiredModel
from sm_magics.settle import gone
from sm_magics.spec import AlarmSpec
from sm_magics.target import ENDPOINT_TAG, Share, Target
from sm_magics.watch import look

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/boston"
ONE = "variants: {A: $linear}"
OTHER = "variants: {A: $xgb}"
CANARY = """
deploy:
  blue_green_update_policy:
    traffic_routing_configuration:
      type: CANARY
      wait_interval_in_seconds: 60
      canary_size: {type: CAPACITY_PERCENT, value: 10}
"""
CORRUPT = "variants:\n  A: {model: {image: xgboost@3.0-5, data: $corrupt}}"


@pytest.fixture
def writes(connection, noting_writes):
    """Yield the list of all calls made from now on that change something."""
    with noting_writes(connection) as made:
        yield made


def left(deployer, name):
    return {kind: deployer.names(kind, name) for kind in ("Endpoint", "EndpointConfig", "Model")}


def failing(deployer, name, body, **options):
    """Deploy what fails, and return the error and what happened before it."""
    events = []
    with pytest.raises(DeployError) as caught:
        events.extend(deploy(deployer.connection, deployer.target(name, body), deployer.clock, **options))
    return caught.value


class TestCreation:
    def test_it_tells_the_plan_each_call_each_look_and_the_end(self, deployer, name, writes):
        events = deployer.run(name, ONE)
        assert isinstance(events[0], Planned)
        assert [type(each) for each in events[1:7]] == [Calling, Called] * 3
        assert all(isinstance(each, Seen) for each in events[7:-1])
        assert writes == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
        end = events[-1]
        assert end == Reached(end.snapshot, verified=True)
        assert (end.snapshot.status, end.snapshot.config_name) == ("InService", events[0].plan.config_name)

    def test_all_that_is_made_carries_the_endpoint_s_tag(self, deployer, name):
        deployer.run(name, ONE + "\ntags: {team: pricing}")
        tagged = {kind: deployer.names(kind, name) for kind in ("Model", "EndpointConfig", "Endpoint")}
        for kind, names in tagged.items():
            assert names
            for each in names:
                arn = deployer.connection.describe(kind, each)[f"{kind}Arn"]
                tags = deployer.connection.call("ListTags", ResourceArn=arn)["Tags"]
                assert {"Key": ENDPOINT_TAG, "Value": name} in tags
                assert {"Key": "team", "Value": "pricing"} in tags

    def test_one_that_fails_tells_the_service_s_reason_the_log_and_what_to_do_and_leaves_nothing(self, deployer, name):
        error = failing(deployer, name, CORRUPT)
        text = str(error)
        assert f"endpoint '{name}' has failed: The primary container for production variant A did not pass" in text
        assert f"last lines of /aws/sagemaker/Endpoints/{name}/A/" in text
        assert error.log
        assert text.endswith(f"\n  {error.hint}")
        assert error.snapshot.status == "Failed"
        list(gone(deployer.connection, name, deployer.clock, 30))
        assert left(deployer, name) == {"Endpoint": [], "EndpointConfig": [], "Model": []}

    def test_after_a_failure_the_corrected_cell_just_works(self, deployer, name):
        failing(deployer, name, CORRUPT)
        assert deployer.run(name, ONE)[-1].verified

    def test_a_failed_endpoint_of_ours_is_replaced(self, deployer, name, writes, monkeypatch):
        monkeypatch.setattr(module, "_take_back", lambda *_: None)
        failing(deployer, name, CORRUPT)
        assert look(deployer.connection, name).status == "Failed"
        writes.clear()
        assert deployer.run(name, ONE)[-1].verified
        assert writes == ["DeleteEndpoint", "CreateModel", "CreateEndpointConfig", "CreateEndpoint"]


class TestChange:
    def test_running_the_same_cell_again_makes_no_write_call(self, deployer, name, writes):
        deployer.run(name, ONE)
        writes.clear()
        events = deployer.run(name, ONE)
        assert writes == []
        assert events[0].plan.actions == ()
        assert events[-1].verified

    def test_weights_alone_are_changed_in_place(self, deployer, name, writes):
        deployer.run(name, "variants: {A: $linear, B: $xgb}")
        config = look(deployer.connection, name).config_name
        writes.clear()
        end = deployer.run(name, "variants: {A: {model: $linear, weight: 3}, B: $xgb}")[-1]
        assert writes == ["UpdateEndpointWeightsAndCapacities"]
        assert end.snapshot.config_name == config
        assert end.snapshot.shares == {"A": Share(3.0, 1), "B": Share(1.0, 1)}

    def test_so_are_instance_counts(self, deployer, name, writes):
        deployer.run(name, ONE)
        writes.clear()
        end = deployer.run(name, "variants: {A: {model: $linear, instances: 2}}")[-1]
        assert writes == ["UpdateEndpointWeightsAndCapacities"]
        assert end.snapshot.variants[0].count == 2

    def test_another_model_is_an_update_to_a_config_of_its_own(self, deployer, name, writes):
        deployer.run(name, ONE)
        writes.clear()
        events = deployer.run(name, OTHER)
        assert writes == ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint"]
        assert events[-1].snapshot.config_name == events[0].plan.config_name
        assert len(deployer.names("EndpointConfig", name)) == 2

    def test_back_to_what_was_before_makes_nothing_anew(self, deployer, name, writes):
        deployer.run(name, ONE)
        deployer.run(name, OTHER)
        writes.clear()
        assert deployer.run(name, ONE)[-1].verified
        assert writes == ["UpdateEndpoint"]

    def test_tags_are_changed_without_touching_the_fleet(self, deployer, name, writes):
        deployer.run(name, ONE + "\ntags: {team: a, old: x}")
        writes.clear()
        deployer.run(name, ONE + "\ntags: {team: b}")
        assert writes == ["AddTags", "DeleteTags"]

    def test_an_update_that_fails_is_rolled_back_and_what_this_run_made_is_gone(self, deployer, name):
        before = deployer.run(name, ONE)[-1].snapshot
        had = left(deployer, name)
        error = failing(deployer, name, CORRUPT)
        assert f"failed and was rolled back; it serves config '{before.config_name}'" in str(error)
        assert error.over
        assert error.log
        assert left(deployer, name) == had
        after = look(deployer.connection, name)
        assert (after.status, after.config_name, after.variants) == ("InService", before.config_name, before.variants)

    def test_the_same_failure_twice_is_told_at_once_both_times(self, deployer, name):
        deployer.run(name, ONE)
        for _ in range(2):
            failing(deployer, name, CORRUPT, timeout=15)

    def test_after_a_failed_update_the_unchanged_old_cell_is_verified(self, deployer, name):
        deployer.run(name, ONE)
        failing(deployer, name, CORRUPT)
        assert deployer.run(name, ONE)[-1].verified


class TestWaiting:
    def test_without_waiting_it_ends_once_the_calls_are_accepted(self, deployer, name):
        end = deployer.run(name, ONE, wait=False)[-1]
        assert not end.verified
        assert end.snapshot.status in {"Creating", "InService"}

    def test_a_run_that_was_interrupted_is_gone_on_with(self, deployer, name, writes, paused):
        with paused():
            events = deploy(deployer.connection, deployer.target(name, ONE), deployer.clock)
            assert next(each for each in events if isinstance(each, Seen)).snapshot.status == "Creating"
            events.close()
            writes.clear()
        assert deployer.run(name, ONE)[-1].verified
        assert writes == []

    def test_an_endpoint_that_is_being_changed_is_waited_for_and_then_changed(self, deployer, name, writes, paused):
        with paused():
            deployer.run(name, ONE, wait=False)
            writes.clear()
            events = deploy(deployer.connection, deployer.target(name, OTHER), deployer.clock)
            seen = next(events)
            assert (seen.snapshot.status, seen.earlier) == ("Creating", True)
            assert writes == []
        *after, end = events
        assert end.verified
        assert writes == ["CreateModel", "CreateEndpointConfig", "UpdateEndpoint"]
        planned = next(at for at, each in enumerate(after) if isinstance(each, Planned))
        assert all(each.earlier for each in after[:planned])
        assert not any(each.earlier for each in after[planned:] if isinstance(each, Seen))

    def test_a_change_that_came_first_is_waited_for_and_the_plan_made_anew(
        self, deployer, name, connection, coming_first
    ):
        before = deployer.run(name, ONE)[-1].snapshot.config_name
        between = deployer.run(name, OTHER)[-1].snapshot.config_name
        target = deployer.target(name, "variants: {A: $linear, B: $xgb}")
        back = {"EndpointName": name, "EndpointConfigName": before}
        coming_first("UpdateEndpoint", lambda: connection.call("UpdateEndpoint", **back))
        happened = list(deploy(connection, target, deployer.clock))
        first, second = (each.plan for each in happened if isinstance(each, Planned))
        assert [each.operation for each in first.actions][-1] == "UpdateEndpoint"
        assert [each.operation for each in second.actions] == ["UpdateEndpoint"]  # the parts were there by then
        assert happened[-1].verified
        assert happened[-1].snapshot.config_name == target.config_name != between

    def test_an_endpoint_that_another_made_meanwhile_is_changed_and_not_made(self, deployer, name, connection, served):
        config = look(connection, served).config_name
        events = connection.client("sagemaker").meta.events

        def come_first(**_):
            events.unregister("before-call.sagemaker.CreateEndpoint", come_first)
            connection.call("CreateEndpoint", EndpointName=name, EndpointConfigName=config)

        target = deployer.target(name, ONE)
        events.register("before-call.sagemaker.CreateEndpoint", come_first)
        impatient = Clock(sleep=lambda seconds: time.sleep(min(seconds, 0.05)))
        happened = list(deploy(connection, target, impatient))
        first, second = (each.plan.actions[-1].operation for each in happened if isinstance(each, Planned))
        assert (first, second) == ("CreateEndpoint", "AddTags")
        assert happened[-1].verified
        assert look(connection, name).config_name == target.config_name

    def test_a_timeout_leaves_everything_and_says_how_to_go_on(self, deployer, name, paused):
        deployer.run(name, ONE)
        with paused():
            error = failing(deployer, name, OTHER, timeout=0.2)
        assert "is still Updating after 0.2 s" in str(error)
        assert f"%sm_status {name} --wait" in error.hint
        assert not error.over
        assert deployer.run(name, OTHER)[-1].verified


@pytest.fixture
def refuse(connection):
    """Return a context in which one operation is refused."""

    @contextlib.contextmanager
    def refusing(operation, message):
        def raise_it(**_):
            raise ServiceError(operation, "AccessDeniedException", message, {})

        events = connection.client("sagemaker").meta.events
        events.register(f"before-call.sagemaker.{operation}", raise_it)
        try:
            yield
        finally:
            events.unregister(f"before-call.sagemaker.{operation}", raise_it)

    return refusing


class TestRefusals:
    def test_a_call_that_is_refused_half_way_takes_back_what_was_made(self, deployer, name, refuse):
        with refuse("CreateEndpoint", "no more"), pytest.raises(ServiceError, match="no more"):
            deployer.run(name, ONE)
        assert left(deployer, name) == {"Endpoint": [], "EndpointConfig": [], "Model": []}

    def test_what_was_there_before_this_run_is_not_taken_back(self, deployer, name, connection, refuse):
        target = deployer.target(name, ONE)
        create_model(connection, target.models[0], {})
        with refuse("CreateEndpointConfig", "no more"), pytest.raises(ServiceError, match="no more"):
            deployer.run(name, ONE)
        assert deployer.names("Model", name) == [target.models[0].name]
        connection.call("DeleteModel", ModelName=target.models[0].name)

    def test_once_an_update_is_accepted_nothing_of_it_is_taken_back(self, deployer, name, connection, refuse):
        deployer.run(name, ONE)
        with refuse("AddTags", "not allowed"), pytest.raises(ServiceError, match="not allowed"):
            deployer.run(name, OTHER + "\ntags: {team: b}")
        assert deployer.run(name, OTHER)[-1].verified
        serving = look(connection, name).config_name
        assert connection.describe("EndpointConfig", serving) is not None

    def test_a_plan_that_cannot_be_is_refused_before_anything_is_made(self, deployer, name, writes):
        deployer.run(name, ONE)
        writes.clear()
        with pytest.raises(PlanError, match="same variants before and after"):
            deployer.run(name, "variants: {B: $xgb}" + CANARY)
        assert writes == []

    def test_what_the_engine_does_not_offer_is_said_by_name(self, deployer, name):
        deployer.run(name, ONE)
        had = left(deployer, name)
        with pytest.raises(ServiceError, match="does not offer RoutingStrategy RANDOM"):
            deployer.run(name, "variants: {A: {model: $xgb, routing_config: {routing_strategy: RANDOM}}}")
        assert left(deployer, name) == had


class TestPolicies:
    def test_a_policy_of_a_first_cell_is_kept_for_updates_and_harmless(self, deployer, name):
        canary = "\ndeploy: {canary: 10%, wait: 1h}"
        end = deployer.run(name, ONE + canary)[-1]
        assert end.verified
        kept = end.snapshot.raw["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
        assert kept["WaitIntervalInSeconds"] == 3600
        assert deployer.run(name, ONE + canary)[0].plan.actions == ()

    @pytest.mark.parametrize(
        ("policy", "shares"),
        [
            ("{canary: 10%, wait: 1s}", {0.1}),
            ("{linear: 50%, every: 1s, bake: 1s}", {0.5, 1.0}),
            ("{all-at-once: true, bake: 1s}", {1.0}),
        ],
    )
    def test_an_update_goes_as_its_policy_says(self, deployer, name, policy, shares):
        deployer.run(name, ONE)
        events = deployer.run(name, f"{OTHER}\ndeploy: {policy}")
        assert events[-1].verified
        seen = [each.snapshot for each in events if isinstance(each, Seen)]
        baking = {state.weight for each in seen for state in each.pending if state.phase == "Baking"}
        assert baking == shares

    def test_a_rolling_update_replaces_instances_batch_by_batch(self, deployer, name):
        deployer.run(name, "variants: {A: {model: $linear, instances: 2}}")
        events = deployer.run(name, "variants: {A: {model: $xgb, instances: 2}}\ndeploy: {rolling: 50%, wait: 1s}")
        assert events[-1].verified
        ready = [state.count for each in events if isinstance(each, Seen) for state in each.snapshot.pending]
        assert 1 in ready


GUARDS = "\ndeploy: {canary: 10%, wait: 1m}\nrollback_on: [{metric: Invocation5XXErrors, above: 1%}]"


class TestRollbackByAlarm:
    def alarms(self, connection, name):
        return [each.name for each in inventory(connection).alarms if each.owner == name]

    def test_it_names_the_alarm_and_why_and_leaves_nothing_of_the_update(self, deployer, name, connection):
        before = deployer.run(name, ONE)[-1].snapshot.config_name
        had = left(deployer, name)
        target = deployer.target(name, OTHER + GUARDS)
        (alarm,) = (each["AlarmName"] for each in requests(target))
        told = {"AlarmName": alarm, "StateValue": "ALARM", "StateReason": "it was told to"}
        watched = []

        def carry_out():
            for event in deploy(connection, target, deployer.clock):
                if isinstance(event, Seen) and not watched and "Baking" in {s.phase for s in event.snapshot.pending}:
                    watched.extend(each.name for each in event.snapshot.alarms)
                    call(connection.client("cloudwatch"), "SetAlarmState", **told)

        with pytest.raises(DeployError) as caught:
            carry_out()
        assert watched == [alarm]
        assert f"  alarm {alarm}: it was told to" in caught.value.message
        assert caught.value.hint == ALARMED
        assert look(connection, name).config_name == before
        assert left(deployer, name) == had
        assert self.alarms(connection, name) == []

    def test_the_next_update_has_alarms_of_its_own_and_the_same_cell_changes_none(self, deployer, name, connection):
        def update(body):
            target = deployer.target(name, f"{body}\ndeploy: {{canary: 10%, wait: 1s}}")
            guarded = replace(target, alarms=(AlarmSpec("Invocation5XXErrors", "Average", 0.01),))
            return list(deploy(connection, guarded, deployer.clock))

        update(ONE)
        assert self.alarms(connection, name) == []
        update(OTHER)
        (first,) = self.alarms(connection, name)
        assert update(OTHER)[0].plan.actions == ()
        assert update("variants: {A: {model: $xgb, instance: ml.c5.large}}")[-1].verified
        (second,) = self.alarms(connection, name)
        assert first != second
        list(delete(connection, deletion(connection, name), deployer.clock))
        assert self.alarms(connection, name) == []


MODEL = DesiredModel("m1", {"PrimaryContainer": {"Image": "i"}, "ExecutionRoleArn": "r"}, None)
VARIANT = {"VariantName": "A", "ModelName": "m1", "InstanceType": "t", "InitialVariantWeight": 1.0}
TARGET = Target("boston", {"ProductionVariants": [{**VARIANT, "InitialInstanceCount": 1}]}, (MODEL,))


def told(status="InService", config="old", count=1, **rest):
    now = {"CurrentWeight": 1.0, "CurrentInstanceCount": count}
    return {
        "EndpointName": "boston",
        "EndpointArn": ARN,
        "EndpointStatus": status,
        "EndpointConfigName": config,
        "ProductionVariants": [{"VariantName": "A", **now, "DesiredWeight": 1.0, "DesiredInstanceCount": count}],
        **rest,
    }


@pytest.fixture
def scripted(fake_connection, refusal):
    """Return a function that connects to a service whose endpoint serves another model, with changes to its script."""

    def connect(**changes):
        nothing = refusal("Could not find it")
        old = {**VARIANT, "ModelName": "m0", "InitialInstanceCount": 1}

        def describe_endpoint_config(EndpointConfigName):  # noqa: N803 - boto3's name
            return {"ProductionVariants": [old]} if EndpointConfigName == "old" else nothing

        return fake_connection(
            **{
                "describe_model": [nothing],
                "describe_endpoint_config": [describe_endpoint_config],
                "describe_endpoint": [told()],
                "list_tags": [{"Tags": [{"Key": ENDPOINT_TAG, "Value": "boston"}]}],
                "create_model": [{}],
                "create_endpoint_config": [{}],
                "update_endpoint": [{}],
                "add_tags": [{}],
                "delete_model": [{}],
                "delete_endpoint_config": [{}],
                "describe_log_streams": [{"logStreams": []}],
                **changes,
            }
        )

    return connect


def undone(connection):
    return [each for each in connection.session.operations if each.startswith("delete")]


GUARDED = replace(
    TARGET,
    deployment={
        "DeploymentConfig": {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
                "TerminationWaitInSeconds": 60,
            }
        }
    },
    alarms=(AlarmSpec("Invocation5XXErrors", "Average", 0.01),),
)
(ALARM,) = (each["AlarmName"] for each in requests(GUARDED))


class TestAlarms:
    def alarms(self, scripted, **changes):
        no_alarms = {"MetricAlarms": [], "CompositeAlarms": []}
        script = {"describe_alarms": [no_alarms], "put_metric_alarm": [{}], "delete_alarms": [{}], **changes}
        return scripted(**script)

    def test_they_are_made_before_the_update_that_names_them(self, scripted, fake_clock):
        connection = self.alarms(
            scripted, describe_endpoint=[told(), told("Updating"), told(config=GUARDED.config_name)]
        )
        assert list(deploy(connection, GUARDED, fake_clock))[-1].verified
        writes = [each for each in connection.session.calls if not each[0].startswith(("describe", "list"))]
        assert [each for each, _ in writes] == [
            "create_model",
            "create_endpoint_config",
            "put_metric_alarm",
            "update_endpoint",
            "add_tags",
        ]
        assert writes[2][1]["AlarmName"] == ALARM
        assert writes[3][1]["DeploymentConfig"]["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": ALARM}]}

    def test_one_that_goes_off_is_told_before_it_is_taken_back(self, scripted, fake_clock):
        rang = {"MetricAlarms": [{"AlarmName": ALARM, "StateValue": "ALARM", "StateReason": "Threshold Crossed"}]}
        connection = self.alarms(
            scripted,
            describe_endpoint=[told(), told("Updating"), told(FailureReason="rolled back")],
            describe_alarms=[{"MetricAlarms": []}, rang],
        )
        with pytest.raises(DeployError, match=f"alarm {ALARM}: Threshold Crossed"):
            list(deploy(connection, GUARDED, fake_clock))
        assert undone(connection) == ["delete_alarms", "delete_endpoint_config", "delete_model"]
        assert ("delete_alarms", {"AlarmNames": [ALARM]}) in connection.session.calls

    def test_they_are_taken_back_where_the_update_is_refused(self, scripted, fake_clock, refusal):
        connection = self.alarms(scripted, update_endpoint=[refusal("not now")])
        with pytest.raises(ServiceError, match="not now"):
            list(deploy(connection, GUARDED, fake_clock))
        assert undone(connection) == ["delete_alarms", "delete_endpoint_config", "delete_model"]

    def test_those_of_the_update_before_are_found_by_what_the_endpoint_says(self, scripted):
        old = "sm_magics/boston/A/ModelLatency/00000000"
        alarms = [{"AlarmName": each} for each in ("theirs", old)]
        last = {"AutoRollbackConfiguration": {"Alarms": alarms}}
        connection = self.alarms(
            scripted,
            describe_endpoint=[told(LastDeploymentConfig=last)],
            describe_alarms=[{"MetricAlarms": [{"AlarmName": old}]}],
        )
        assert observe(connection, GUARDED).alarms == {old}
        (asked,) = (request for operation, request in connection.session.calls if operation == "describe_alarms")
        assert asked["AlarmNames"] == sorted([old, ALARM])

    def test_who_may_not_look_at_them_does_not_know(self, scripted, refusal):
        connection = self.alarms(scripted, describe_alarms=[refusal("no", "AccessDenied", 403)])
        assert observe(connection, GUARDED).alarms is None
        connection = self.alarms(scripted, describe_alarms=[refusal("busy", "Throttling")])
        with pytest.raises(ServiceError, match="busy"):
            observe(connection, GUARDED)

    def test_a_cell_without_alarms_asks_for_none(self, scripted):
        assert observe(scripted(), TARGET).alarms == frozenset()


class TestOnAws:
    def test_a_silent_rollback_is_an_error_and_takes_back_what_was_made(self, scripted, fake_clock):
        connection = scripted(describe_endpoint=[told(), told("Updating"), told(FailureReason="no capacity")])
        with pytest.raises(DeployError, match="rolled back; it serves config 'old': no capacity"):
            list(deploy(connection, TARGET, fake_clock))
        assert undone(connection) == ["delete_endpoint_config", "delete_model"]

    def test_a_mix_of_both_fleets_keeps_all_that_it_serves(self, scripted, fake_clock):
        connection = scripted(describe_endpoint=[told(), told("Updating"), told("UpdateRollbackFailed")])
        with pytest.raises(DeployError, match="is UpdateRollbackFailed, not what was asked for"):
            list(deploy(connection, TARGET, fake_clock))
        assert undone(connection) == []

    def test_an_endpoint_that_reached_the_config_with_other_weights_keeps_what_it_serves(self, scripted, fake_clock):
        reached = told(config=TARGET.config_name, count=3)
        connection = scripted(describe_endpoint=[told(), told("Updating"), reached])
        with pytest.raises(DeployError, match="not what was asked for"):
            list(deploy(connection, TARGET, fake_clock))
        assert undone(connection) == []

    def test_a_timeout_takes_nothing_back(self, scripted, fake_clock):
        connection = scripted(describe_endpoint=[told(), told("Updating")])
        with pytest.raises(DeployError, match="still Updating"):
            list(deploy(connection, TARGET, fake_clock, timeout=60))
        assert undone(connection) == []

    def test_a_part_that_the_service_has_not_seen_yet_is_waited_for(self, scripted, fake_clock, refusal):
        unseen = refusal('Could not find model "arn:aws:sagemaker:us-east-1:1:model/m1".')
        done = told(config=TARGET.config_name)
        connection = scripted(
            create_endpoint_config=[unseen, unseen, {}], describe_endpoint=[told(), told("Updating"), done]
        )
        assert list(deploy(connection, TARGET, fake_clock))[-1].verified
        assert connection.session.operations.count("create_endpoint_config") == 3

    def test_a_part_that_is_never_seen_is_an_error_in_the_end(self, scripted, fake_clock, refusal):
        unseen = refusal('Could not find model "arn:aws:sagemaker:us-east-1:1:model/m1".')
        connection = scripted(create_endpoint_config=[unseen])
        with pytest.raises(ServiceError, match="Could not find model"):
            list(deploy(connection, TARGET, fake_clock))
        assert fake_clock.now() < 10
        assert undone(connection) == ["delete_model"]

    def test_a_quota_is_refused_with_what_to_do_about_it(self, scripted, fake_clock, refusal):
        text = "The account-level service limit 'ml.m5.large for endpoint usage' is 0 Instances"
        connection = scripted(update_endpoint=[refusal(text, "ResourceLimitExceeded")])
        with pytest.raises(ServiceError) as caught:
            list(deploy(connection, TARGET, fake_clock))
        assert "Service Quotas" in caught.value.hint
        assert undone(connection) == ["delete_endpoint_config", "delete_model"]

    def test_an_endpoint_that_is_always_in_progress_to_others_is_an_error_in_the_end(
        self, scripted, fake_clock, refusal
    ):
        refused = refusal('Cannot update in-progress endpoint "boston".')
        old = {**VARIANT, "ModelName": "m0", "InitialInstanceCount": 1}
        nothing = refusal("Could not find it")
        connection = scripted(
            update_endpoint=[refused],
            describe_model=[nothing, {"ModelName": "m1"}],
            describe_endpoint_config=[nothing, {"ProductionVariants": [old]}],
        )
        with pytest.raises(ServiceError, match="in-progress") as caught:
            list(deploy(connection, TARGET, fake_clock))
        assert "--wait" in caught.value.hint
        assert connection.session.operations.count("update_endpoint") == module.RETRIES
        assert fake_clock.now() < 10
        assert undone(connection) == ["delete_endpoint_config", "delete_model"]

    def test_what_cannot_be_taken_back_does_not_hide_the_first_error(self, scripted, fake_clock, refusal):
        denied = refusal("not allowed", "AccessDeniedException")
        connection = scripted(update_endpoint=[denied], delete_endpoint_config=[denied], delete_model=[denied])
        with pytest.raises(ServiceError, match="UpdateEndpoint: not allowed"):
            list(deploy(connection, TARGET, fake_clock))

    @pytest.mark.parametrize("lost", [{"PendingDeploymentSummary": {"EndpointConfigName": TARGET.config_name}}, None])
    def test_an_update_whose_answer_was_lost_keeps_what_it_is_made_of(self, scripted, fake_clock, refusal, lost):
        after = told("Updating", **lost) if lost else refusal("Rate exceeded", "Throttling")
        connection = scripted(describe_endpoint=[told(), after], update_endpoint=[refusal("Read timeout", "Timeout")])
        with pytest.raises(ServiceError, match="UpdateEndpoint: Read timeout"):
            list(deploy(connection, TARGET, fake_clock))
        assert undone(connection) == []

    def test_a_model_that_another_run_put_into_service_meanwhile_is_not_taken_back(self, scripted, fake_clock, refusal):
        connection = scripted(
            describe_endpoint=[told(), told("Updating", "theirs")],
            describe_endpoint_config=[lambda **_: {"ProductionVariants": [VARIANT]}],
            list_tags=[{"Tags": []}],
            update_endpoint=[refusal("not now")],
        )
        other = Target("boston", {"ProductionVariants": [{**VARIANT, "InstanceType": "u", "InitialInstanceCount": 1}]})
        with pytest.raises(ServiceError, match="not now"):
            list(deploy(connection, replace(other, models=(MODEL,)), fake_clock))
        assert "create_model" in connection.session.operations
        assert undone(connection) == []

    def test_what_somebody_makes_in_the_same_moment_is_used_and_not_taken_back(self, scripted, fake_clock, refusal):
        connection = scripted(
            create_model=[refusal('Cannot create already existing model "arn".')],
            create_endpoint_config=[refusal('Cannot create already existing endpoint configuration "arn".')],
            update_endpoint=[refusal("not now")],
        )
        with pytest.raises(ServiceError, match="not now"):
            list(deploy(connection, TARGET, fake_clock))
        assert undone(connection) == []

    def test_an_error_that_is_none_of_the_service_s_takes_back_what_was_made_too(self, scripted, fake_clock):
        connection = scripted(create_endpoint_config=[OSError("No space left on device")])
        with pytest.raises(OSError, match="No space left"):
            list(deploy(connection, TARGET, fake_clock))
        assert undone(connection) == ["delete_model"]

    def test_a_failed_endpoint_is_gone_before_it_is_made_again(self, scripted, fake_clock, refusal):
        answers = [
            told("Failed"),
            told("Deleting"),
            refusal("Could not find endpoint"),
            told(config=TARGET.config_name),
        ]
        connection = scripted(describe_endpoint=answers, delete_endpoint=[{}], create_endpoint=[{}])
        events = list(deploy(connection, TARGET, fake_clock))
        assert events[-1].verified
        seen = [each.snapshot.status for each in events if isinstance(each, Seen)]
        assert seen == ["Deleting", "InService"]

    def test_a_failed_endpoint_that_will_not_go_is_not_waited_for_for_ever(self, scripted, fake_clock):
        connection = scripted(describe_endpoint=[told("Failed"), told("Deleting")], delete_endpoint=[{}])
        with pytest.raises(DeployError, match="still Deleting after 60 s"):
            list(deploy(connection, TARGET, fake_clock, timeout=60))
        assert "create_endpoint" not in connection.session.operations

    def test_the_artifact_is_uploaded_before_the_model_is_made(self, scripted, fake_clock):
        uri = "s3://bucket/sm_magics/models/x/model.tar.gz"
        request = {"PrimaryContainer": {"Image": "i", "ModelDataUrl": uri}}
        connection = scripted()
        seen = []
        connection.session.script["create_model"] = [lambda **_: seen.append(connection.artifacts.holds(uri)) or {}]
        model = DesiredModel("m1", request, "the artifact")
        list(deploy(connection, Target("boston", TARGET.config, (model,)), fake_clock, wait=False))
        assert seen == [True]
        assert connection.artifacts.kept == {uri: "the artifact"}


class TestObserving:
    def test_nothing_is_observed_where_nothing_is(self, scripted, refusal):
        live = observe(scripted(describe_endpoint=[refusal("Could not find endpoint")]), TARGET)
        assert live.status is None
        assert live.existing == frozenset()

    def test_counts_of_autoscaled_variants_are_left_alone(self, scripted):
        scaled = {"ScalableTargets": [{"ResourceId": "endpoint/boston/variant/A"}]}
        connection = scripted(describe_endpoint=[told(count=3)], describe_scalable_targets=[scaled])
        live = observe(connection, TARGET)
        assert live.scaled == {"A"}
        assert live.shares == {"A": Share(1.0, 3)}
        assert connection.session.calls[-1] == (
            "describe_scalable_targets",
            {"ServiceNamespace": "sagemaker", "ResourceIds": ["endpoint/boston/variant/A"]},
        )

    def test_autoscaling_is_asked_for_only_where_counts_differ(self, scripted):
        assert observe(scripted(), TARGET).scaled == frozenset()

    @pytest.mark.parametrize(("code", "status"), [("AccessDeniedException", 400), ("InvalidSignatureException", 403)])
    def test_who_may_not_ask_about_autoscaling_can_still_deploy(self, scripted, refusal, code, status):
        connection = scripted(
            describe_endpoint=[told(count=3)], describe_scalable_targets=[refusal("no", code, status)]
        )
        assert observe(connection, TARGET).scaled == frozenset()

    def test_autoscaling_that_does_not_answer_is_an_error(self, scripted, refusal):
        connection = scripted(
            describe_endpoint=[told(count=3)], describe_scalable_targets=[refusal("Rate exceeded", "Throttling")]
        )
        with pytest.raises(ServiceError, match="Rate exceeded"):
            observe(connection, TARGET)

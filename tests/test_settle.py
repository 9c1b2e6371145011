"""What counts as done, and how it is told when it is not: DescribeEndpoint answers by a script, time by a fake."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sm_magics.advice import ALARMED
from sm_magics.errors import DeployError
from sm_magics.events import Reached, Seen
from sm_magics.plan import Action, Plan
from sm_magics.settle import GRACE_SECONDS, LOOKS, accepted, awaited, gone, settle, uses, verified
from sm_magics.target import Share

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/boston"
PING = "The primary container for production variant A did not pass the ping health check."


def told(status="InService", config="new", weight=1.0, count=1, **rest):
    now = {"CurrentWeight": weight, "CurrentInstanceCount": count}
    return {
        "EndpointName": "boston",
        "EndpointArn": ARN,
        "EndpointStatus": status,
        "EndpointConfigName": config,
        "ProductionVariants": [
            {"VariantName": "A", **now, "DesiredWeight": weight, "DesiredInstanceCount": count},
        ],
        **rest,
    }


def wanted(weight=1.0, count=1):
    return Plan("boston", "new", {"A": Share(weight, count)})


@pytest.fixture
def missing(refusal):
    return refusal(f'Could not find endpoint "{ARN}".')


@pytest.fixture
def run(fake_connection, fake_clock):
    """Return a function that verifies a plan against answers and returns its last event, the time and the calls."""

    def run_one(*answers, steps=None, timeout=3600.0, old_reason=None):
        connection = fake_connection(
            describe_endpoint=answers,
            describe_log_streams=[{"logStreams": [{"logStreamName": "A/i-1"}]}],
            get_log_events=[{"events": [{"message": "cannot load the model"}]}],
        )
        events = list(verified(connection, steps or wanted(), fake_clock, timeout, old_reason))
        return SimpleNamespace(last=events[-1], seen=events[:-1], seconds=fake_clock.now())

    return run_one


ALARM = "sm_magics/boston/A/Invocation5XXErrors/0a1b2c3d"


@pytest.mark.parametrize("reason", [f"One or more alarms [{ALARM}] went into ALARM state", "rolled back"])
def test_a_rollback_by_alarm_names_the_alarm_why_it_went_off_the_log_and_what_to_do(
    fake_connection, fake_clock, reason
):
    alarms = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": ALARM}]}}
    update = Action("UpdateEndpoint", {"DeploymentConfig": alarms}, "", "", "", "")
    connection = fake_connection(
        describe_endpoint=[told("Updating", "old"), told("InService", "old", FailureReason=reason)],
        describe_alarms=[
            {"MetricAlarms": [{"AlarmName": ALARM, "StateValue": "ALARM", "StateReason": "Threshold Crossed: 0.5"}]}
        ],
        describe_log_streams=[{"logStreams": [{"logStreamName": "A/i-1"}]}],
        get_log_events=[{"events": [{"message": "cannot multiply"}]}],
    )
    with pytest.raises(DeployError) as caught:
        list(verified(connection, Plan("boston", "new", {"A": Share(1.0, 1)}, (update,)), fake_clock, 3600.0, None))
    assert f"it serves config 'old': {reason}\n  alarm {ALARM}: Threshold Crossed: 0.5\n" in caught.value.message
    assert "cannot multiply" in caught.value.message
    assert caught.value.hint == ALARMED
    (streams,) = (request for operation, request in connection.session.calls if operation == "describe_log_streams")
    assert streams["logStreamNamePrefix"] == "A/"


class TestDone:
    def test_it_is_in_service_on_the_config_that_was_asked_for(self, run):
        ran = run(told("Updating", "old"), told())
        assert ran.last == Reached(ran.seen[-1].snapshot, verified=True)
        assert all(isinstance(each, Seen) for each in ran.seen)

    def test_it_is_not_before_the_weights_are_those_that_were_asked_for(self, run):
        moving = told(weight=2.0)
        moving["ProductionVariants"][0]["CurrentWeight"] = 1.0
        ran = run(moving, told(weight=2.0), steps=wanted(weight=2.0))
        assert ran.last.verified
        assert len(ran.seen) == 2

    def test_it_is_not_while_a_deployment_is_pending(self, run):
        assert len(run(told(PendingDeploymentSummary={"EndpointConfigName": "new"}), told()).seen) == 2

    def test_a_weight_that_the_service_gives_back_in_single_precision_is_the_same_weight(self, run):
        assert run(told(weight=0.10000000149011612), steps=wanted(weight=0.1)).last.verified

    def test_a_serverless_variant_has_no_count(self, run):
        serverless = told(count=0)
        del serverless["ProductionVariants"][0]["DesiredInstanceCount"]
        assert run(serverless, steps=wanted(count=None)).last.verified

    def test_a_failure_reason_of_another_matter_does_not_make_it_a_failure(self, run):
        assert run(told("Updating", "old"), told(FailureReason="patching failed")).last.verified


class TestSilentRollback:
    """After a failed update the service says InService again, on the old config."""

    def test_with_a_reason_it_is_told_at_once(self, run, fake_clock):
        with pytest.raises(DeployError) as caught:
            run(told("Updating", "old"), told(config="old", FailureReason=PING))
        assert fake_clock.now() < 1
        assert caught.value.over
        assert caught.value.snapshot.config_name == "old"
        assert str(caught.value) == (
            "the update of endpoint 'boston' failed and was rolled back; it serves config 'old': "
            f"{PING}\n"
            "  last lines of /aws/sagemaker/Endpoints/boston/A/i-1:\n"
            "    cannot load the model\n"
            "  the container started but cannot serve the model; its log says why"
        )
        assert caught.value.log == ("cannot load the model",)

    def test_without_a_reason_the_old_config_is_given_a_grace_period(self, run, fake_clock):
        with pytest.raises(DeployError, match=r"rolled back; it serves config 'old': the service gives no reason"):
            run(told(config="old"))
        assert GRACE_SECONDS < fake_clock.now() < GRACE_SECONDS + 10

    def test_in_the_grace_period_the_update_may_still_begin(self, run):
        ran = run(*[told(config="old")] * 10, told("Updating", "old"), told())
        assert ran.last.verified

    def test_the_reason_of_an_earlier_failure_is_not_taken_for_this_one_s(self, run):
        ran = run(*[told(config="old", FailureReason=PING)] * 5, told("Updating", "old"), told(), old_reason=PING)
        assert ran.last.verified

    def test_the_same_reason_once_more_is_a_failure_as_soon_as_this_change_has_begun(self, run, fake_clock):
        answers = [told("Updating", "old"), told(config="old", FailureReason=PING)]
        with pytest.raises(DeployError, match="rolled back"):
            run(*answers, old_reason=PING)
        assert fake_clock.now() < 1

    def test_a_rescaling_that_was_rolled_back_is_told_as_what_it_is(self, run):
        answers = [told("Updating", "new"), told(count=1, FailureReason="Unable to provision: Insufficient capacity")]
        with pytest.raises(DeployError, match="is InService, not what was asked for: Unable to provision"):
            run(*answers, steps=wanted(count=2))


class TestOtherEnds:
    def test_a_creation_that_failed_tells_why(self, run):
        with pytest.raises(DeployError, match="endpoint 'boston' has failed: The primary container") as caught:
            run(told("Creating"), told("Failed", FailureReason=PING))
        assert caught.value.over

    @pytest.mark.parametrize("status", ["OutOfService", "UpdateRollbackFailed"])
    def test_any_other_state_that_settles_is_a_failure(self, run, status):
        with pytest.raises(DeployError, match=f"is {status}, not what was asked for"):
            run(told("Updating"), told(status))

    def test_an_endpoint_that_somebody_deletes_is_told_as_deleted(self, run, missing):
        with pytest.raises(DeployError, match="was deleted by someone else") as caught:
            run(told("Updating", "old"), missing)
        assert caught.value.over
        assert "again" in caught.value.hint

    def test_a_timeout_ends_the_waiting_and_nothing_else(self, run, fake_clock):
        with pytest.raises(DeployError, match="still Creating after 60 s") as caught:
            run(told("Creating"), timeout=60.0)
        assert not caught.value.over
        assert "%sm_status boston --wait" in caught.value.hint
        assert 60 < fake_clock.now() < 70

    def test_what_is_reached_at_the_first_look_needs_no_time(self, run):
        assert run(told(), timeout=0.0).last.verified


class TestInUse:
    @pytest.mark.parametrize(
        ("status", "config", "expected"),
        [
            ("InService", "old", False),
            ("InService", "new", True),
            ("Failed", "new", False),
            ("OutOfService", "old", False),
            ("UpdateRollbackFailed", "old", True),
        ],
    )
    def test_what_an_endpoint_serves_if_only_in_part_is_in_use(self, fake_connection, status, config, expected):
        snapshot = accepted(fake_connection(describe_endpoint=[told(status, config)]), "boston", None)
        assert uses(snapshot, wanted()) is expected

    def test_an_endpoint_that_is_gone_uses_nothing(self):
        assert not uses(None, wanted())


def test_an_endpoint_accepted_a_moment_ago_may_take_a_moment_to_be_found(fake_connection, fake_clock, missing):
    connection = fake_connection(describe_endpoint=[missing, missing, told("Creating")])
    assert accepted(connection, "boston", fake_clock).status == "Creating"
    assert fake_clock.slept == [1.0, 1.0]


def test_an_accepted_endpoint_that_is_never_found_was_deleted(fake_connection, fake_clock, missing):
    with pytest.raises(DeployError, match="deleted"):
        accepted(fake_connection(describe_endpoint=[missing]), "boston", fake_clock)
    assert len(fake_clock.slept) == LOOKS


def test_settling_waits_for_whatever_comes_of_it(fake_connection, fake_clock):
    connection = fake_connection(describe_endpoint=[told("Creating"), told("Failed")])
    assert [each.snapshot.status for each in settle(connection, "boston", fake_clock, 60)] == ["Creating", "Failed"]


class TestAwaiting:
    """Who waits for what another cell asked for knows only what DescribeEndpoint tells."""

    @pytest.fixture
    def wait(self, fake_connection, fake_clock):
        def wait(*answers, timeout=60, **script):
            logs = {"describe_log_streams": [{"logStreams": []}], **script}
            connection = fake_connection(describe_endpoint=answers, **logs)
            return [each.snapshot.status for each in awaited(connection, "boston", fake_clock, timeout)]

        return wait

    def test_what_ends_in_service_on_the_config_that_was_coming_is_well(self, wait):
        coming = told("Updating", "old", PendingDeploymentSummary={"EndpointConfigName": "new"})
        assert wait(coming, told()) == ["Updating", "InService"]

    def test_what_was_deleted_is_over(self, wait, missing):
        assert wait(told("Deleting"), missing) == ["Deleting"]

    def test_another_config_than_the_one_that_was_coming_is_a_rollback_and_its_parts_are_named(self, wait):
        coming = told("Updating", "old", PendingDeploymentSummary={"EndpointConfigName": "new"})
        configs = {"new": ["shared", "candidate"], "old": ["shared"]}

        def describe(EndpointConfigName):  # noqa: N803 - boto3's
            return {"ProductionVariants": [{"ModelName": each} for each in configs[EndpointConfigName]]}

        with pytest.raises(DeployError, match=r"rolled back; it serves config 'old': the service gives") as caught:
            wait(coming, told(config="old"), describe_endpoint_config=[describe])
        assert caught.value.hint == (
            "left over: endpoint config new, model candidate; %sm_delete boston --yes deletes all with the endpoint"
        )

    def test_it_does_not_wait_for_ever(self, wait):
        with pytest.raises(DeployError, match="still Updating after 60 s") as caught:
            wait(told("Updating"))
        assert caught.value.hint == "it goes on by itself; follow it: %sm_status boston --wait"


def test_gone_waits_until_there_is_none_even_when_a_look_comes_too_early(fake_connection, fake_clock, missing):
    connection = fake_connection(describe_endpoint=[told(), told("Deleting"), missing])
    assert [each.snapshot.status for each in gone(connection, "boston", fake_clock, 60)] == ["InService", "Deleting"]


def test_gone_does_not_wait_for_ever(fake_connection, fake_clock):
    with pytest.raises(DeployError, match="still Deleting after 60 s"):
        list(gone(fake_connection(describe_endpoint=[told("Deleting")]), "boston", fake_clock, 60))

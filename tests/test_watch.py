from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sm_magics.errors import ServiceError
from sm_magics.target import Share
from sm_magics.watch import FIRST_PAUSE, LONGEST_PAUSE, AlarmState, Snapshot, VariantState, look, watch, with_alarms

ARN = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/boston"


def described(status="InService", config="c1", variants=None, **rest):
    if variants is None:
        variants = [variant("A")]
    return {
        "EndpointName": "boston",
        "EndpointArn": ARN,
        "EndpointStatus": status,
        "EndpointConfigName": config,
        "ProductionVariants": variants,
        "ResponseMetadata": {},
        **rest,
    }


def variant(name, weight=1.0, count=1, **rest):
    now = {"CurrentWeight": weight, "CurrentInstanceCount": count}
    return {"VariantName": name, **now, "DesiredWeight": weight, "DesiredInstanceCount": count, **rest}


@pytest.fixture
def missing(refusal):
    return refusal(f'Could not find endpoint "{ARN}".')


def test_a_look_tells_the_endpoint_with_its_variants(fake_connection):
    snapshot = look(fake_connection(describe_endpoint=[described()]), "boston", 3.0)
    assert snapshot == Snapshot("boston", ARN, "InService", "c1", (VariantState("A", 1.0, 1.0, 1, 1),))
    assert snapshot.elapsed == 3.0
    assert snapshot.raw["EndpointStatus"] == "InService"
    assert snapshot.shares == {"A": Share(1.0, 1)}


def test_a_look_at_nothing_is_none(fake_connection, missing):
    assert look(fake_connection(describe_endpoint=[missing]), "boston") is None


def test_the_fleet_that_is_coming_is_told_apart_from_the_one_that_serves(fake_connection):
    pending = {"EndpointConfigName": "c2", "ProductionVariants": [variant("B", VariantStatus=[{"Status": "Creating"}])]}
    answer = described("Updating", PendingDeploymentSummary=pending, FailureReason="why")
    snapshot = look(fake_connection(describe_endpoint=[answer]), "boston")
    assert (snapshot.config_name, snapshot.pending_config) == ("c1", "c2")
    assert [each.name for each in snapshot.variants] == ["A"]
    assert snapshot.pending == (VariantState("B", 1.0, 1.0, 1, 1, "Creating"),)
    assert snapshot.failure_reason == "why"


@pytest.mark.parametrize(
    ("settled", "answer"),
    [
        (True, described()),
        (False, described("Creating", variants=[])),
        (False, described("Updating")),
        (False, described("SystemUpdating")),
        (False, described("RollingBack")),
        (False, described("Deleting")),
        (True, described("Failed", variants=[])),
        (True, described("OutOfService")),
        (True, described("UpdateRollbackFailed", variants=[variant("A", DesiredWeight=2.0)])),
        (False, described(variants=[variant("A", DesiredWeight=2.0)])),
        (False, described(variants=[variant("A", DesiredInstanceCount=2)])),
        (False, described(variants=[variant("A", VariantStatus=[{"Status": "Baking"}])])),
        (False, described(PendingDeploymentSummary={"EndpointConfigName": "c2"})),
    ],
)
def test_settled_is_what_moves_no_more(fake_connection, settled, answer):
    assert look(fake_connection(describe_endpoint=[answer]), "boston").settled is settled


def test_a_serverless_variant_settles_though_it_has_no_wanted_instances(fake_connection):
    # As DescribeEndpoint tells it on AWS: a current count of 0 and no desired one.
    serverless = {
        "VariantName": "A",
        "CurrentWeight": 1.0,
        "DesiredWeight": 1.0,
        "CurrentInstanceCount": 0,
        "CurrentServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
    }
    snapshot = look(fake_connection(describe_endpoint=[described(variants=[serverless])]), "boston")
    assert snapshot.settled
    assert snapshot.shares == {"A": Share(1.0, None)}


def test_watching_ends_with_the_first_settled_look(fake_connection, fake_clock):
    connection = fake_connection(describe_endpoint=[described("Creating"), described("Creating"), described()])
    assert [each.status for each in watch(connection, "boston", fake_clock)] == ["Creating", "Creating", "InService"]


def test_watching_ends_when_the_endpoint_is_gone(fake_connection, fake_clock, missing):
    connection = fake_connection(describe_endpoint=[described("Deleting"), missing])
    assert [each.status for each in watch(connection, "boston", fake_clock)] == ["Deleting"]


def test_watching_goes_on_until_the_caller_says_so(fake_connection, fake_clock):
    connection = fake_connection(describe_endpoint=[described(), described(), described(config="c2")])
    seen = list(watch(connection, "boston", fake_clock, until=lambda each: each.config_name == "c2"))
    assert [each.config_name for each in seen] == ["c1", "c1", "c2"]


def test_looks_grow_rarer_while_nothing_changes_and_quick_again_when_something_does(fake_connection, fake_clock):
    still = [described("Creating")] * 30
    connection = fake_connection(describe_endpoint=[*still, described("Updating"), described("Updating"), described()])
    elapsed = [each.elapsed for each in watch(connection, "boston", fake_clock)]
    pauses = fake_clock.slept
    assert pauses[:3] == pytest.approx([FIRST_PAUSE, FIRST_PAUSE * 1.3, FIRST_PAUSE * 1.69])
    assert pauses[28] == LONGEST_PAUSE
    assert pauses[30] == FIRST_PAUSE
    assert elapsed[0] == 0.0
    assert elapsed[-1] == pytest.approx(sum(pauses))


def test_a_service_that_does_not_answer_ends_the_watching_with_its_error(fake_connection, fake_clock, refusal):
    connection = fake_connection(describe_endpoint=[described("Creating"), refusal("Rate exceeded", "Throttling")])
    with pytest.raises(ServiceError, match="Rate exceeded"):
        list(watch(connection, "boston", fake_clock))


def test_the_phase_comes_with_its_message_its_beginning_and_the_time_at_the_service(fake_connection):
    since = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
    phase = {"Status": "Baking", "StatusMessage": "Baking for 60 seconds", "StartTime": since}
    headers = {"HTTPHeaders": {"date": "Wed, 25 Nov 2026 12:00:40 GMT"}}
    answer = described(variants=[variant("A", VariantStatus=[phase])], ResponseMetadata=headers)
    snapshot = look(fake_connection(describe_endpoint=[answer]), "boston")
    (state,) = snapshot.variants
    assert (state.phase, state.message, state.since) == ("Baking", "Baking for 60 seconds", since)
    assert (snapshot.now - state.since).total_seconds() == 40
    assert "ResponseMetadata" not in snapshot.raw


class TestAlarms:
    NAMED = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]}}  # noqa: RUF012 - never changed

    def updating(self):
        pending = {"EndpointConfigName": "c2", "ProductionVariants": [variant("A", 0.1)]}
        return described("Updating", PendingDeploymentSummary=pending, LastDeploymentConfig=self.NAMED)

    def states(self, connection, fake_clock):
        return [[each.state for each in snapshot.alarms] for snapshot in watch(connection, "boston", fake_clock)]

    def test_they_are_looked_at_while_an_update_goes_on(self, fake_connection, fake_clock):
        connection = fake_connection(
            describe_endpoint=[self.updating(), self.updating(), described(LastDeploymentConfig=self.NAMED)],
            describe_alarms=[{"MetricAlarms": [{"AlarmName": "a", "StateValue": each}]} for each in ("OK", "ALARM")],
        )
        assert self.states(connection, fake_clock) == [["OK"], ["ALARM"], []]

    def test_what_cannot_be_read_is_as_it_was(self, fake_connection, fake_clock, refusal):
        forbidden = refusal("no", "AccessDenied", 403)
        connection = fake_connection(
            describe_endpoint=[self.updating(), self.updating(), self.updating(), described()],
            describe_alarms=[forbidden, {"MetricAlarms": [{"AlarmName": "a", "StateValue": "OK"}]}, forbidden],
        )
        assert self.states(connection, fake_clock) == [[], ["OK"], ["OK"], []]

    def test_a_look_by_itself_asks_for_none(self, fake_connection):
        connection = fake_connection(
            describe_endpoint=[self.updating()],
            describe_alarms=[{"MetricAlarms": [{"AlarmName": "a", "StateValue": "OK"}]}],
        )
        snapshot = look(connection, "boston")
        assert snapshot.alarms == ()
        assert with_alarms(connection, snapshot).alarms == (AlarmState("a", "OK"),)

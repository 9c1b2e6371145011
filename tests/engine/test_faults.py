"""Faults on purpose, on an engine that really serves: what a client of the endpoint sees of each."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import Counter

import pytest
from enginekit import CallFailed, running

from sm_magics.connection import call, connect_local
from sm_magics.errors import ServiceError

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def faults(engine):
    """Return the client of the engine's own service."""
    return connect_local(engine.state).client("sm-magics-engine")


@pytest.fixture
def put(faults, endpoint):
    """Return a function that puts a fault on the endpoint, without which it goes on afterwards."""
    yield lambda kind, **given: call(faults, "PutFault", **{"EndpointName": endpoint, "Kind": kind, **given})
    call(faults, "DeleteFaults", EndpointName=endpoint)


def listed(faults, endpoint):
    return call(faults, "ListFaults", EndpointName=endpoint)["Faults"]


def statuses(engine, endpoint, number):
    return Counter(engine.invoke(endpoint, row).status for row in range(number))


def updated(engine, endpoint, **given):
    """Begin to update an endpoint to a config of its own; return the config's name."""
    number = next(_NUMBERS)
    engine.echo(f"m-{endpoint}-{number}", 100)
    config = engine.config(f"c-{endpoint}-{number}", ("A", f"m-{endpoint}-{number}"))
    engine.call("UpdateEndpoint", EndpointName=endpoint, EndpointConfigName=config, **given)
    return config


class TestInvocations:
    def test_errors_are_the_container_s_own_and_have_exactly_their_share(self, engine, endpoint, put):
        put("5xx", Percentage=20)
        for _ in range(4):  # blocks of five
            assert statuses(engine, endpoint, 5) == {200: 4, 424: 1}
        put("5xx", Percentage=100)
        told = json.loads(engine.invoke(endpoint, 1).body)
        assert told["OriginalStatusCode"] == 500
        assert told["ErrorCode"] == "INTERNAL_FAILURE_FROM_MODEL"
        assert "on purpose" in told["OriginalMessage"]

    def test_slow_delays_the_answer_which_is_the_model_s(self, engine, endpoint, put):
        put("slow", Seconds=0.3)
        began = time.monotonic()
        assert engine.invoke(endpoint, 7).score == 7
        assert time.monotonic() - began >= 0.3

    def test_an_answer_that_is_delayed_outlives_its_fleet(self, engine, endpoint, put):
        put("slow", Seconds=1)
        got = []
        client = threading.Thread(target=lambda: got.append(engine.invoke(endpoint, 7)))
        client.start()
        time.sleep(0.2)
        updated(engine, endpoint)
        assert engine.settled(endpoint)["EndpointStatus"] == "InService"
        client.join(10)
        assert [each.status for each in got] == [200]

    def test_a_crash_kills_the_worker_of_the_next_invocation_once(self, engine, endpoint, put, faults):
        before = set(engine.workers)
        put("crash")
        told = json.loads(engine.invoke(endpoint, 1).body)
        assert told["OriginalStatusCode"] == 500
        assert "ended before it answered" in told["OriginalMessage"]
        assert listed(faults, endpoint) == []
        assert engine.invoke(endpoint, 2).score == 2  # by its replacement
        assert len(before - set(engine.workers)) == 1

    def test_a_crash_may_hit_a_share(self, engine, endpoint, put):
        put("crash", Percentage=50)
        assert statuses(engine, endpoint, 4) == {200: 2, 424: 2}

    def test_throttling_is_the_service_s_not_the_model_s(self, engine, endpoint, put):
        put("throttle")
        reply = engine.invoke(endpoint, 1)
        assert reply.status == 400
        assert reply.headers["x-amzn-errortype"].startswith("ThrottlingException:")
        assert json.loads(reply.body)["Message"] == "Rate exceeded"
        put("throttle", Percentage=50)
        assert statuses(engine, endpoint, 4) == {200: 2, 400: 2}

    def test_faults_of_several_kinds_add_up_and_end_together(self, engine, endpoint, put, faults):
        put("5xx", Percentage=50)
        put("throttle", Percentage=50)
        assert statuses(engine, endpoint, 4)[400] == 2
        call(faults, "DeleteFaults", EndpointName=endpoint)
        assert listed(faults, endpoint) == []
        assert statuses(engine, endpoint, 4) == {200: 4}


class TestStarts:
    def test_an_update_to_what_fails_its_health_check_leaves_what_serves(self, engine, endpoint, put):
        put("ping", NextOnly=True)
        before = engine.describe(endpoint)["EndpointConfigName"]
        updated(engine, endpoint)
        told = engine.settled(endpoint)
        assert told["EndpointConfigName"] == before
        assert "production variant A did not pass the ping health check" in told["FailureReason"]
        assert engine.invoke(endpoint, 3).score == 3

    def test_what_runs_is_taken_out_and_comes_back_when_the_fault_ends(self, engine, endpoint, put, faults):
        before = set(engine.workers)
        put("ping")
        while before <= set(engine.workers):
            time.sleep(0.01)
        call(faults, "DeleteFaults", EndpointName=endpoint)
        assert engine.invoke(endpoint, 4).score == 4

    def test_what_never_comes_up_does_when_the_fault_ends(self, engine, endpoint, put, faults):
        put("stuck-creating", NextOnly=True)
        config = updated(engine, endpoint)
        time.sleep(0.5)
        assert engine.status(endpoint) == "Updating"
        assert engine.invoke(endpoint, 5).score == 5
        call(faults, "DeleteFaults", EndpointName=endpoint)
        assert engine.settled(endpoint)["EndpointConfigName"] == config

    def test_a_quota_refuses_new_instances_in_the_service_s_words(self, engine, endpoint, put):
        put("quota")
        with pytest.raises(CallFailed, match="request delta of 1 Instances") as refused:
            updated(engine, endpoint)
        assert refused.value.code == "ResourceLimitExceeded"
        assert "The account-level service limit 'ml.m5.large for endpoint usage' is " in refused.value.message
        more = [{"VariantName": "A", "DesiredInstanceCount": 3}]
        with pytest.raises(CallFailed, match="request delta of 2 Instances"):
            engine.call("UpdateEndpointWeightsAndCapacities", EndpointName=endpoint, DesiredWeightsAndCapacities=more)
        less = [{"VariantName": "A", "DesiredWeight": 2.0}]
        engine.call("UpdateEndpointWeightsAndCapacities", EndpointName=endpoint, DesiredWeightsAndCapacities=less)
        assert engine.settled(endpoint)["EndpointStatus"] == "InService"

    def test_a_quota_can_wait_for_an_endpoint_that_is_to_be(self, engine, faults):
        call(faults, "PutFault", EndpointName="to-be", Kind="quota", NextOnly=True)
        engine.echo("m-to-be")
        engine.config("c-to-be", ("A", "m-to-be"))
        with pytest.raises(CallFailed, match="account-level service limit"):
            engine.call("CreateEndpoint", EndpointName="to-be", EndpointConfigName="c-to-be")
        assert engine.describe("to-be") is None
        call(faults, "DeleteFaults", EndpointName="to-be")


class TestScope:
    def test_next_spares_what_serves_and_hits_what_comes(self, engine, endpoint, put, faults):
        put("5xx", Percentage=100, NextOnly=True)
        (told,) = listed(faults, endpoint)
        assert told["SparedConfigName"] == engine.describe(endpoint)["EndpointConfigName"]
        assert statuses(engine, endpoint, 3) == {200: 3}
        updated(engine, endpoint)
        assert engine.settled(endpoint)["EndpointStatus"] == "InService"
        assert statuses(engine, endpoint, 3) == {424: 3}

    def test_a_variant_s_own_fault_goes_before_that_of_all(self, engine, faults):
        name = "two-variants"
        engine.echo("m-two")
        engine.config("c-two", ("A", "m-two"), ("B", "m-two"))
        engine.call("CreateEndpoint", EndpointName=name, EndpointConfigName="c-two")
        assert engine.settled(name)["EndpointStatus"] == "InService"
        call(faults, "PutFault", EndpointName=name, VariantName="B", Kind="5xx", Percentage=100)
        call(faults, "PutFault", EndpointName=name, Kind="5xx", Percentage=0.0001)
        on = {"x-amzn-sagemaker-target-variant": "A"}
        assert [engine.invoke(name, row, **on).status for row in range(3)] == [200] * 3
        on = {"x-amzn-sagemaker-target-variant": "B"}
        assert [engine.invoke(name, row, **on).status for row in range(3)] == [424] * 3
        call(faults, "DeleteFaults", EndpointName=name, VariantName="B")
        assert [each.get("VariantName") for each in listed(faults, name)] == [None]
        assert engine.invoke(name, 1, **on).status == 200

    def test_a_fault_takes_the_place_of_one_like_it(self, endpoint, put, faults):
        put("slow", Seconds=1)
        put("slow", Seconds=2)
        assert listed(faults, endpoint) == [{"Kind": "slow", "Seconds": 2.0, "NextOnly": False}]

    def test_faults_end_with_their_endpoint(self, engine, faults):
        name = engine.serve("short-lived")
        call(faults, "PutFault", EndpointName=name, Kind="5xx", Percentage=100)
        engine.call("DeleteEndpoint", EndpointName=name)
        assert engine.settled(name) is None
        assert listed(faults, name) == []

    def test_faults_end_with_the_engine(self, tmp_path):
        for number in range(2):
            with running(tmp_path) as engine:
                if number == 0:
                    engine.serve("again")
                client = connect_local(tmp_path).client("sm-magics-engine")
                assert listed(client, "again") == []
                call(client, "PutFault", EndpointName="again", Kind="5xx", Percentage=100)
                assert len(listed(client, "again")) == 1


class TestRefused:
    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"Kind": "slow"}, "A fault of kind slow needs Seconds."),
            ({"Kind": "crash", "Seconds": 1}, "A fault of kind crash takes no Seconds."),
            ({"Kind": "5xx"}, "A fault of kind 5xx needs Percentage."),
            ({"Kind": "ping", "Percentage": 5}, "A fault of kind ping takes no Percentage."),
            ({"Kind": "5xx", "Percentage": 0}, "A fault of 0 is none"),
            ({"Kind": "slow", "Seconds": 0}, "A fault of 0 is none"),
            ({"Kind": "explode"}, "failed to satisfy constraint: Member must satisfy enum value set: [slow,"),
            ({"Kind": "crash", "VariantName": "Z"}, 'Could not find variant "Z"'),
        ],
    )
    def test_what_is_no_fault(self, put, given, told):
        with pytest.raises(ServiceError) as refused:
            put(given.pop("Kind"), **given)
        assert told in str(refused.value)

    def test_an_endpoint_that_is_not_there(self, faults):
        with pytest.raises(ServiceError, match="Could not find endpoint"):
            call(faults, "PutFault", EndpointName="nobody", Kind="crash")

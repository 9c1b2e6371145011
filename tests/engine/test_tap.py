from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from fractions import Fraction
from types import SimpleNamespace

import pytest
from capturekit import TYPES, captured, config, invoke_all
from cloudwatchkit import client_of
from enginekit import CallFailed, Wire, running
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local import tap as module
from sm_magics.local.api import Account
from sm_magics.local.instance import Answer
from sm_magics.local.router import Lane, Parking
from sm_magics.local.runtime_api import Runtime
from sm_magics.local.tally import Meter
from sm_magics.local.tap import Shadow, Tap, shadow_share

HEADERS = {b"content-type": b"text/csv", b"authorization": b"secret"}
GOOD = Answer(200, b"text/csv", None, b"1")


class Instance:
    """An instance that keeps what it is sent."""

    def __init__(self, name="i-1"):
        self.name, self.ready, self.sent = name, True, []

    @property
    def outstanding(self):
        return len(self.sent)

    def send(self, request, waiter):
        self.sent.append((request, waiter))

    def answer(self, answer=GOOD):
        self.sent.pop(0)[1].answered(answer)


class Kept:
    """A capture that keeps what it takes, and wants every request or none."""

    def __init__(self, *, every=True):
        self.every, self.taken = every, []

    def wanted(self):
        return self.every

    def take(self, variant, _headers, body, answer):
        self.taken.append((variant, body, answer.body))


def shadow_of(*instances, share=1, log=None):
    lane = Lane("New", "c1", Meter(), Parking())
    lane.instances.extend(instances)
    return Shadow(lane, Fraction(share), random.Random(0), log or (lambda _: SimpleNamespace(write=str)))


@given(st.floats(0.001, 1e6), st.floats(0, 1e6))
def test_a_shadows_share_is_its_weight_by_the_production_variants_and_at_most_all(production, shadow):
    share = shadow_share(production, shadow)
    assert 0 <= share <= 1
    assert share == min(1, Fraction(shadow) / Fraction(production))


@pytest.mark.parametrize(("share", "copies"), [(1, 100), (Fraction(1, 4), 25), (0, 0)])
def test_exactly_the_share_is_copied(share, copies):
    instance = Instance()
    shadow = shadow_of(instance, share=share)
    for row in range(100):
        shadow.copy(HEADERS, b"%d" % row, None)
    assert len(instance.sent) == copies


def test_a_copy_is_what_a_container_gets():
    instance = Instance()
    Tap("A", None, shadow_of(instance)).request(HEADERS, b"1")
    ((request, _),) = instance.sent
    assert request == b"POST /invocations HTTP/1.1\r\nContent-Length: 1\r\ncontent-type: text/csv\r\n\r\n1"


def test_a_shadow_that_is_behind_misses_requests_and_catches_up():
    instance = Instance()
    shadow = shadow_of(instance)
    for _ in range(module.MAX_BEHIND + 5):
        shadow.copy(HEADERS, b"1", None)
    assert (len(instance.sent), shadow.dropped) == (module.MAX_BEHIND, 5)
    instance.answer()
    shadow.copy(HEADERS, b"1", None)
    assert (len(instance.sent), shadow.dropped) == (module.MAX_BEHIND, 5)


def test_the_log_of_the_shadow_tells_how_many_requests_it_missed_and_not_at_every_one():
    told = []
    shadow = shadow_of(log=lambda name: SimpleNamespace(write=lambda text: told.append((name, text.split()[1]))))
    shadow.copy(HEADERS, b"1", None)
    assert told == []  # there is no log yet
    shadow.lane.instances += [Instance("i-1"), Instance("i-2")]
    for each in shadow.lane.instances:
        each.ready = False
    for _ in range(250):
        shadow.copy(HEADERS, b"1", None)
    assert told == [("i-1", "2"), ("i-1", "20"), ("i-1", "200")]
    shadow.close()
    shadow.close()
    assert told[3:] == [("i-1", "251")]


def test_large_copies_do_not_pile_up():
    instance = Instance()
    shadow = shadow_of(instance)
    for _ in range(10):
        shadow.copy(HEADERS, bytes(6 << 20), None)
    assert (len(instance.sent), shadow.dropped) == (5, 5)
    instance.answer()
    instance.sent.pop(0)[1].lost(started=True)
    assert shadow.held == 3 * (6 << 20)


def test_copies_that_a_fault_turns_away_hold_nothing():
    class Throttled:
        def send(self, *_):
            return False

    shadow = shadow_of(Instance())
    shadow.lane.fault = Throttled()
    shadow.copy(HEADERS, b"row", None)
    assert (shadow.held, shadow.dropped) == (0, 1)


def test_nothing_waits_for_a_shadow_without_an_instance():
    instance = Instance()
    instance.ready = False
    for shadow in (shadow_of(instance), shadow_of()):
        shadow.copy(HEADERS, b"1", None)
        assert (shadow.dropped, shadow.lane.parked, shadow.held) == (1, 0, 0)


def test_what_a_shadow_answers_is_counted_by_its_meter():
    instance = Instance()
    shadow = shadow_of(instance)
    for _ in range(4):
        shadow.copy(HEADERS, b"1", None)
    instance.answer()
    instance.answer(Answer(400, b"", None, b""))
    instance.sent.pop(0)[1].lost(started=True)
    shadow.lane.meter.fold(0)
    told = shadow.lane.meter.take()
    assert told is not None
    assert (told.invocations, told.client_errors, told.server_errors) == (3, 1, 1)
    shadow.close()
    instance.sent.pop(0)[1].lost(started=True)
    shadow.lane.meter.fold(0)
    assert shadow.lane.meter.take() is None


def test_both_answers_of_a_captured_request_are_captured():
    instance, kept = Instance(), Kept()
    taken = Tap("A", kept, shadow_of(instance)).request(HEADERS, b"7")
    instance.answer()
    taken(Answer(200, b"text/csv", None, b"2"))
    assert kept.taken == [("New", b"7", b"1"), ("A", b"7", b"2")]
    Tap("A", kept, shadow_of(instance)).request(HEADERS, b"8")
    instance.answer(Answer(500, b"", None, b""))
    assert len(kept.taken) == 2


def test_what_is_not_of_the_sample_is_copied_but_not_captured():
    instance, kept = Instance(), Kept(every=False)
    assert Tap("A", kept, shadow_of(instance)).request(HEADERS, b"7") is None
    instance.answer()
    assert kept.taken == []


# The engine


def variant(name, model, weight=1, count=1):
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": count,
        "InitialVariantWeight": weight,
    }


def shadowed(engine, name, model, *, weight=1, **others):
    """Bring an endpoint into service whose shadow serves `model`."""
    engine.echo(f"m-{name}")
    engine.call(
        "CreateEndpointConfig",
        EndpointConfigName=f"c-{name}",
        ProductionVariants=[variant("A", f"m-{name}", 2)],
        ShadowProductionVariants=[variant("New", model, weight)],
        **others,
    )
    engine.call("CreateEndpoint", EndpointName=name, EndpointConfigName=f"c-{name}")
    assert engine.settled(name)["EndpointStatus"] == "InService"
    return name


def test_a_shadow_gets_its_share_of_copies_and_answers_nobody(engine, tmp_path):
    capture = config(f"file://{tmp_path}", **TYPES)
    name = shadowed(engine, "shadowed", engine.echo("m-shadow", 1000.0), DataCaptureConfig=capture)
    told = engine.describe(name)
    assert [each["VariantName"] for each in told["ProductionVariants"]] == ["A"]
    (seen,) = told["ShadowProductionVariants"]
    assert (seen["VariantName"], seen["CurrentWeight"], seen["CurrentInstanceCount"]) == ("New", 1, 1)
    replies = invoke_all(engine, name, range(20))
    assert [each.score for each in replies] == list(range(20))
    assert {each.headers["x-amzn-invoked-production-variant"] for each in replies} == {"A"}
    refused = engine.invoke(name, 1, **{"x-amzn-sagemaker-target-variant": "New"})
    assert refused.status == 400
    engine.call("DeleteEndpoint", EndpointName=name)
    assert engine.settled(name) is None
    copies = captured(tmp_path / name, "New")
    assert len(captured(tmp_path / name, "A")) == 20
    assert len(copies) == 10  # weight 1 beside weight 2
    for each in copies:
        sides = each["captureData"]
        score = json.loads(sides["endpointOutput"]["data"])["predictions"][0]["score"]
        assert score == float(sides["endpointInput"]["data"]) + 1000


def test_a_shadow_that_hangs_delays_neither_answers_nor_updates(tmp_path):
    with running(tmp_path) as engine:
        name = shadowed(engine, "boston", engine.echo("m-shadow"), weight=2)
        stopped = [pid for pid in engine.workers if serves_without(engine, name, pid)]
        assert len(stopped) == 1
        os.kill(stopped[0], signal.SIGSTOP)
        assert [each.score for each in invoke_all(engine, name, range(300))] == list(range(300))
        engine.config("c-alone", ("A", f"m-{name}"))
        engine.call("UpdateEndpoint", EndpointName=name, EndpointConfigName="c-alone")
        told = engine.settled(name, seconds=20)  # far less than a model may take to answer
        assert told["EndpointConfigName"] == "c-alone"
        assert "ShadowProductionVariants" not in told
        assert stopped[0] not in engine.workers
        found = client_of(engine, "logs").filter_log_events(
            logGroupName=f"/aws/sagemaker/Endpoints/{name}", filterPattern="got no copy"
        )["events"]
        numbers = [int(each["message"].split()[1]) for each in found]
        assert {each["logStreamName"].partition("/")[0] for each in found} == {"New"}
        assert (numbers[:3], numbers[3] >= 200, len(numbers)) == ([1, 10, 100], True, 4)


def serves_without(engine, name, pid):
    """Whether an endpoint answers while a process stands still."""

    async def ask():
        wire = await Wire.open(engine.about)
        try:
            async with asyncio.timeout(1):
                return await wire.ask(engine.signer.invocation(name, "1"))
        except TimeoutError:
            return None
        finally:
            wire.close()

    os.kill(pid, signal.SIGSTOP)
    try:
        return asyncio.run(ask()) is not None
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_shadow_that_is_killed_comes_back_and_nobody_notices(tmp_path):
    with running(tmp_path) as engine:
        name = shadowed(engine, "boston", engine.echo("m-shadow"), weight=2)
        (pid,) = [pid for pid in engine.workers if serves_without(engine, name, pid)]
        os.kill(pid, signal.SIGKILL)
        assert [each.status for each in invoke_all(engine, name, range(100))] == [200] * 100
        engine.kill()
    with running(tmp_path) as engine:
        told = engine.settled(name)
        assert [each["VariantName"] for each in told["ShadowProductionVariants"]] == ["New"]
        assert engine.invoke(name, 3).score == 3


def test_a_canary_and_a_rolling_update_take_the_shadow_along(engine):
    name = shadowed(engine, "rolled", engine.echo("m-rolled-shadow"))
    size = {"Type": "CAPACITY_PERCENT", "Value": 50}
    routing = {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": 0}
    policies = (
        {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}},
        {"RollingUpdatePolicy": {"MaximumBatchSize": size, "WaitIntervalInSeconds": 0}},
    )
    for number, policy in enumerate(policies):
        engine.call(
            "CreateEndpointConfig",
            EndpointConfigName=f"c-rolled-{number}",
            ProductionVariants=[variant("A", f"m-{name}", count=2)],
            ShadowProductionVariants=[variant("New", "m-rolled-shadow")],
        )
        engine.call(
            "UpdateEndpoint",
            EndpointName=name,
            EndpointConfigName=f"c-rolled-{number}",
            DeploymentConfig=policy,
        )
        told = engine.settled(name)
        assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", f"c-rolled-{number}")
        assert [each["CurrentInstanceCount"] for each in told["ShadowProductionVariants"]] == [1]
        assert [each.status for each in invoke_all(engine, name, range(10))] == [200] * 10
    engine.call("DeleteEndpoint", EndpointName=name)


def test_a_shadows_weight_and_count_change_in_place(engine):
    name = shadowed(engine, "rescaled", engine.echo("m-rescaled-shadow"))
    wanted = [{"VariantName": "New", "DesiredWeight": 2, "DesiredInstanceCount": 2}]
    engine.call("UpdateEndpointWeightsAndCapacities", EndpointName=name, DesiredWeightsAndCapacities=wanted)
    (told,) = engine.settled(name)["ShadowProductionVariants"]
    assert (told["CurrentWeight"], told["CurrentInstanceCount"]) == (2, 2)
    engine.call("DeleteEndpoint", EndpointName=name)


def test_a_shadow_that_cannot_start_fails_the_endpoint(engine):
    engine.echo("m-unshadowed")
    engine.model("m-broken", b"no archive")
    engine.call(
        "CreateEndpointConfig",
        EndpointConfigName="c-unshadowed",
        ProductionVariants=[variant("A", "m-unshadowed")],
        ShadowProductionVariants=[variant("New", "m-broken")],
    )
    engine.call("CreateEndpoint", EndpointName="unshadowed", EndpointConfigName="c-unshadowed")
    assert engine.settled("unshadowed")["EndpointStatus"] == "Failed"
    engine.call("DeleteEndpoint", EndpointName="unshadowed")


@pytest.mark.parametrize(
    ("production", "shadows", "told"),
    [
        (["A", "B"], ["C"], "one variant for ProductionVariants and one variant for ShadowProductionVariants"),
        (["A"], ["B", "C"], "one variant for ProductionVariants and one variant for ShadowProductionVariants"),
        (["A"], ["A"], 'The variant name "A" was non-unique within the request.'),
    ],
)
def test_what_a_shadow_config_may_not_be_is_refused(engine, production, shadows, told):
    with pytest.raises(CallFailed, match=told):
        engine.call(
            "CreateEndpointConfig",
            EndpointConfigName="c-refused",
            ProductionVariants=[variant(each, "m") for each in production],
            ShadowProductionVariants=[variant(each, "m") for each in shadows],
        )


class Throttling:
    """A fault that turns every request away."""

    throttling = True

    def send(self, _instance, _request, _waiter):
        return False


class Asked:
    """A client's request, and what it was answered."""

    method, target, headers, body, came = b"POST", b"/endpoints/boston/invocations", HEADERS, b"1", 0.0

    def __init__(self):
        self.told = []

    def answer(self, response):
        self.told.append(response)


@pytest.mark.parametrize("turned_away", [False, True])
def test_a_request_that_a_fault_turns_away_has_no_copy(turned_away):
    shadow, instance = Instance(), Instance()
    lane = Lane("A", "c1", Meter(), Parking())
    lane.instances.append(instance)
    lane.tap = Tap("A", None, shadow_of(shadow))
    lane.fault = Throttling() if turned_away else None
    runtime = Runtime(Account("us-east-1", "123456789012"), lambda _: "InService")
    runtime.routes["boston"] = SimpleNamespace(lane=lambda _: lane)
    asked = Asked()
    runtime.handle(asked)
    assert len(shadow.sent) == (0 if turned_away else 1)
    assert bool(asked.told) is turned_away


def test_whatever_goes_wrong_on_the_side_the_client_never_learns_of_it(caplog):
    class Broken:
        def wanted(self):
            raise ZeroDivisionError

    assert Tap("A", Broken(), None).request({}, b"1") is None
    assert "a request for A is neither copied nor captured" in caplog.text

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from sm_magics.clock import Clock
from sm_magics.live.poller import FIRST_PAUSE, LONGEST_PENALTY, LONGEST_SETTLED, MANY, Poller
from sm_magics.target import AFTER_TAG, ENDPOINT_TAG

SETTLED = {"CurrentWeight": 1.0, "DesiredWeight": 1.0, "CurrentInstanceCount": 1, "DesiredInstanceCount": 1}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONFIGS = {
    "describe_endpoint_config": [{"EndpointConfigArn": "arn", "CreationTime": NOON}],
    "list_tags": [{"Tags": [{"Key": AFTER_TAG, "Value": "old"}, {"Key": ENDPOINT_TAG, "Value": "boston"}]}],
}


class Service:
    """Endpoints, by name: the status and the time of the last change; and how often each was described."""

    def __init__(self, *names):
        self.endpoints = dict.fromkeys(names, ("InService", NOON))
        self.ready = 1

    def describe(self, EndpointName):  # noqa: N803 - boto3's
        status, _ = self.endpoints[EndpointName]
        return {
            "EndpointName": EndpointName,
            "EndpointArn": "arn",
            "EndpointStatus": status,
            "EndpointConfigName": "c",
            "ProductionVariants": [{"VariantName": "A", **SETTLED, "CurrentInstanceCount": self.ready}],
            "ResponseMetadata": {},
        }

    def list(self, **_):
        return {
            "Endpoints": [
                {"EndpointName": name, "EndpointStatus": status, "LastModifiedTime": at}
                for name, (status, at) in self.endpoints.items()
            ]
        }


class Watched:
    """A poller on a service that is stepped by hand, and what it told."""

    def __init__(self, connect, clock, *names, **script):
        self.service = Service(*names)
        scripted = {"describe_endpoint": [self.service.describe], "list_endpoints": [self.service.list], **script}
        self.connection = connect(**scripted)
        self.clock = clock
        self.poller = Poller(self.connection, Clock(clock.now, clock.sleep), lambda: 1000.0, lambda _: None)
        self.told = []

    def watch(self, *names, **options):
        return [self.poller.watch(name, self.told.append, **options) for name in names]

    def turns(self, seconds):
        """Let so much time pass as the poller would, and return the calls that it made."""
        before, end = len(self.connection.session.calls), self.clock.now() + seconds
        while self.clock.now() < end and (pause := self.poller.turn()) is not None:
            self.clock.sleep(pause)
        return self.connection.session.operations[before:]


@pytest.fixture
def watching(fake_connection, fake_clock):
    return lambda *names, **script: Watched(fake_connection, fake_clock, *names, **script)


def test_one_look_serves_all_who_watch_an_endpoint(watching):
    on = watching("boston")
    on.watch("boston", "boston", "boston")
    assert on.turns(0.1) == ["describe_endpoint"]
    assert len(on.told) == 3
    assert on.told[0].snapshots["boston"].status == "InService"


def test_what_moves_is_looked_at_often_and_what_has_settled_is_not(watching):
    on = watching("boston")
    on.service.endpoints["boston"] = ("Updating", NOON)
    on.watch("boston")
    moving = len(on.turns(60))
    on.service.endpoints["boston"] = ("InService", NOON)
    on.turns(60)
    settled = len(on.turns(60))
    assert settled == 60 / LONGEST_SETTLED
    assert moving > 2 * settled


def test_never_more_than_five_looks_a_second(watching):
    on = watching("boston")
    on.service.endpoints["boston"] = ("Updating", NOON)
    on.watch("boston")
    on.turns(0)
    for number in range(20):
        on.service.ready = number
        on.turns(0.01)
    assert on.clock.now() >= 20 * FIRST_PAUSE * 0.999


def test_of_many_that_have_settled_a_list_tells_which_changed(watching):
    names = [f"e{number}" for number in range(20)]
    on = watching(*names)
    on.watch(*names)
    assert on.turns(0.1).count("describe_endpoint") == 20
    on.turns(30)
    calls = on.turns(60)
    assert calls.count("list_endpoints") == 60 / LONGEST_SETTLED
    assert calls.count("describe_endpoint") == 60 / LONGEST_SETTLED  # one more each time, in turn
    on.turns(100)
    described = [request["EndpointName"] for name, request in on.connection.session.calls[-40:] if "describe" in name]
    assert sorted(described) == sorted(names)
    on.service.endpoints["e7"] = ("InService", NOON.replace(hour=13))
    before = len(on.connection.session.calls)
    on.turns(LONGEST_SETTLED)
    assert "e7" in [request.get("EndpointName") for _, request in on.connection.session.calls[before:]]


def test_few_are_described_without_a_list(watching):
    names = [f"e{number}" for number in range(MANY)]
    on = watching(*names)
    on.watch(*names)
    assert set(on.turns(30)) == {"describe_endpoint"}


def test_watching_all_tells_those_that_come_and_go(watching):
    on = watching("a", "b")
    on.watch(None)
    on.turns(0.1)
    assert sorted(on.told[-1].snapshots) == ["a", "b"]
    on.service.endpoints = {"b": ("InService", NOON), "c": ("Creating", NOON)}
    on.turns(LONGEST_SETTLED * 2)
    assert sorted(on.told[-1].snapshots) == ["b", "c"]


def test_what_is_refused_is_told_and_asked_again_ever_later(watching, refusal):
    on = watching("boston", describe_endpoint=[refusal("Rate exceeded", "ThrottlingException")])
    on.watch("boston")
    calls = on.turns(300)
    assert 9 <= len(calls) <= 11
    assert on.told[0].problem == "DescribeEndpoint: Rate exceeded The next look is in 1 s."
    assert on.told[-1].problem.endswith(f"in {LONGEST_PENALTY:g} s.")
    assert not on.told[-1].all_seen


def test_after_a_refusal_all_is_as_before(watching, refusal):
    service = Service("boston")
    answers = [service.describe, refusal("Rate exceeded", "ThrottlingException"), service.describe]
    on = watching("boston", describe_endpoint=answers)
    on.watch("boston")
    on.turns(10)
    assert [bool(each.problem) for each in on.told[:3]] == [False, True, False]
    assert all(each.snapshots for each in on.told)


def test_whose_front_end_is_gone_is_told_nothing_and_costs_nothing(watching):
    on, there = watching("boston"), [True]
    on.watch("boston", alive=lambda: there[0])
    on.turns(1)
    there[0] = False
    told = len(on.told)
    assert on.turns(60) == []
    assert (on.poller.turn(), len(on.told)) == (None, told)


def test_who_asked_for_something_sees_it_at_once(watching):
    on = watching("boston")
    on.watch("boston")
    on.turns(60)
    assert on.poller.turn() > FIRST_PAUSE
    on.poller.hurry("boston")
    assert on.turns(0.1) == ["describe_endpoint"]


def test_an_endpoint_that_is_gone_is_told_so(watching, refusal):
    service = Service("boston")
    on = watching("boston", describe_endpoint=[service.describe, refusal('Could not find endpoint "arn".')])
    on.watch("boston")
    on.turns(1)
    assert on.told[-1].all_seen
    assert on.told[-1].snapshots == {}


def test_metrics_are_read_once_a_period_and_of_what_is_shown_only(watching):
    on = watching("boston", get_metric_data=[{"MetricDataResults": []}], **CONFIGS)
    on.watch("boston", measured=True)
    calls = on.turns(600)
    assert calls.count("get_metric_data") == 10
    queries = next(request for name, request in on.connection.session.calls if name == "get_metric_data")
    assert {each["MetricStat"]["Metric"]["MetricName"] for each in queries["MetricDataQueries"]} == {
        "Invocations",
        "Invocation4XXErrors",
        "Invocation5XXErrors",
        "ModelLatency",
    }
    assert on.told[-1].usage["boston"].used[0].variant == "A"


def test_metrics_that_may_not_be_read_are_said_to_be(watching, refusal):
    on = watching("boston", get_metric_data=[refusal("no", "AccessDenied", 403)], **CONFIGS)
    on.watch("boston", measured=True)
    on.turns(1)
    assert on.told[-1].usage["boston"].problem == "GetMetricData: no"
    assert on.told[-1].problem == ""


def test_the_config_before_is_found_out_once_and_again_when_something_was_done(watching):
    on = watching("boston", get_metric_data=[{"MetricDataResults": []}], **CONFIGS)
    on.watch("boston", measured=True)
    assert on.turns(100).count("describe_endpoint_config") == 2  # the one that serves, and the one before
    assert [each.before for each in on.told[:2]] == [{}, {"boston": ("c", "old")}]  # what was seen is not kept waiting
    told = len(on.told)
    on.poller.hurry("boston")
    assert on.turns(100).count("describe_endpoint_config") == 2
    assert all(each.before == {"boston": ("c", "old")} for each in on.told[told:])


def test_endpoints_that_share_a_config_each_have_their_own_before_it(watching):
    on = watching("boston", "york", get_metric_data=[{"MetricDataResults": []}], **CONFIGS)
    on.watch("boston", "york", measured=True)
    on.turns(10)
    assert on.told[-1].before == {"boston": ("c", "old"), "york": ("c", "")}


def test_of_many_endpoints_one_is_looked_back_at_in_each_turn(watching):
    names = ["a", "b", "c"]
    on = watching(*names, get_metric_data=[{"MetricDataResults": []}], **CONFIGS)
    on.watch(*names, measured=True)
    for number in range(len(names)):
        on.poller.turn()
        assert len(on.told[-1].before) == number + 1


def test_a_look_back_that_is_throttled_makes_all_looks_rarer_and_is_tried_again(watching, refusal):
    slow = [refusal("Rate exceeded", "ThrottlingException")] * 3
    script = {"get_metric_data": [{"MetricDataResults": []}], **CONFIGS, "list_tags": [*slow, *CONFIGS["list_tags"]]}
    on = watching("boston", **script)
    on.watch("boston", measured=True)
    on.turns(10)
    problems = [each.problem for each in on.told if each.problem]
    assert problems == [f"ListTags: Rate exceeded The next look is in {seconds} s." for seconds in (1, 2, 4)]
    assert (on.told[-1].problem, on.told[-1].before) == ("", {"boston": ("c", "old")})


def test_who_cannot_be_told_keeps_nobody_else_from_it(watching, caplog):
    on = watching("boston")

    def fail(_):
        raise KeyError("B")

    on.poller.watch("boston", fail)
    on.watch("boston")
    on.turns(30)
    assert len(on.told) > 1
    assert [each.exc_info[1].args for each in caplog.records] == [("B",)]  # said once
    assert "what shows boston failed" in caplog.text


def test_what_nobody_thought_of_is_told_too_and_asked_again(watching):
    service = Service("boston")
    on = watching("boston", describe_endpoint=[{"EndpointName": "boston"}, service.describe])
    on.watch("boston")
    on.turns(10)
    assert on.told[0].problem.startswith("KeyError: ")
    assert on.told[-1].problem == ""
    assert on.told[-1].snapshots["boston"].status == "InService"


def test_after_a_thread_that_died_the_next_who_watches_gets_another(fake_connection):
    runs = []
    poller = Poller(fake_connection(describe_endpoint=[Service("boston").describe]), start=runs.append)
    stop = poller.watch("boston", lambda _: None, alive=lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runs[0]()
    stop()
    poller.watch("boston", lambda _: None)
    assert len(runs) == 2


def test_a_config_before_that_may_not_be_read_is_not_known_and_not_asked_for_again(watching, refusal):
    refused = {**CONFIGS, "list_tags": [refusal("no", "AccessDenied", 403)]}
    on = watching("boston", get_metric_data=[{"MetricDataResults": []}], **refused)
    on.watch("boston", measured=True)
    assert on.turns(100).count("list_tags") == 1
    assert on.told[-1].before == {"boston": ("c", None)}
    assert on.told[-1].problem == ""


def test_the_thread_runs_while_somebody_watches(fake_connection):
    service = Service("boston")
    threads, seen = [], threading.Event()

    def start(run):
        threads.append(threading.Thread(target=run))
        threads[-1].start()

    poller = Poller(fake_connection(describe_endpoint=[service.describe]), start=start)
    stop = poller.watch("boston", lambda _: seen.set())
    again = poller.watch("boston", lambda _: None)
    assert seen.wait(10)
    stop()
    assert threads[0].is_alive()
    again()
    threads[0].join(10)
    assert not threads[0].is_alive()
    poller.watch("boston", lambda _: None)
    assert len(threads) == 2
    poller.close()
    threads[1].join(10)
    assert not threads[1].is_alive()

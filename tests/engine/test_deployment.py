"""Deployments carried out by a real engine, as DescribeEndpoint tells of them."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import Counter

import pytest
from enginekit import SETTLED, CallFailed, launch, running

from sm_magics.local.store import Store

_NUMBERS = itertools.count()
OLD, NEW = 0.25, 0.5  # what the old and the new model add


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with running(tmp_path_factory.mktemp("engine"), changed={"shifting.LOOK_SECONDS": 0.05}) as made:
        yield made


@pytest.fixture
def ready(engine):
    """Return a function that brings an endpoint of so many instances into service and makes the config `NAME-next`."""
    names = []

    def bring(count=1):
        name = f"ep{next(_NUMBERS)}"
        names.append(engine.serve(name, OLD, count))
        engine.config(f"{name}-next", ("A", engine.echo(f"{name}-m", NEW), 1, count))
        return name

    yield bring
    for name in names:
        engine.settled(name)
        engine.call("DeleteEndpoint", EndpointName=name)
        engine.settled(name)


def percent(value):
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def blue_green(kind, wait=1, termination=0, **size):
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **size}
    policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": termination}
    return {"BlueGreenUpdatePolicy": policy}


def rolling(wait=1):
    return {"RollingUpdatePolicy": {"MaximumBatchSize": percent(50), "WaitIntervalInSeconds": wait}}


def update(engine, name, deployment=None, config=None, **rest):
    given = {"DeploymentConfig": deployment} if deployment else {}
    engine.call("UpdateEndpoint", EndpointName=name, EndpointConfigName=config or f"{name}-next", **given, **rest)


def watch(engine, name):
    """Yield each look at the endpoint that shows something else than the one before, until it has settled."""
    last = None
    while True:
        told = engine.describe(name)
        if (told["EndpointStatus"], rows(told)) != last:
            last = told["EndpointStatus"], rows(told)
            yield told
        if told["EndpointStatus"] in SETTLED:
            return
        time.sleep(0.005)


def rows(told):
    """Return what is said of the old and of the new variant: weight, instances, status and message."""

    def row(variants):
        (each,) = variants
        (said,) = each.get("VariantStatus") or [{}]
        return (
            round(each["CurrentWeight"], 3),
            each["CurrentInstanceCount"],
            said.get("Status"),
            said.get("StatusMessage"),
        )

    pending = told.get("PendingDeploymentSummary")
    return row(told["ProductionVariants"]), pending and row(pending["ProductionVariants"])


def messages(looks):
    """Return the messages about the new fleet, in order, without those that may pass too quickly to be seen."""
    seen = [pending[3] for _, pending in map(rows, looks) if pending]
    return [text for text, _ in itertools.groupby(text for text in seen if not text.startswith("Activating"))]


def shares(engine, name, number):
    """Return how many of so many requests the old and the new model answered."""
    counts = Counter(engine.invoke(name, 1).score - 1 for _ in range(number))
    return counts[OLD], counts[NEW]


def check_shares(engine, name, told, expected):
    """Compare the traffic with what is expected of the phase that `told` tells of, unless that is over already."""
    counts = shares(engine, name, sum(expected))
    if rows(engine.describe(name)) == rows(told):
        assert counts == expected


def is_baking(told, what):
    pending = rows(told)[1]
    return pending is not None and pending[2] == "Baking" and what in pending[3]


def test_canary(engine, ready):
    name = ready(2)
    deployment = blue_green("CANARY", termination=1, CanarySize=percent(50))
    update(engine, name, deployment)
    looks = []
    for told in watch(engine, name):
        looks.append(told)
        if is_baking(told, "canary"):
            check_shares(engine, name, told, (10, 10))
            assert rows(told)[0][:2] == (0.5, 2)
            assert rows(told)[1][:2] == (0.5, 2)
        elif is_baking(told, "full"):
            check_shares(engine, name, told, (0, 10))
            assert rows(told)[0][:2] == (0, 2)
    assert messages(looks) == [
        "Launching 2 instance(s).",
        "Baking for 1 seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity of 1 instance(s).",
        "Baking for 1 seconds (TerminationWaitInSeconds) with traffic enabled on full capacity of 2 instance(s).",
    ]
    pending = looks[0]["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == f"{name}-next"
    assert pending["ProductionVariants"][0]["InstanceType"] == "ml.m5.large"
    assert pending["StartTime"] <= time.time()
    assert {each["EndpointConfigName"] for each in looks[:-1]} == {f"c-{name}"}
    last = looks[-1]
    assert (last["EndpointStatus"], last["EndpointConfigName"]) == ("InService", f"{name}-next")
    assert last["LastDeploymentConfig"] == deployment
    assert "PendingDeploymentSummary" not in last
    assert "FailureReason" not in last
    assert rows(last) == ((1, 2, None, None), None)


def test_linear(engine, ready):
    name = ready(3)
    update(engine, name, blue_green("LINEAR", LinearStepSize={"Type": "INSTANCE_COUNT", "Value": 1}))
    seen = []
    for told in watch(engine, name):
        if is_baking(told, "WaitInterval"):
            weight = rows(told)[1][0]
            check_shares(engine, name, told, (round(30 * (1 - weight)), round(30 * weight)))
            seen.append(weight)
        elif told["ProductionVariants"][0].get("VariantStatus", [{}])[0].get("Status") == "Deleting":
            assert (rows(told)[0][0], rows(told)[1][0]) == (0, 1), "the traffic has moved before the old fleet goes"
    assert [weight for weight, _ in itertools.groupby(seen)] == [0.333, 0.667]
    assert shares(engine, name, 5) == (0, 5)


def test_rolling_replaces_one_instance_after_the_other(engine, ready):
    name = ready(2)
    update(engine, name, rolling())
    looks = list(watch(engine, name))
    counts = [(old[1], new[1]) for old, new in map(rows, looks) if new]
    assert all(new <= 2 for _, new in counts)
    assert max(old + new for old, new in counts) >= 3
    assert [old for old, _ in itertools.groupby(old for old, _ in counts)] in ([2, 1], [2, 1, 0])
    assert [text for text in messages(looks) if text.startswith("Baking")][-1] == (
        "Baking for 1 seconds (WaitIntervalInSeconds) with traffic enabled on full capacity of 2 instance(s)."
    )
    assert rows(looks[-1]) == ((1, 2, None, None), None)
    assert shares(engine, name, 5) == (0, 5)


def test_all_at_once_keeps_the_old_fleet_until_the_end_of_the_wait(engine, ready):
    name = ready()
    update(engine, name, blue_green("ALL_AT_ONCE", termination=1))
    looks = list(watch(engine, name))
    assert any(is_baking(told, "TerminationWaitInSeconds") and rows(told)[0][:2] == (0, 1) for told in looks)
    assert rows(looks[-1]) == ((1, 1, None, None), None)


def test_a_deployment_config_is_kept_when_asked_and_gone_otherwise(engine, ready):
    name = ready()
    deployment = blue_green("ALL_AT_ONCE", wait=0)
    update(engine, name, deployment)
    assert engine.settled(name)["LastDeploymentConfig"] == deployment
    update(engine, name, config=f"c-{name}", RetainDeploymentConfig=True)
    assert engine.settled(name)["LastDeploymentConfig"] == deployment
    update(engine, name)
    assert "LastDeploymentConfig" not in engine.settled(name)


def test_a_retained_config_is_checked_like_any_other(engine, ready):
    name = ready(2)
    update(engine, name, rolling(wait=0))
    engine.settled(name)
    engine.config(f"{name}-two", ("A", f"m-{name}"), ("B", f"m-{name}"))
    with pytest.raises(CallFailed, match="must have the same variant names"):
        update(engine, name, config=f"{name}-two", RetainDeploymentConfig=True)


@pytest.mark.parametrize(
    ("deployment", "variants", "message"),
    [
        (blue_green("CANARY", CanarySize=percent(10)), ["A", "B"], "must have the same variant names"),
        (blue_green("LINEAR", LinearStepSize=percent(10)), ["B"], "must have the same variant names"),
        (rolling(), ["B"], "must have the same variant names"),
        (blue_green("CANARY", CanarySize=percent(60)), ["A"], "at most 50%"),
        (blue_green("CANARY"), ["A"], "needs CanarySize"),
        (rolling() | blue_green("ALL_AT_ONCE"), ["A"], "not both"),
        (
            blue_green("ALL_AT_ONCE") | {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "none-such"}]}},
            ["A"],
            'Could not find alarm "none-such"',
        ),
    ],
)
def test_what_the_service_excludes_is_refused_and_nothing_changes(engine, ready, deployment, variants, message):
    name = ready()
    engine.config(f"{name}-other", *((each, f"m-{name}") for each in variants))
    with pytest.raises(CallFailed, match=message) as refused:
        update(engine, name, deployment, f"{name}-other")
    assert refused.value.code == "ValidationException"
    told = engine.describe(name)
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", f"c-{name}")
    assert "LastDeploymentConfig" not in told


@pytest.mark.parametrize("deployment", [None, blue_green("CANARY", CanarySize=percent(10)), rolling()])
def test_a_new_fleet_that_cannot_start_changes_nothing_but_the_reason(engine, ready, deployment):
    name = ready(2)
    engine.config(f"{name}-bad", ("A", engine.model(f"{name}-bad", b"no archive"), 1, 2))
    update(engine, name, deployment, f"{name}-bad")
    told = engine.settled(name)
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", f"c-{name}")
    assert "Failed to extract model data archive" in told["FailureReason"]
    assert rows(told) == ((1, 2, None, None), None)
    assert shares(engine, name, 4) == (4, 0)


def test_while_it_is_deployed_an_endpoint_can_be_neither_changed_nor_deleted(engine, ready):
    name = ready()
    update(engine, name, blue_green("ALL_AT_ONCE", termination=1))
    for call, request in (
        ("DeleteEndpoint", {}),
        ("UpdateEndpoint", {"EndpointConfigName": f"c-{name}"}),
        (
            "UpdateEndpointWeightsAndCapacities",
            {"DesiredWeightsAndCapacities": [{"VariantName": "A", "DesiredWeight": 1}]},
        ),
    ):
        with pytest.raises(CallFailed, match="Cannot update in-progress endpoint"):
            engine.call(call, EndpointName=name, **request)
    assert engine.settled(name)["EndpointConfigName"] == f"{name}-next"


def test_what_createendpoint_is_given_is_kept_and_not_carried_out(engine, ready):
    name = ready()
    deployment = blue_green("CANARY", wait=3600, CanarySize=percent(10))
    engine.call("CreateEndpoint", EndpointName=f"{name}x", EndpointConfigName=f"c-{name}", DeploymentConfig=deployment)
    told = engine.settled(f"{name}x")
    assert (told["EndpointStatus"], told["LastDeploymentConfig"]) == ("InService", deployment)
    engine.call("DeleteEndpoint", EndpointName=f"{name}x")


def test_an_engine_that_is_killed_in_the_middle_of_a_canary_begins_it_anew(tmp_path):
    engine = launch(tmp_path)
    engine.serve("e", OLD)
    engine.config("e-next", ("A", engine.echo("m2", NEW)))
    update(engine, "e", blue_green("CANARY", wait=1, CanarySize=percent(50)))
    next(told for told in watch(engine, "e") if is_baking(told, "canary"))
    engine.kill()
    engine.process.stdout.close()
    with running(tmp_path) as again:
        looks = list(watch(again, "e"))
        assert messages(looks)[0] == "Launching 1 instance(s)."
        assert any(is_baking(told, "canary") for told in looks)
        assert looks[-1]["EndpointConfigName"] == "e-next"
        assert shares(again, "e", 5) == (0, 5)


def test_tags_that_are_added_during_an_update_are_kept_and_its_progress_is_not(tmp_path):
    engine = launch(tmp_path)
    engine.serve("e", OLD)
    engine.config("e-next", ("A", engine.echo("m2", NEW)))
    update(engine, "e", blue_green("CANARY", wait=3600, CanarySize=percent(50)))
    told = next(told for told in watch(engine, "e") if is_baking(told, "canary"))
    engine.call("AddTags", ResourceArn=told["EndpointArn"], Tags=[{"Key": "team", "Value": "x"}])
    assert rows(engine.describe("e")) == rows(told)
    engine.kill()
    engine.process.stdout.close()
    with contextlib.closing(Store(tmp_path / "state.sqlite")) as store:
        kept = store.endpoint("e")
    assert kept.tags == {"team": "x"}
    assert [(each.current_weight, each.status) for each in kept.variants] == [(1, None)]
    assert [(each.current_count, each.status) for each in kept.pending.variants] == [(0, "Creating")]

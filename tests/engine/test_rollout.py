from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from sm_magics.local import rollout
from sm_magics.local.lifecycle import Refused


def size(kind, value):
    return {"Type": kind, "Value": value}


def blue_green(kind, wait=3, **rest):
    routing = {"Type": kind, "WaitIntervalInSeconds": wait}
    for name in ("CanarySize", "LinearStepSize"):
        if name in rest:
            routing[name] = rest.pop(name)
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **rest}}


def rolling(batch, wait=3, **rest):
    return {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": wait, **rest}}


def parts(most):
    return st.one_of(
        st.builds(size, st.just("CAPACITY_PERCENT"), st.integers(1, most)),
        st.builds(size, st.just("INSTANCE_COUNT"), st.integers(1, 30)),
    )


COUNTS = st.dictionaries(st.sampled_from("ABC"), st.integers(1, 30), min_size=1)
CONFIGS = st.one_of(
    st.none(),
    st.builds(lambda wait: blue_green("ALL_AT_ONCE", TerminationWaitInSeconds=wait), st.integers(0, 10)),
    st.builds(lambda part: blue_green("CANARY", CanarySize=part), parts(50)),
    st.builds(lambda part: blue_green("LINEAR", LinearStepSize=part), parts(50)),
    st.builds(rolling, parts(50)),
)


@given(CONFIGS, COUNTS, st.data())
def test_every_rollout_that_is_not_refused_moves_all_traffic_step_by_step_to_instances_that_are_there(
    config, new, data
):
    old = {name: data.draw(st.integers(1, 30)) for name in new}
    try:
        rollout.check(config or {}, old, new)
    except Refused:
        reject()
    steps = rollout.plan(config, old, new).steps
    shares = [step.share for step in steps]
    assert shares == sorted(set(shares)), "the traffic goes one way, and moves at every step"
    assert shares[-1] == 1
    assert steps[-1].new == new
    for step in steps:
        assert 0 < step.share <= 1
        for name, whole in new.items():
            assert 0 < step.new[name] <= whole
            assert Fraction(step.new[name], whole) >= step.share, "more traffic than instances for it"
            assert 0 <= step.old[name] <= old[name]
            assert Fraction(step.old[name], old[name]) >= 1 - step.share, "too few old instances for what is left"
    for before, after in pairwise(steps):
        assert all(before.new[name] <= after.new[name] and before.old[name] >= after.old[name] for name in new)


@given(COUNTS, COUNTS)
def test_without_a_config_everything_moves_at_once_and_nothing_waits(old, new):
    (step,) = rollout.plan(None, old, new).steps
    assert (step.share, step.new, step.seconds) == (1, new, 0)


@pytest.mark.parametrize(
    ("config", "shares"),
    [
        (blue_green("ALL_AT_ONCE"), ["1"]),
        (blue_green("CANARY", CanarySize=size("CAPACITY_PERCENT", 10)), ["1/10", "1"]),
        (blue_green("CANARY", CanarySize=size("INSTANCE_COUNT", 1)), ["1/4", "1"]),
        (blue_green("LINEAR", LinearStepSize=size("CAPACITY_PERCENT", 25)), ["1/4", "1/2", "3/4", "1"]),
        (blue_green("LINEAR", LinearStepSize=size("CAPACITY_PERCENT", 30)), ["3/10", "3/5", "9/10", "1"]),
        (rolling(size("CAPACITY_PERCENT", 50)), ["1/2", "1"]),
        (rolling(size("INSTANCE_COUNT", 1)), ["1/4", "1/2", "3/4", "1"]),
    ],
)
def test_the_shares_of_each_policy(config, shares):
    steps = rollout.plan(config, {"A": 4}, {"A": 4}).steps
    assert [str(step.share) for step in steps] == shares


def test_waits_alarms_and_limits_are_those_of_the_config():
    config = blue_green(
        "CANARY",
        wait=7,
        CanarySize=size("INSTANCE_COUNT", 1),
        TerminationWaitInSeconds=9,
        MaximumExecutionTimeoutInSeconds=600,
    ) | {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}, {"AlarmName": "b"}]}}
    plan = rollout.plan(config, {"A": 4}, {"A": 4})
    assert [(step.seconds, step.pause) for step in plan.steps] == [
        (7, "WaitIntervalInSeconds"),
        (9, "TerminationWaitInSeconds"),
    ]
    assert (plan.alarms, plan.seconds, plan.batch) == (("a", "b"), 600, None)


def test_the_messages_are_the_services():
    canary, whole = rollout.plan(
        blue_green("CANARY", CanarySize=size("CAPACITY_PERCENT", 25), TerminationWaitInSeconds=9), {"A": 4}, {"A": 8}
    ).steps
    assert canary.activating("A") == "Activating traffic on canary capacity of 2 instance(s)."
    assert canary.baking("A") == (
        "Baking for 3 seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity of 2 instance(s)."
    )
    assert whole.baking("A") == (
        "Baking for 9 seconds (TerminationWaitInSeconds) with traffic enabled on full capacity of 8 instance(s)."
    )


@pytest.mark.parametrize(
    ("back", "batch"), [(None, 4), (size("INSTANCE_COUNT", 2), 2), (size("CAPACITY_PERCENT", 25), 1)]
)
def test_a_rolling_deployment_says_how_many_come_back_at_once(back, batch):
    config = rolling(size("INSTANCE_COUNT", 1), **({"RollbackMaximumBatchSize": back} if back else {}))
    assert rollout.plan(config, {"A": 4}, {"A": 4}).batch == batch


ALARMS = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]}}
ONE, TWO = {"A": 4}, {"A": 4, "B": 4}


@pytest.mark.parametrize(
    ("config", "old", "new", "message"),
    [
        (blue_green("CANARY", CanarySize=size("INSTANCE_COUNT", 1)), ONE, TWO, "must have the same variant names"),
        (rolling(size("INSTANCE_COUNT", 1)), ONE, {"B": 4}, "must have the same variant names"),
        (blue_green("ALL_AT_ONCE") | ALARMS, ONE, {"B": 4}, "must have the same variant names"),
        (rolling(size("INSTANCE_COUNT", 1)), TWO, TWO, "not supported for endpoints with multiple production variants"),
        (rolling(size("CAPACITY_PERCENT", 51)), ONE, ONE, "between 5% and 50%"),
        (rolling(size("CAPACITY_PERCENT", 4)), ONE, ONE, "between 5% and 50%"),
        (rolling(size("INSTANCE_COUNT", 3)), ONE, ONE, "between 5% and 50%"),
        (rolling(size("INSTANCE_COUNT", 1)) | blue_green("ALL_AT_ONCE"), ONE, ONE, "not both"),
        (blue_green("CANARY"), ONE, ONE, "of type CANARY needs CanarySize"),
        (blue_green("LINEAR"), ONE, ONE, "of type LINEAR needs LinearStepSize"),
        (blue_green("ALL_AT_ONCE", CanarySize=size("INSTANCE_COUNT", 1)), ONE, ONE, "does not take CanarySize"),
        (blue_green("CANARY", CanarySize=size("CAPACITY_PERCENT", 51)), ONE, ONE, "at most 50%"),
        (blue_green("CANARY", CanarySize=size("INSTANCE_COUNT", 3)), ONE, ONE, "at most 50%"),
        (blue_green("LINEAR", LinearStepSize=size("CAPACITY_PERCENT", 9)), ONE, ONE, "at least 10%"),
    ],
)
def test_what_the_service_excludes_is_refused(config, old, new, message):
    with pytest.raises(Refused, match=message):
        rollout.check(config, old, new)


def test_a_plain_update_may_change_the_variants():
    rollout.check({}, ONE, {"B": 1, "C": 2})
    rollout.check(blue_green("ALL_AT_ONCE"), ONE, {"B": 1, "C": 2})

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_magics.errors import CellError
from sm_magics.spec import EndpointSpec, parse_endpoint, to_yaml
from sm_magics.spec.deployment import policy_words, watched_seconds, watches, worded

VARIABLES = {"xgb": object(), "part": 0.1, "policy": {"canary": "10%", "wait": "5m"}}
V = "variants: {A: $xgb}\n"
HOW = "write deploy: {canary: 10%, wait: 5m}, {linear: 25%, every: 2m}, {rolling: 50%} or all-at-once"


def parse(text: str) -> EndpointSpec:
    return parse_endpoint(text, "boston", VARIABLES)


def policy(text: str) -> dict:
    return dict(parse(f"{V}deploy: {text}").deployment["DeploymentConfig"])


def complaints(text: str) -> list[str]:
    """Return the first line of every problem, and its hint if there is one."""
    with pytest.raises(CellError) as caught:
        parse(text)
    found = [each.splitlines() for each in str(caught.value).split("\n\n")]
    return [rows[0] if rows[-1].endswith("^") else f"{rows[0]} / {rows[-1].strip()}" for rows in found]


def size(value: int, kind: str = "CAPACITY_PERCENT") -> dict:
    return {"Type": kind, "Value": value}


def blue_green(kind: str, wait: int, part: dict | None = None, **times: int) -> dict:
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **(part or {})}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **times}}


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("{canary: 10%, wait: 5m}", blue_green("CANARY", 300, {"CanarySize": size(10)})),
        ("$policy", blue_green("CANARY", 300, {"CanarySize": size(10)})),
        ("{canary: 1, wait: 60}", blue_green("CANARY", 60, {"CanarySize": size(1, "INSTANCE_COUNT")})),
        (
            "{canary: {type: INSTANCE_COUNT, Value: 2}, wait: 1h}",
            blue_green("CANARY", 3600, {"CanarySize": size(2, "INSTANCE_COUNT")}),
        ),
        (
            "{linear: 25%, every: 2m, bake: 1h, timeout: 8h}",
            blue_green(
                "LINEAR",
                120,
                {"LinearStepSize": size(25)},
                TerminationWaitInSeconds=3600,
                MaximumExecutionTimeoutInSeconds=28_800,
            ),
        ),
        ("{linear: 50 %, wait: 0s}", blue_green("LINEAR", 0, {"LinearStepSize": size(50)})),
        ("all-at-once", blue_green("ALL_AT_ONCE", 0)),
        ("{all-at-once: true, bake: 5m}", blue_green("ALL_AT_ONCE", 0, TerminationWaitInSeconds=300)),
        ("{rolling: 50%}", {"RollingUpdatePolicy": {"MaximumBatchSize": size(50), "WaitIntervalInSeconds": 0}}),
        (
            "{rolling: 2, every: 90s, timeout: 10m}",
            {
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": size(2, "INSTANCE_COUNT"),
                    "WaitIntervalInSeconds": 90,
                    "MaximumExecutionTimeoutInSeconds": 600,
                }
            },
        ),
        (
            "{blue_green_update_policy: {TrafficRoutingConfiguration: {type: ALL_AT_ONCE, WaitIntervalInSeconds: 0}}}",
            blue_green("ALL_AT_ONCE", 0),
        ),
        (
            "{canary: 10%, wait: 1m, auto_rollback_configuration: {alarms: [{alarm_name: a}]}}",
            {
                **blue_green("CANARY", 60, {"CanarySize": size(10)}),
                "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]},
            },
        ),
    ],
)
def test_few_words_stand_for_a_deployment_config(text, config):
    assert policy(text) == config


def raw(routing: str) -> str:
    return f"{V}deploy: {{blue_green_update_policy: {{traffic_routing_configuration: {{{routing}}}}}}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [f"line 2: deploy has no value / {HOW}"]),
        ("canary", [f"line 2: deploy cannot be 'canary' / {HOW}"]),
        ("all-at-onec", ["line 2: deploy cannot be 'all-at-onec' / did you mean 'all-at-once'?"]),
        ("[canary]", [f"line 2: deploy cannot be a list / {HOW}"]),
        ("{wait: 5m}", [f"line 2: deploy says neither canary, linear, rolling nor all-at-once / {HOW}"]),
        ("{cannary: 10%, wait: 5m}", ["line 2: unknown key 'cannary' / did you mean 'canary'?"]),
        ("{canary: 10%, wiat: 5m}", ["line 2: unknown key 'wiat' / did you mean 'wait'?"]),
        ("{canary: 10%, wait: 5m, alarms: [a]}",
         ["line 2: unknown key 'alarms' / write it at the top level of the cell: rollback_on: [ALARM]"]),
        ("{canary: 10%}", ["line 2: canary needs 'wait': how long each step is watched / for example wait: 5m"]),
        ("{linear: 10%}", ["line 2: linear needs 'every': how long each step is watched / for example every: 5m"]),
        ("{canary: 10%, every: 5m}", ["line 2: 'every' has no place beside 'canary' / use 'wait'"]),
        ("{canary: 10%, linear: 10%, wait: 5m}",
         ["line 2: 'linear' has no place beside 'canary' / keep one of the two"]),
        ("{linear: 10%, wait: 5m, every: 5m}", ["line 2: 'wait' and 'every' are the same / keep one of the two"]),
        ("{rolling: 10%, bake: 5m}",
         ["line 2: 'bake' has no place beside 'rolling' / the old fleet goes batch by batch"]),
        ("{all-at-once: true, wait: 5m}", ["line 2: 'wait' has no place beside 'all-at-once' / use 'bake'"]),
        ("{all-at-once: yes}", ["line 2: all-at-once takes true and nothing else / write all-at-once: true"]),
        ("{canary: 0.1, wait: 5m}",
         ["line 2: canary must be a percentage such as 10%, or a number of instances, not 0.1 / write 10%"]),
        ("{rolling: big}",
         ["line 2: rolling must be a percentage such as 10%, or a number of instances, not 'big'"]),
        ("{canary: 2.5%, wait: 5m}", ["line 2: canary must be a whole percentage, not '2.5%'"]),
        ("{canary: 51%, wait: 5m}", ["line 2: canary must be from 1% to 50%, not 51%"]),
        ("{canary: 0, wait: 5m}", ["line 2: canary must be at least 1, not 0"]),
        ("{linear: 9%, every: 5m}", ["line 2: linear must be from 10% to 50%, not 9%"]),
        ("{rolling: 4%}", ["line 2: rolling must be from 5% to 50%, not 4%"]),
        ("{canary: 10%, wait: 61m}", ["line 2: wait must be at most 1h, not '61m'"]),
        ("{canary: 10%, wait: -1}", ["line 2: wait must be at least 0s, not -1"]),
        ("{canary: 10%, wait: soon}", ["line 2: wait must be a duration such as 90s, 5m or 1h, not 'soon'"]),
        ("{canary: 10%, wait: 500ms}", ["line 2: wait must be a whole number of seconds"]),
        ("{canary: 10%, wait: 5m, bake: 2h}", ["line 2: bake must be at most 1h, not '2h'"]),
        ("{canary: 10%, wait: 5m, timeout: 9m}", ["line 2: timeout must be at least 10m, not '9m'"]),
        ("{canary: 10%, wait: 5m, timeout: 9h}", ["line 2: timeout must be at most 8h, not '9h'"]),
        ("{canary: 10%, wait: 5m, BlueGreenUpdatePolicy: $policy}",
         ["line 2: 'BlueGreenUpdatePolicy' has no place beside 'canary' / keep one of the two"]),
    ],
)  # fmt: skip
def test_policies_that_are_refused(text, expected):
    assert complaints(f"{V}deploy: {text}")[: len(expected)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            raw("type: CANARY, wait_interval_in_seconds: 4000"),
            [
                "line 2: wait_interval_in_seconds must be at most 3600, not 4000",
                "line 2: traffic_routing_configuration of type CANARY needs 'canary_size'",
            ],
        ),
        (
            raw("type: ALL_AT_ONCE, wait_interval_in_seconds: 0, canary_size: {type: CAPACITY_PERCENT, value: 60}"),
            [
                "line 2: 'canary_size' has no place in a deployment of type ALL_AT_ONCE / remove it",
                "line 2: canary_size must be from 1% to 50%, not 60%",
            ],
        ),
        (raw("type: SLOW, wait_interval_in_seconds: 0"), ["line 2: type cannot be 'SLOW'"]),
        (
            "variants: {A: $xgb, B: $xgb}\ndeploy: {rolling: 50%}",
            ["line 2: a rolling deployment works for one variant only / use canary or linear"],
        ),
    ],
)
def test_what_the_service_would_refuse_is_refused_in_its_own_fields_too(text, expected):
    assert sorted(each.partition(" / write ")[0] for each in complaints(text)) == sorted(expected)


def test_two_policies_are_one_too_many():
    rolling = (
        "rolling_update_policy: {maximum_batch_size: {type: INSTANCE_COUNT, value: 1}, wait_interval_in_seconds: 0}"
    )
    routing = "traffic_routing_configuration: {type: ALL_AT_ONCE, wait_interval_in_seconds: 0}"
    assert complaints(f"{V}deploy: {{blue_green_update_policy: {{{routing}}}, {rolling}}}") == [
        "line 2: 'rolling_update_policy' has no place beside the other policy / keep one of the two"
    ]


def sizes(least: int) -> st.SearchStrategy[str]:
    return st.integers(least, 50).map("{}%".format) | st.integers(1, 9).map(str)


def times(least: int, most: int) -> st.SearchStrategy[str]:
    return st.integers(least, most).map("{}s".format)


@st.composite
def policies(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["canary", "linear", "rolling", "all-at-once"]))
    if kind == "all-at-once":
        keys = {kind: "true"}
    else:
        keys = {kind: draw(sizes({"canary": 1, "linear": 10, "rolling": 5}[kind]))}
        if kind != "rolling" or draw(st.booleans()):
            keys["wait"] = draw(times(0, 3600))
    if kind != "rolling" and draw(st.booleans()):
        keys["bake"] = draw(times(0, 3600))
    if draw(st.booleans()):
        keys["timeout"] = draw(times(600, 28_800))
    return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + "}"


@given(policies())
@settings(deadline=None)
def test_what_few_words_say_is_written_in_few_words(text):
    spec = parse(f"{V}deploy: {text}")
    again = to_yaml(spec)
    assert parse(again) == spec
    assert "_policy" not in again


def test_what_few_words_cannot_say_keeps_its_own_fields():
    config = {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": size(50),
            "WaitIntervalInSeconds": 5,
            "RollbackMaximumBatchSize": size(50),
        }
    }
    assert worded(config) is None
    assert worded({}) is None
    assert worded(blue_green("ALL_AT_ONCE", 5)) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("all-at-once", False),
        ("{all-at-once: true, bake: 1s}", True),
        ("{canary: 10%, wait: 0s}", True),
        ("{rolling: 10%}", True),
    ],
)
def test_alarms_need_time_to_go_off(text, found):
    assert watches(policy(text)) is found


def test_a_mistyped_expression_is_told_once():
    assert complaints(f"{V}deploy: $nope") == ["line 2: $nope is not defined / run the cell that defines it first"]
    assert complaints(f"{V}deploy: {{canary: $nope, wait: $gone}}") == [
        "line 2: $nope is not defined / run the cell that defines it first",
        "line 2: $gone is not defined / run the cell that defines it first",
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("{canary: 10%, wait: 5m}", 300),
        ("{canary: 1, wait: 5m, bake: 1m}", 360),
        ("{linear: 25%, every: 1m, bake: 30s}", 210),
        ("{linear: 30%, every: 1m}", 180),
        ("{linear: 1, every: 1m}", None),
        ("{rolling: 50%, wait: 1m}", 120),
        ("{rolling: 1, wait: 1m}", None),
        ("{all-at-once: true, bake: 5m}", 300),
        ("all-at-once", 0),
    ],
)
def test_the_new_fleet_is_watched_as_long_as_all_pauses_take(text, seconds):
    assert watched_seconds(policy(text)) == seconds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{canary: 10%, wait: 5m}", "canary 10%, wait 5m"),
        ("{rolling: 1}", "rolling 1"),
        ("{all-at-once: true, bake: 5m}", "all-at-once, bake 5m"),
        ("all-at-once", "all-at-once"),
    ],
)
def test_a_policy_is_told_as_a_phrase(text, words):
    assert policy_words(policy(text)) == words


def test_a_policy_that_only_its_own_fields_say_is_told_by_its_name():
    assert policy_words(blue_green("ALL_AT_ONCE", 5)) == "BlueGreenUpdatePolicy"
    assert policy_words({}) == ""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_magics.errors import CellError
from sm_magics.spec import AlarmSpec, EndpointSpec, parse_endpoint, to_yaml

VARIABLES = {"xgb": object(), "alarm": {"metric": "Invocation5XXErrors", "above": 3}, "names": ["a", "b"]}
V = "variants: {A: $xgb, B: $xgb}\ndeploy: {canary: 10%, wait: 30m}\n"
HOW = "write rollback_on: [NAME], or [{metric: Invocation5XXErrors, above: 1%, for: 1m}]"

ONE_OF = (
    "write one of Invocation4XXErrors, Invocation5XXErrors, InvocationModelErrors, ModelLatency, OverheadLatency; "
    "for another, make the alarm yourself and name it"
)


def parse(text: str) -> EndpointSpec:
    return parse_endpoint(text, "boston", VARIABLES)


def complaints(text: str, cell: str = V) -> list[str]:
    """Return the first line of every problem, and its hint if there is one."""
    with pytest.raises(CellError) as caught:
        parse(f"{cell}rollback_on: {text}")
    found = [each.splitlines() for each in str(caught.value).split("\n\n")]
    return [rows[0] if rows[-1].endswith("^") else f"{rows[0]} / {rows[-1].strip()}" for rows in found]


@pytest.mark.parametrize(
    ("text", "alarm"),
    [
        ("{metric: Invocation5XXErrors, above: 1%, for: 1m}", ("Invocation5XXErrors", "Average", 0.01, 60)),
        ("{metric: Invocation5XXErrors, above: 0.5%}", ("Invocation5XXErrors", "Average", 0.005, 60)),
        ("{metric: Invocation4XXErrors, above: 5, for: 10m}", ("Invocation4XXErrors", "Sum", 5.0, 600)),
        ("{metric: ModelLatency, above: 200ms, for: 10s}", ("ModelLatency", "Average", 200_000.0, 10)),
        ("{metric: ModelLatency, above: 1.5s, stat: p99.9}", ("ModelLatency", "p99.9", 1_500_000.0, 60)),
        ("{metric: OverheadLatency, above: 1s, variant: A}", ("OverheadLatency", "Average", 1e6, 60, "A")),
        ("$alarm", ("Invocation5XXErrors", "Sum", 3.0, 60)),
    ],
)
def test_an_alarm_is_described_in_place(text, alarm):
    assert parse(f"{V}rollback_on: [{text}]").alarms == (AlarmSpec(*alarm),)


def test_named_alarms_become_part_of_the_deployment():
    spec = parse(V + "rollback_on: [boston-5xx, {metric: ModelLatency, above: 1s}, other one]")
    config = spec.deployment["DeploymentConfig"]
    assert config["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "boston-5xx"}, {"AlarmName": "other one"}]}
    assert len(spec.alarms) == 1
    named = parse(V + "rollback_on: $names").deployment["DeploymentConfig"]["AutoRollbackConfiguration"]
    assert [each["AlarmName"] for each in named["Alarms"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [f"line 3: rollback_on must be a list of alarms / {HOW}"]),
        ("boston-5xx", [f"line 3: rollback_on must be a list of alarms / {HOW}"]),
        ("[]", [f"line 3: rollback_on is empty / {HOW}"]),
        ("[5]", [f"line 3: rollback_on[0] must be the name of an alarm, not 5 / {HOW}"]),
        ("[[a]]", [f"line 3: rollback_on[0] must be the name of an alarm, not a list / {HOW}"]),
        ("[a, a]", ["line 3: alarm 'a' is named twice / keep one of the two"]),
        (f"[{'a' * 256}]", [f"line 3: rollback_on[0] '{'a' * 59}…' is too long: it has 256 characters, at most 255"]),
        ("[{above: 1}]", [f"line 3: rollback_on[0] needs 'metric' / {HOW}"]),
        ("[{metric: Invocation5XXErrors}]", [f"line 3: rollback_on[0] needs 'above' / {HOW}"]),
        ("[{metric: Invocation5XXErrors, abov: 1}]", ["line 3: unknown key 'abov' / did you mean 'above'?"]),
        ("[{metric: Invocation5XXErrors, threshold: 1, above: 1}]", ["line 3: unknown key 'threshold' / use 'above'"]),
        ("[{metric: Invocation5XXError, above: 1}]",
         ["line 3: metric cannot be 'Invocation5XXError' / did you mean 'Invocation5XXErrors'?"]),
        ("[{metric: CPUUtilization, above: 1}]",
         [f"line 3: metric cannot be 'CPUUtilization' / {ONE_OF}"]),
        ("[{metric: Invocation5XXErrors, above: a lot}]",
         ["line 3: above must be a percentage such as 1%, or a number of invocations, not 'a lot'"]),
        ("[{metric: Invocation5XXErrors, above: -1}]",
         ["line 3: above must be a percentage such as 1%, or a number of invocations, not -1"]),
        ("[{metric: Invocation5XXErrors, above: 100%}]",
         ["line 3: above must be less than 100%, not '100%' / no share is above all"]),
        ("[{metric: Invocation5XXErrors, above: 1%, stat: p99}]",
         ["line 3: 'stat' has no place beside a percentage / remove it"]),
        ("[{metric: ModelLatency, above: 200}]",
         ["line 3: above must be a duration such as 200ms for ModelLatency, not 200"]),
        ("[{metric: ModelLatency, above: 1s, stat: p101}]",
         ["line 3: stat cannot be 'p101' / write Average, Sum, Minimum, Maximum, SampleCount, or p99"]),
        ("[{metric: ModelLatency, above: 1s, stat: average}]",
         ["line 3: stat cannot be 'average' / did you mean 'Average'?"]),
        ("[{metric: ModelLatency, above: 1s, for: 90s}]",
         ["line 3: for must be whole minutes, or 10s, 20s or 30s, not '90s'"]),
        ("[{metric: ModelLatency, above: 1s, for: 25h}]", ["line 3: for must be at most 24h, not '25h'"]),
        ("[{metric: ModelLatency, above: 1s, for: ever}]",
         ["line 3: for must be a duration such as 1m, not 'ever'"]),
        ("[{metric: ModelLatency, above: 1s, variant: C}]", ["line 3: variant cannot be 'C' / write A or B"]),
        ("[{metric: ModelLatency, above: }]",
         ["line 3: above has no value / give it one, or remove the key"]),
        ("[$nope]", ["line 3: $nope is not defined / run the cell that defines it first"]),
        ("[{metric: ModelLatency, above: $nope}]",
         ["line 3: $nope is not defined / run the cell that defines it first"]),
    ],
)  # fmt: skip
def test_alarms_that_are_refused(text, expected):
    assert complaints(text) == expected


def test_a_deployment_takes_ten_alarms_each_variant_counted():
    five = ", ".join(f"{{metric: Invocation5XXErrors, above: {n}}}" for n in range(5))
    assert len(parse(f"{V}rollback_on: [{five}]").alarms) == 5
    assert complaints(f"[{five}, more]") == [
        "line 3: 11 alarms, one for each of the 2 variants; a deployment takes at most 10 / name a 'variant' in some"
    ]
    names = ", ".join(f"a{n}" for n in range(11))
    assert complaints(f"[{names}]") == ["line 3: rollback_on takes at most 10 entries, not 11"]


@pytest.mark.parametrize("deploy", ["", "deploy: all-at-once\n"])
def test_alarms_that_nothing_waits_for_are_refused(deploy):
    (found,) = complaints("[a]", f"variants: {{A: $xgb}}\n{deploy}")
    assert "watches nothing when all traffic moves at once" in found


@pytest.mark.parametrize("deploy", ["{rolling: 50%}", "{canary: 10%, wait: 1m}", "{all-at-once: true, bake: 1m}"])
def test_an_alarm_that_cannot_go_off_in_time_is_refused(deploy):
    (found,) = complaints("[{metric: ModelLatency, above: 1s, for: 2m}]", f"variants: {{A: $xgb}}\ndeploy: {deploy}\n")
    assert found.startswith("line 3: an alarm that must be above for 2m cannot go off: the new fleet is watched for ")
    assert found.endswith(" in all / make 'for' shorter, or 'wait' or 'bake' longer: 4m is safe")


def test_alarms_are_named_in_one_place():
    both = "auto_rollback_configuration: {alarms: [{alarm_name: a}]}"
    cell = f"variants: {{A: $xgb}}\ndeploy: {{canary: 10%, wait: 5m, {both}}}\n"
    assert complaints("[b]", cell) == [
        "line 3: 'rollback_on' and 'auto_rollback_configuration' are the same / keep one of the two"
    ]


ERRORS = st.builds(
    lambda metric, limit, seconds, variant: AlarmSpec(metric, *limit, seconds, variant),
    st.sampled_from(["Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors"]),
    st.integers(0, 9999).map(lambda n: ("Average", round(n / 10_000, 9)))
    | st.tuples(st.sampled_from(["Sum", "Maximum", "p90"]), st.integers(0, 10**6).map(float)),
    st.sampled_from([10, 30]) | st.integers(1, 30).map(lambda n: 60 * n),
    st.sampled_from([None, "A", "B"]),
)
LATENCIES = st.builds(
    AlarmSpec,
    st.sampled_from(["ModelLatency", "OverheadLatency"]),
    st.sampled_from(["Average", "p99", "Sum"]),
    st.integers(1, 10**8).map(float),
    st.integers(1, 30).map(lambda n: 60 * n),
)


@given(st.lists(ERRORS | LATENCIES, max_size=4, unique=True), st.lists(st.sampled_from("xyz"), max_size=2, unique=True))
@settings(deadline=None)
def test_what_is_written_reads_as_the_same(alarms, names):
    base = parse(V)
    config = dict(base.deployment["DeploymentConfig"])
    if names:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": each} for each in names]}
    spec = EndpointSpec(base.name, base.variants, (), {}, {"DeploymentConfig": config}, {}, None, alarms=tuple(alarms))
    assert parse(to_yaml(spec)) == spec

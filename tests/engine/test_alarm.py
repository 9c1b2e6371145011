from __future__ import annotations

import json

import pytest

from sm_magics.local.alarm import Alarm, evaluate

NOW = 1_700_049_630.0  # 2023-11-15 12:00:30


def alarm(wanted=3, needed=None, treatment=None, state="INSUFFICIENT_DATA", **changed):
    request = {
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": wanted,
        "Threshold": 0.5,
        "ComparisonOperator": "GreaterThanThreshold",
        **({"DatapointsToAlarm": needed} if needed else {}),
        **({"TreatMissingData": treatment} if treatment else {}),
        **changed,
    }
    return Alarm("high", "arn:a", 1.0, request, state=state)


def points(text):
    """Return the points of a row of the user guide: 0 is fine, X is breaching, - is missing."""
    values = [{"0": 0.0, "X": 1.0, "-": None}[each] for each in text.split()]
    start = NOW - 30 - 60 * len(values)
    return [(start + 60 * place, value) for place, value in enumerate(values)]


# The tables of the CloudWatch user guide: missing, ignore (None: the state is kept), breaching, notBreaching.
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
THREE_OF_THREE = {
    "0 - X - X": ("OK", "OK", "OK", "OK"),
    "- - - - 0": ("OK", "OK", "OK", "OK"),
    "- - - - -": ("INSUFFICIENT_DATA", None, "ALARM", "OK"),
    "0 X X - X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "- - X - -": ("ALARM", None, "ALARM", "OK"),
}
TWO_OF_THREE = {
    "0 - X - X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "0 0 X 0 X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "0 - X - -": ("OK", "OK", "ALARM", "OK"),
    "- - - - 0": ("OK", "OK", "ALARM", "OK"),
    "- - - X -": ("ALARM", None, "ALARM", "OK"),
}


@pytest.mark.parametrize("state", ["OK", "ALARM", "INSUFFICIENT_DATA"])
@pytest.mark.parametrize(
    ("needed", "row", "treatment", "expected"),
    [
        (needed, row, treatment, each)
        for needed, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
        for row, expected in table.items()
        for treatment, each in zip(TREATMENTS, expected, strict=True)
    ],
)
def test_missing_data_is_treated_as_in_the_user_guide(needed, row, treatment, expected, state):
    told = evaluate(alarm(3, needed, treatment, state), points(row), NOW)
    assert told.state == (expected or state)


def test_one_breaching_point_that_is_too_young_changes_nothing():
    assert evaluate(alarm(3, treatment="missing", state="OK"), points("- - - - X"), NOW).state == "OK"


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("GreaterThanThreshold", ["OK", "OK", "ALARM"]),
        ("GreaterThanOrEqualToThreshold", ["OK", "ALARM", "ALARM"]),
        ("LessThanThreshold", ["ALARM", "OK", "OK"]),
        ("LessThanOrEqualToThreshold", ["ALARM", "ALARM", "OK"]),
    ],
)
def test_values_are_compared_as_the_operator_says(operator, expected):
    watched = alarm(1, ComparisonOperator=operator, Threshold=5)
    assert [evaluate(watched, [(NOW, value)], NOW).state for value in (4.0, 5.0, 6.0)] == expected


def test_the_reason_tells_the_values_and_the_threshold():
    reasons = [
        evaluate(alarm(1), points("- - X"), NOW).reason,
        evaluate(alarm(3, 2), points("0 0 X 0 X"), NOW).reason,
        evaluate(alarm(1), points("- - 0"), NOW).reason,
        evaluate(alarm(2, treatment="breaching"), points("- - - -"), NOW).reason,
        evaluate(alarm(2), points("- - - -"), NOW).reason,
    ]
    one, two, fine, treated, unknown = reasons
    crossed = "Threshold Crossed:"
    assert one == (
        f"{crossed} 1 out of the last 1 datapoint [1.0 (15/11/23 11:59:00)] was greater than the threshold (0.5) "
        "(minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert two == (
        f"{crossed} 2 out of the last 3 datapoints [1.0 (15/11/23 11:57:00), 1.0 (15/11/23 11:59:00)] were greater "
        "than the threshold (0.5) (minimum 2 datapoints for OK -> ALARM transition)."
    )
    assert fine == f"{crossed} 1 datapoint [0.0 (15/11/23 11:59:00)] was not greater than the threshold (0.5)."
    assert treated == (
        f"{crossed} no datapoints were received for 2 periods and 2 missing datapoints were treated as [Breaching]."
    )
    assert unknown == "Insufficient Data: 2 datapoints were unknown."


def test_the_reason_is_there_for_machines_too():
    data = json.loads(evaluate(alarm(1), points("- 0 X"), NOW).reason_data)
    assert data == {
        "version": "1.0",
        "queryDate": "2023-11-15T12:00:30.000+0000",
        "startDate": "2023-11-15T11:57:00.000+0000",
        "statistic": "Sum",
        "period": 60,
        "recentDatapoints": [0.0, 1.0],
        "threshold": 0.5,
    }


def test_when_a_state_began_is_kept_while_it_lasts():
    turned = alarm().turn("ALARM", "first", 5.0).turn("ALARM", "again", 9.0)
    assert (turned.transitioned, turned.updated, turned.reason) == (5.0, 9.0, "again")


@pytest.mark.parametrize(("period", "step"), [(10, 10), (60, 60), (300, 60)])
def test_an_alarm_is_evaluated_every_period_and_at_least_every_minute(period, step):
    assert alarm(Period=period).step == step
    measured = {"Id": "m1", "MetricStat": {"Period": period}}
    expression = {"Id": "e1", "Expression": "m1*2"}
    assert alarm(Metrics=[expression, measured]).step == step


def test_json_and_back_is_the_same():
    made = alarm().turn("ALARM", "why", 2.0, "{}")
    assert Alarm.from_json(json.loads(json.dumps(made.to_json()))) == made

from __future__ import annotations

import pytest

from sm_magics.explain import MOST_READ, MOST_SHOWN, TAIL_LINES, LogTail, failing_variant, log_tail, rung
from sm_magics.watch import described

GROUP = "/aws/sagemaker/Endpoints/boston"


@pytest.mark.parametrize(
    ("reason", "variant"),
    [
        ("The primary container for production variant XGB-Model did not pass the ping health check.", "XGB-Model"),
        ("included in the model for the production variant A exist, and that", "A"),
        ("Please ensure the model container for variant B2 starts correctly when invoked", "B2"),
        ("Unable to provision requested ML compute capacity. Please retry using a different instance type.", None),
        ("did not start: production variant A", "A"),
        ("", None),
    ],
)
def test_the_variant_is_the_one_that_the_reason_names(reason, variant):
    assert failing_variant(reason) == variant


def streams(*named):
    return [{"logStreams": [{"logStreamName": name, **times} for name, times in named]}]


def events(*lines):
    return [{"events": [{"message": line} for line in lines]}]


def test_the_tail_is_that_of_the_instance_that_was_started_last_whoever_was_written_last(fake_connection):
    connection = fake_connection(
        describe_log_streams=streams(
            ("A/i-1", {"firstEventTimestamp": 1, "lastEventTimestamp": 9}),
            ("A/i-2", {"firstEventTimestamp": 3, "lastEventTimestamp": 4}),
            ("A/i-3", {"creationTime": 2}),
        ),
        get_log_events=events("one\n", "two\n"),
    )
    assert log_tail(connection, "boston", "A") == LogTail(f"{GROUP}/A/i-2", ("one", "two"))
    (_, asked), (_, read) = connection.session.calls
    assert asked == {"logGroupName": GROUP, "logStreamNamePrefix": "A/"}
    assert read == {"logGroupName": GROUP, "logStreamName": "A/i-2", "limit": MOST_READ}


def told(connect, *lines):
    return log_tail(connect(describe_log_streams=streams(("A/i-1", {})), get_log_events=events(*lines)), "b", "A").lines


def test_lines_that_are_alike_but_for_the_time_are_one_with_their_number(fake_connection):
    wide = [f"400: [12:00:{n:02d}] src/learner.cc:9: 11 vs. 12" for n in range(12)]
    dated = ["2026-01-02 03:04:05,678 WARN slow", "2026-01-02T03:04:06.1 WARN slow"]
    assert told(fake_connection, "loaded", *wide, "row 1", "row 2", *dated, "row 2") == (
        "loaded",
        "400: [12:00:11] src/learner.cc:9: 11 vs. 12 (12 times)",
        "row 1",
        "row 2",
        "2026-01-02T03:04:06.1 WARN slow (2 times)",
        "row 2",
    )


def test_the_last_lines_are_counted_once_what_is_alike_is_one(fake_connection):
    lines = [str(n) for n in range(TAIL_LINES + 1) for _ in range(3)]
    assert told(fake_connection, *lines) == tuple(f"{n} (3 times)" for n in range(1, TAIL_LINES + 1))


def test_of_more_than_is_read_it_says_so(fake_connection):
    assert told(fake_connection, *["x"] * MOST_READ) == (f"x ({MOST_READ} times or more)",)
    assert told(fake_connection, "y", *["x"] * (MOST_READ - 1)) == ("y", f"x ({MOST_READ - 1} times)")


def test_a_long_line_is_cut_and_its_number_is_not(fake_connection):
    (line,) = told(fake_connection, *["x" * 999] * 2)
    assert line == "x" * (MOST_SHOWN - 1) + "… (2 times)"


def test_the_tail_has_nothing_that_a_terminal_obeys(fake_connection):
    connection = fake_connection(
        describe_log_streams=streams(("A/i-1", {})), get_log_events=events("\x1b[31mred\x1b[0m\x1b[2J\x07")
    )
    assert log_tail(connection, "boston", "A").lines == ("red",)


def test_without_a_variant_any_stream_will_do(fake_connection):
    connection = fake_connection(describe_log_streams=streams(("A/i-1", {})), get_log_events=events("one"))
    assert log_tail(connection, "boston", None).lines == ("one",)
    assert connection.session.calls[0][1] == {"logGroupName": GROUP}


def test_no_stream_and_an_empty_one_are_no_tail(fake_connection):
    assert log_tail(fake_connection(describe_log_streams=streams()), "boston", "A") is None
    empty = fake_connection(describe_log_streams=streams(("A/i-1", {})), get_log_events=events())
    assert log_tail(empty, "boston", "A") is None


def test_a_log_that_may_not_be_read_is_no_reason_to_fail(fake_connection, refusal):
    connection = fake_connection(describe_log_streams=[refusal("not yours", "AccessDeniedException")])
    assert log_tail(connection, "boston", "A") is None


def alarm(name, state="OK"):
    return {"AlarmName": name, "StateValue": state, "StateReason": f"why {name}"}


def test_alarms_are_described_whichever_kind_they_are(fake_connection):
    connection = fake_connection(
        describe_alarms=[{"MetricAlarms": [alarm("a")], "CompositeAlarms": [alarm("b", "ALARM")]}]
    )
    assert [each["AlarmName"] for each in described(connection, ["a", "b", "gone"])] == ["a", "b"]
    assert connection.session.calls == [
        ("describe_alarms", {"AlarmNames": ["a", "b", "gone"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]})
    ]


def test_the_alarms_that_went_off_are_in_alarm_or_named_by_the_reason(fake_connection):
    connection = fake_connection(describe_alarms=[{"MetricAlarms": [alarm("a", "ALARM"), alarm("b"), alarm("c")]}])
    assert rung(connection, ["a", "b", "c"], "alarms [c] went into ALARM") == [("a", "why a"), ("c", "why c")]
    assert rung(connection, [], "") == []


def test_a_latency_is_told_with_the_unit_that_cloudwatch_does_not_say(fake_connection):
    slow = {**alarm("a", "ALARM"), "MetricName": "ModelLatency"}
    assert rung(fake_connection(describe_alarms=[{"MetricAlarms": [slow]}]), ["a"], "") == [
        ("a", "why a (in microseconds)")
    ]


def test_alarms_that_may_not_be_looked_at_are_told_as_far_as_the_reason_names_them(fake_connection, refusal):
    connection = fake_connection(describe_alarms=[refusal("no", "AccessDenied", 403)])
    assert rung(connection, ["a", "b"], "alarms [b] went into ALARM") == [("b", "")]

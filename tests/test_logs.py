"""The log of an endpoint: as moto plays CloudWatch Logs, as the engine does, and by a script for what neither does."""

from __future__ import annotations

import itertools
import time

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from sm_magics.clock import Clock
from sm_magics.connection import Connection
from sm_magics.errors import ServiceError
from sm_magics.logs import LOOK_BACK, MOST_STREAMS, PAUSE, Entry, Log

GROUP = "/aws/sagemaker/Endpoints/boston"
NOW = int(time.time() * 1000)  # moto takes no events of long ago


@pytest.fixture
def aws(monkeypatch):
    """Return a connection to AWS as moto plays it, and a function that prints lines there."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    with mock_aws():
        session = boto3.Session(region_name="us-east-1")
        connection = Connection(session, "123456789012", "us-east-1", "role", None, "AWS")
        logs = connection.client("logs")
        logs.create_log_group(logGroupName=GROUP)

        def write(stream, *lines):
            if not logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=stream)["logStreams"]:
                logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
            events = [{"timestamp": NOW + at, "message": text} for at, text in lines]
            logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)

        yield connection, write


def texts(entries):
    return [each.text for each in entries]


class TestTail:
    def test_streams_of_all_instances_are_merged_by_time(self, aws):
        connection, write = aws
        write("A/i-1", (1, "one"), (4, "four\n"))
        write("B/i-2", (2, "two"), (3, "three"))
        assert Log(connection, "boston").tail(50) == (
            Entry("A", "i-1", "one", NOW + 1),
            Entry("B", "i-2", "two", NOW + 2),
            Entry("B", "i-2", "three", NOW + 3),
            Entry("A", "i-1", "four", NOW + 4),
        )

    def test_the_last_lines_are_those_of_all_together(self, aws):
        connection, write = aws
        write("A/i-1", *((n, f"A{n}") for n in range(9)))
        write("B/i-2", (7, "B7"))
        assert texts(Log(connection, "boston").tail(3)) == ["A7", "B7", "A8"]

    def test_a_variant_s_lines_are_its_own(self, aws):
        connection, write = aws
        write("A/i-1", (1, "one"))
        write("AB/i-2", (2, "two"))
        assert texts(Log(connection, "boston", "A").tail(50)) == ["one"]
        assert texts(Log(connection, "boston", "B").tail(50)) == []

    def test_where_nothing_was_printed_there_is_nothing(self, aws):
        connection, _ = aws
        assert Log(connection, "boston").tail(50) == ()
        assert Log(connection, "elsewhere").tail(50) == ()

    def test_pages_that_are_empty_are_gone_through_until_the_token_repeats(self, fake_connection):
        pages = [
            {"events": [{"message": "three", "timestamp": 3}], "nextBackwardToken": "b/2"},
            {"events": [], "nextBackwardToken": "b/1"},
            {"events": [{"message": "one", "timestamp": 1}], "nextBackwardToken": "b/0"},
            {"events": [], "nextBackwardToken": "b/0"},
        ]
        connection = fake_connection(get_log_events=pages)
        assert texts(Log(connection, "boston").last("A/i-1", 50)) == ["one", "three"]
        assert [request.get("nextToken") for _, request in connection.session.calls] == [None, "b/2", "b/1", "b/0"]

    def test_health_checks_that_were_answered_are_left_out_and_as_many_other_lines_looked_for(self, fake_connection):
        ping = '127.0.0.1 - - [25/Nov/2026 17:31:00] "GET /ping HTTP/1.1" {} -'
        pages = [
            {"events": [{"message": ping.format(200)}] * 2, "nextBackwardToken": "b/1"},
            {"events": [{"message": "one"}, {"message": ping.format(404)}], "nextBackwardToken": "b/0"},
            {"events": [], "nextBackwardToken": "b/0"},
        ]
        for shown, told in ((False, ["one", ping.format(404)]), (True, [ping.format(200)] * 2)):
            connection = fake_connection(get_log_events=list(pages))
            assert texts(Log(connection, "boston", pings=shown).last("A/i-1", 2)) == told

    @pytest.mark.parametrize(
        "line", ['1.2.3.4 - "GET /ping HTTP/1.1" 200 OK', '- "GET /ping HTTP/1.1" 200 0 "-" "AHC/2.0"', "GET /ping 204"]
    )
    def test_servers_log_them_in_ways_of_their_own(self, fake_connection, line):
        connection = fake_connection(get_log_events=[{"events": [{"message": line}]}])
        assert Log(connection, "boston", pings=False).last("A/i-1", 2) == []

    def test_all_pages_of_streams_are_read_and_the_newest_come_first(self, fake_connection):
        pages = [
            {"logStreams": [{"logStreamName": "A/i-1", "lastEventTimestamp": 1}], "nextToken": "t"},
            {"logStreams": [{"logStreamName": "A/i-2", "creationTime": 2}]},
        ]
        assert Log(fake_connection(describe_log_streams=pages), "boston").streams() == ["A/i-2", "A/i-1"]

    def test_of_very_many_streams_the_newest_are_read(self, fake_connection):
        rows = [{"logStreamName": f"A/i-{n}", "lastEventTimestamp": n} for n in range(MOST_STREAMS + 9)]
        connection = fake_connection(describe_log_streams=[{"logStreams": rows}], get_log_events=[{"events": []}])
        assert Log(connection, "boston").tail(5) == ()
        read = [request["logStreamName"] for operation, request in connection.session.calls if "get" in operation]
        assert read == [f"A/i-{n}" for n in range(MOST_STREAMS + 8, 8, -1)]

    def test_a_log_that_may_not_be_read_is_an_error_that_says_so(self, fake_connection, refusal):
        told = "User: arn:aws:iam::123456789012:user/u is not authorized to perform: logs:DescribeLogStreams"
        connection = fake_connection(describe_log_streams=[refusal(told, "AccessDeniedException")])
        with pytest.raises(ServiceError, match="lack a permission that the message names") as raised:
            Log(connection, "boston").tail(5)
        assert raised.value.code == "AccessDeniedException"


class TestFollow:
    def test_what_is_printed_meanwhile_comes_as_new(self, aws, fake_clock):
        connection, write = aws
        write("A/i-1", (1, "one"), (2, "two"))
        looks = Log(connection, "boston").follow(1, fake_clock, 10.0)
        assert texts(next(looks).new) == ["two"]
        assert next(looks).new == ()
        write("A/i-1", (3, "three"))
        write("B/i-9", (1, "late, of another instance"))
        look = next(looks)
        assert texts(look.new) == ["late, of another instance", "three"]
        assert texts(look.entries) == ["two", "late, of another instance", "three"]

    def test_the_same_line_twice_is_two_lines(self, aws, fake_clock):
        connection, write = aws
        write("A/i-1", (1, "beat"))
        looks = Log(connection, "boston").follow(9, fake_clock, 10.0)
        assert texts(next(looks).new) == ["beat"]
        write("A/i-1", (1, "beat"))
        assert texts(next(looks).new) == ["beat"]
        assert next(looks).new == ()

    def test_it_ends_when_the_time_is_over(self, aws, fake_clock):
        connection, _ = aws
        assert len(list(Log(connection, "boston").follow(9, fake_clock, 2.5))) == 4
        assert fake_clock.slept == [PAUSE, PAUSE, 0.5]

    def test_it_may_begin_before_there_is_a_log(self, fake_connection, refusal, fake_clock):
        missing = refusal("The specified log group does not exist.", "ResourceNotFoundException")
        event = {"logStreamName": "A/i-1", "message": "one", "timestamp": 1}
        connection = fake_connection(
            describe_log_streams=[missing],
            filter_log_events=[missing, {"events": [event], "nextToken": "t"}, {"events": []}],
        )
        looks = Log(connection, "boston", "A").follow(9, fake_clock, 2.0)
        assert [texts(each.new) for each in looks] == [[], [], ["one"]]
        assert connection.session.calls[-1][1] == {
            "logGroupName": GROUP,
            "startTime": 0,
            "logStreamNamePrefix": "A/",
            "nextToken": "t",
        }

    def test_a_permission_that_is_taken_away_is_an_error(self, fake_connection, refusal, fake_clock):
        connection = fake_connection(
            describe_log_streams=[{"logStreams": []}], filter_log_events=[refusal("no", "AccessDeniedException")]
        )
        with pytest.raises(ServiceError, match="FilterLogEvents: no"):
            list(Log(connection, "boston").follow(9, fake_clock, 2.0))


class FakeLogs:
    """CloudWatch Logs with lines that arrive whenever a test says, some late."""

    def __init__(self):
        self.lines = []

    def client(self, _service, **_options):
        return self

    def describe_log_streams(self, **_):
        return {"logStreams": [{"logStreamName": name} for name in sorted({stream for stream, _, _ in self.lines})]}

    def get_log_events(self, logGroupName, logStreamName, limit):  # noqa: ARG002, N803 - boto3's names
        return {"events": [event for event in self._events() if event["logStreamName"] == logStreamName][-limit:]}

    def filter_log_events(self, logGroupName, startTime):  # noqa: ARG002, N803
        return {"events": [event for event in self._events() if event["timestamp"] >= startTime]}

    def _events(self):
        ordered = sorted(self.lines, key=lambda line: line[1])
        return [{"logStreamName": stream, "timestamp": at, "message": text} for stream, at, text in ordered]


LINES = st.lists(st.tuples(st.sampled_from(["A/i", "B/j"]), st.integers(0, LOOK_BACK - 1), st.sampled_from("xyz")))


@given(LINES, st.lists(LINES, max_size=5))
def test_following_tells_every_line_once_however_late_and_alike_they_are(before, arriving):
    service = FakeLogs()
    service.lines = [(stream, at, text) for stream, at, text in before]
    times = itertools.count()
    connection = Connection(service, "1", "r", "role", None, "fake")
    told = []
    looks = Log(connection, "boston").follow(500, Clock(lambda: float(next(times)), lambda _: None), 1000.0)
    told += next(looks).new
    for lines in arriving:
        service.lines += lines
        told += next(looks).new
    assert sorted((f"{each.variant}/{each.instance}", each.time, each.text) for each in told) == sorted(service.lines)


def test_the_engine_s_log_is_read_by_the_same_calls(connection, served):
    log = Log(connection, served, "XGB-Model")
    assert "INFO the model is loaded" in texts(log.tail(50))
    assert {each.variant for each in Log(connection, served).tail(50)} == {"Linear-Model", "XGB-Model"}
    assert [len(log.tail(1))] == [1]
    assert Log(connection, "nowhere").tail(50) == ()

from __future__ import annotations

import asyncio

import pytest

from sm_magics.local.lifecycle import Refused
from sm_magics.local.logs import GROUP_PREFIX, Logs

GROUP = GROUP_PREFIX + "boston"


@pytest.fixture
def logs(tmp_path):
    """Return the logs of one endpoint, of which a stream has the lines 0 to 9."""
    made = Logs(tmp_path, lambda name: f"arn:{name}", lambda: 1.0)
    made.stream("boston", "A", "i-1").write("\n".join(map(str, range(10))))
    return made


def read(logs, **request):
    answer = asyncio.run(logs.get_events({"logGroupName": GROUP, "logStreamName": "A/i-1", **request}))
    return "".join(event["message"] for event in answer["events"]), answer


def test_going_backward_gives_every_line_once_and_then_the_same_token_again(logs):
    told, token = [], {}
    while True:
        text, answer = read(logs, limit=4, **token)
        if answer["nextBackwardToken"] == token.get("nextToken"):
            break
        told.append(text)
        token = {"nextToken": answer["nextBackwardToken"]}
    assert told == ["6789", "2345", "01"]
    assert text == ""


def test_going_forward_gives_every_line_once_and_then_what_is_new(logs):
    text, answer = read(logs, limit=6, startFromHead=True)
    assert text == "012345"
    text, answer = read(logs, limit=6, nextToken=answer["nextForwardToken"])
    assert text == "6789"
    logs.stream("boston", "A", "i-1").write("x")
    assert read(logs, limit=6, nextToken=answer["nextForwardToken"])[0] == "x"


def test_streams_come_in_pages(logs):
    for number in range(2, 6):
        logs.stream("boston", "A", f"i-{number}")
    names, token = [], {}
    while True:
        answer = asyncio.run(logs.describe_streams({"logGroupName": GROUP, "limit": 2, **token}))
        names.append([row["logStreamName"] for row in answer["logStreams"]])
        if answer["nextToken"] is None:
            break
        token = {"nextToken": answer["nextToken"]}
    assert names == [["A/i-1", "A/i-2"], ["A/i-3", "A/i-4"], ["A/i-5"]]


@pytest.mark.parametrize("token", ["b/x", "f/-1", "nonsense"])
def test_a_token_that_is_none_is_refused(logs, token):
    with pytest.raises(Refused, match="nextToken is invalid"):
        read(logs, nextToken=token)


def test_a_disk_that_takes_nothing_costs_lines_and_nothing_else(tmp_path, caplog):
    (tmp_path / "boston").write_text("a file where the directory should be")
    stream = Logs(tmp_path, str, lambda: 1.0).stream("boston", "A", "i-1")
    stream.write("1")
    stream.write("2")
    assert caplog.text.count("cannot be written") == 1
    (tmp_path / "boston").unlink()
    stream.write("3")
    assert (tmp_path / "boston" / "A" / "i-1").read_text() == "1000\t3\n"

from __future__ import annotations

import asyncio
import os

import pytest

from sm_magics.local import logs as module
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


def test_a_stream_began_with_its_first_line_whenever_it_was_written_last(tmp_path):
    now = iter([1.0, 2.0, 3.0])
    logs = Logs(tmp_path, str, lambda: next(now))
    for instance in ("i-1", "i-2", "i-1"):
        logs.stream("boston", "A", instance).write("x")
    rows = asyncio.run(logs.describe_streams({"logGroupName": GROUP}))["logStreams"]
    assert {row["logStreamName"]: row["firstEventTimestamp"] for row in rows} == {"A/i-1": 1000, "A/i-2": 2000}


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


DAY = 24 * 3600


def printed(logs, path, text="1", day=0):
    """Make a log that was last written on a day."""
    file = logs._directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    for each in (file, file.parent, file.parent.parent):
        os.utime(each, (day * DAY, day * DAY))


def groups(logs):
    return [
        each["logGroupName"].removeprefix(GROUP_PREFIX) for each in asyncio.run(logs.describe_groups({}))["logGroups"]
    ]


def test_the_logs_of_endpoints_that_are_gone_are_kept_for_a_week(tmp_path):
    logs = Logs(tmp_path, str, lambda: 10.0 * DAY)
    for name, day in (("here", 1), ("long-gone", 2), ("gone", 4)):
        printed(logs, f"{name}/A/i-1", day=day)
    asyncio.run(logs.tidy({"here"}))
    assert groups(logs) == ["gone", "here"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["gone", "here"]


def test_of_those_that_are_gone_the_oldest_go_first_when_they_take_too_much_room(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT_BYTES", 150_000)
    logs = Logs(tmp_path, str, lambda: 1.0 * DAY)
    for day in range(4):
        printed(logs, f"gone{day}/A/i-1", "x" * 60_000, day)
    printed(logs, "here/A/i-1", "x" * 1_000_000, 0)
    asyncio.run(logs.tidy({"here"}))
    assert groups(logs) == ["gone2", "gone3", "here"]


def test_an_endpoint_keeps_the_newest_of_its_streams_and_every_one_that_is_printed_into(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT_STREAMS", 2)

    async def run():
        logs = Logs(tmp_path, str, lambda: 10.0 * DAY)
        for number in range(5):
            printed(logs, f"boston/A/i-{number}", day=number)
        pipe = logs.stream("boston", "A", "i-0").open_pipe()
        os.utime(tmp_path / "boston/A/i-0", (0, 0))
        await logs.tidy({"boston"})
        kept = sorted(each.name for each in (tmp_path / "boston/A").iterdir())
        os.write(pipe, b"more\n")
        os.close(pipe)
        await asyncio.sleep(0.01)
        await logs.tidy(set())  # it is gone, and its last line was printed today
        return kept, (tmp_path / "boston/A/i-0").read_text()

    kept, text = asyncio.run(run())
    assert kept == ["i-0", "i-3", "i-4"]
    assert text == "1864000000\tmore\n"


def test_what_was_being_removed_when_the_engine_was_killed_is_no_group_and_is_removed(tmp_path):
    logs = Logs(tmp_path, str, lambda: 1.0)
    printed(logs, ".gone/A/i-1")
    assert groups(logs) == []
    asyncio.run(logs.tidy(set()))
    assert list(tmp_path.iterdir()) == []

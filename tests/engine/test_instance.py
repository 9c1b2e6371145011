from __future__ import annotations

import asyncio
import mmap
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local import instance as module
from sm_magics.local.instance import Answer, BegunCount, Instance


class Transport:
    def __init__(self):
        self.written, self.closed = [], False

    def write(self, data):
        self.written.append(data)

    def writelines(self, data):
        self.written += data

    def close(self):
        self.closed = True


class Waiter:
    over = False

    def __init__(self):
        self.answer = self.started = None

    def answered(self, answer):
        assert self.answer is None
        assert self.started is None
        self.answer = answer

    def lost(self, *, started):
        assert self.answer is None
        assert self.started is None
        self.started = started


def connected():
    ended = []
    instance = Instance("i-1", "A", ended.append)
    instance.connection_made(Transport())
    return instance, ended


def run(test):
    async def main():
        return test()

    return asyncio.run(main())


def said(status, body, content_type="text/csv", custom=None):
    extra = f"X-Amzn-SageMaker-Custom-Attributes: {custom}\r\n" if custom else ""
    head = f"HTTP/1.1 {status} OK\r\nContent-Type: {content_type}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


ANSWERS = st.lists(
    st.tuples(st.integers(200, 599), st.binary(max_size=40), st.sampled_from([None, "a=1"])), min_size=1, max_size=5
).filter(lambda answers: all(status not in {204, 304} for status, _, _ in answers))


@given(ANSWERS, st.lists(st.integers(0, 900), max_size=8))
def test_everyone_gets_the_answer_to_their_own_request_however_the_bytes_are_cut(answers, cuts):
    def test():
        instance, _ = connected()
        waiters = [Waiter() for _ in answers]
        for number, each in enumerate(waiters):
            instance.send(b"%d" % number, each)
        assert instance.outstanding == len(answers)
        data = b"".join(said(status, body, custom=custom) for status, body, custom in answers)
        for start, end in pairwise(sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})):
            instance.data_received(data[start:end])
        assert instance.outstanding == 0
        return [each.answer for each in waiters]

    assert run(test) == [Answer(s, b"text/csv", None if c is None else c.encode(), b) for s, b, c in answers]


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6))
def test_of_those_that_are_lost_the_worker_says_which_it_had_begun_with(sent, answered, begun):
    answered = min(sent, answered)
    begun = max(answered, min(sent, begun))

    def test():
        instance, ended = connected()
        waiters = [Waiter() for _ in range(sent)]
        for each in waiters:
            instance.send(b"", each)
        instance.data_received(said(200, b"") * answered)
        instance.begun._memory[:8] = begun.to_bytes(8, "little")
        instance.connection_lost(None)
        assert ended == [instance]
        return [each.started for each in waiters]

    assert run(test) == [None] * answered + [True] * (begun - answered) + [False] * (sent - begun)


@given(st.binary(max_size=60))
def test_an_instance_that_no_longer_speaks_http_is_closed_and_nothing_else_happens(data):
    def test():
        instance, _ = connected()
        waiter = Waiter()
        instance.send(b"", waiter)
        instance.data_received(data + b"\0\r\n\r\n")
        closed = instance._transport.closed
        instance.connection_lost(None)
        return closed or waiter.answer is not None or waiter.started is not None

    assert run(test)


@pytest.mark.parametrize(
    "data",
    [
        said(200, b"nobody asked"),
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nanything",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\naa",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_an_answer_that_nobody_waits_for_or_that_is_none_ends_the_connection(data):
    def test():
        instance, _ = connected()
        instance.data_received(data)
        return instance._transport.closed

    assert run(test)


def test_a_request_to_an_instance_that_has_ended_was_not_started():
    def test():
        instance, _ = connected()
        instance.connection_lost(None)
        waiter = Waiter()
        instance.send(b"", waiter)
        return waiter.started, instance.ready

    assert run(test) == (False, False)


def test_what_comes_in_one_turn_of_the_loop_goes_out_at_once_and_in_order():
    async def main():
        instance, _ = connected()
        for number in range(3):
            instance.send(b"%d" % number, Waiter())
        assert instance._transport.written == []
        await asyncio.sleep(0)
        instance.send(b"3", Waiter())
        await asyncio.sleep(0)
        return instance._transport.written

    assert asyncio.run(main()) == [b"0", b"1", b"2", b"3"]


def test_a_batch_that_is_full_goes_out_while_the_router_still_reads():
    async def main():
        instance, _ = connected()
        numbers = [b"%d" % number for number in range(2 * module.ENOUGH + 1)]
        for each in numbers[:-1]:
            instance.send(each, Waiter())
        at_once = [*instance._transport.written]
        instance.send(numbers[-1], Waiter())
        await asyncio.sleep(0)
        return at_once == numbers[:-1], instance._transport.written == numbers

    assert asyncio.run(main()) == (True, True)


def test_what_was_not_sent_when_an_instance_ends_was_not_started():
    async def main():
        instance, _ = connected()
        waiter = Waiter()
        instance.send(b"", waiter)
        instance.connection_lost(None)
        await asyncio.sleep(0)
        return waiter.started

    assert asyncio.run(main()) is False


def test_a_health_check_is_an_answer_or_none_when_the_instance_ends():
    async def main():
        healthy, _ = connected()
        ping = asyncio.ensure_future(healthy.ping())
        await asyncio.sleep(0)
        healthy.data_received(said(200, b""))
        dying, _ = connected()
        none = asyncio.ensure_future(dying.ping())
        await asyncio.sleep(0)
        dying.connection_lost(None)
        return (await ping).status, await none

    assert asyncio.run(main()) == (200, None)


def test_it_is_drained_when_all_is_answered():
    async def main():
        instance, _ = connected()
        await instance.drained()
        instance.send(b"", Waiter())
        instance.send(b"", Waiter())
        drained = asyncio.ensure_future(instance.drained())
        instance.data_received(said(200, b""))
        await asyncio.sleep(0)
        assert not drained.done()
        instance.data_received(said(200, b""))
        await asyncio.wait_for(drained, 5)

    asyncio.run(main())


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_who_has_the_descriptor_writes_what_the_engine_reads(monkeypatch, platform):
    monkeypatch.setattr(module.sys, "platform", platform)
    begun = BegunCount()
    assert begun.value == 0
    other = os.dup(begun.descriptor)  # as it arrives in a worker
    with mmap.mmap(other, 0) as memory:
        memory[:8] = (7).to_bytes(8, "little")
        assert begun.value == 7
        begun.close()
        begun.close()
        memory[:8] = bytes(8)  # a worker may outlive it
    os.close(other)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(begun.descriptor)


def test_counting_needs_no_room_on_any_disk(monkeypatch):
    monkeypatch.setattr(module.tempfile, "TemporaryFile", None)
    begun = BegunCount()
    assert Path(f"/proc/self/fd/{begun.descriptor}").readlink().as_posix().startswith("/memfd:begun")
    begun.close()

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_magics.local import tcp_connection, tcp_instance
from sm_magics.local.instance import Answer, Program
from sm_magics.local.tcp_instance import MAX_CONNECTIONS, TcpInstance

REQUEST = b"POST /invocations HTTP/1.1\r\nContent-Length: 2\r\nContent-Type: text/csv\r\n\r\n42"
WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def said(body, *headers, status=200):
    lines = "".join(f"{each}\r\n" for each in headers)
    return f"HTTP/1.1 {status} OK\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def broken(text):
    return Answer(500, b"text/plain", None, text.encode())


class Log:
    def __init__(self):
        self.lines = []
        self.write = self.lines.append

    def open_pipe(self):
        return os.open(os.devnull, os.O_WRONLY)


class Waiter:
    def __init__(self):
        self.over = False
        self.future = asyncio.get_running_loop().create_future()

    def answered(self, answer):
        self.future.set_result(answer)

    def lost(self, *, started):
        self.future.set_result("begun" if started else "not begun")


class Peer:
    """A server as the launcher's program: answers /ping, and leaves each invocation to the test."""

    def __init__(self, invoked):
        self.invoked, self.server, self.ended, self.terminated = invoked, None, None, []
        self.requests, self.connections, self.writers, self.well = [], 0, [], WELL

    async def run(self, *, command, environment, log, ended):
        assert command == Path("/bin/model")
        os.close(log)
        self.ended = ended
        self.server = await asyncio.start_server(
            self.serve, "127.0.0.1", int(environment["SAGEMAKER_BIND_TO_PORT"]), limit=2**23
        )
        return 4711

    def terminate(self, pid, seconds):
        self.terminated.append((pid, seconds))
        self.server.close()

    def close(self):
        self.server.close()
        for each in self.writers:
            each.close()

    async def serve(self, reader, writer):
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /ping"):
                    writer.write(self.well)
                    continue
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                self.requests.append(head + await reader.readexactly(length))
                await self.invoked(self, writer)
                if writer.is_closing():
                    return


def reset(writer):
    """End a connection as the kernel does for whoever has left something unread."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.asynccontextmanager
async def serving(invoked):
    peer, log, ended = Peer(invoked), Log(), []
    instance = TcpInstance("i-1", "A", ended.append, Path("/nowhere"))
    await instance.launch(peer, Program("/bin/model", Path("/"), {}, log))
    assert (await instance.ping()).status == 200
    instance.ready = True
    peer.instance, peer.log, peer.told = instance, log, ended
    try:
        yield peer
    finally:
        instance.close()
        peer.close()
        await asyncio.sleep(0.01)


async def ask(instance, request=REQUEST):
    waiter = Waiter()
    instance.send(request, waiter)
    return await asyncio.wait_for(waiter.future, 10)


async def until(true):
    while not true():  # noqa: ASYNC110 - it is not ours to set an event
        await asyncio.sleep(0.01)


def answers(*given, close=False):
    """Return a program's behaviour: the bytes it writes for each invocation, one after another."""

    async def invoked(peer, writer):
        data = given[min(len(peer.requests), len(given)) - 1]
        for part in [data] if isinstance(data, bytes) else data:
            writer.write(part)
            await asyncio.sleep(0)
        if close:
            writer.close()

    return invoked


def run(test):
    """Make a test of a coroutine."""

    @functools.wraps(test)
    def ran(*args, **kwargs):
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 30))

    return ran


@run
async def test_requests_one_after_another_share_a_connection_that_is_kept_alive():
    answer = said(b"7", "Content-Type: text/csv", "X-Amzn-SageMaker-Custom-Attributes: a=1")
    async with serving(answers(answer)) as peer:
        for _ in range(3):
            assert await ask(peer.instance) == Answer(200, b"text/csv", b"a=1", b"7")
        assert peer.connections == 1
        assert peer.instance.outstanding == 0
        line, _, rest = REQUEST.partition(b"\r\n")
        assert peer.requests[0] == b"%s\r\nHost: 127.0.0.1:%d\r\n%s" % (line, peer.instance.port, rest)


@pytest.mark.parametrize(
    ("data", "close"),
    [
        (said(b"7", "Connection: close"), True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n7", True),
        (b"HTTP/1.0 200 OK\r\n\r\n7", True),
        (b"HTTP/1.1 200 OK\r\n\r\n7", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n7\r\n0\r\n\r\n", False),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Enc", b"oding: chunked\r\n\r\n1\r", b"\n7\r\n0\r\nX: y\r\n\r\n"], False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + said(b"7"), False),
        ([bytes([each]) for each in said(b"7")], False),
    ],
)
@run
async def test_however_an_answer_is_framed_it_arrives_whole(data, close):
    async with serving(answers(data, close=close)) as peer:
        for _ in range(3):
            answer = await ask(peer.instance)
            assert (answer.status, answer.body) == (200, b"7")
        assert peer.told == []


@run
async def test_an_error_of_the_model_is_an_answer_too():
    async with serving(answers(said(b"no", status=500), b"HTTP/1.1 204 No Content\r\n\r\n", said(b"7"))) as peer:
        assert [(await ask(peer.instance)).status for _ in range(3)] == [500, 204, 200]
        assert peer.connections == 1


@pytest.mark.parametrize(
    "data",
    [
        b"rubbish\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n77",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
@run
async def test_rubbish_loses_its_own_request_only(data):
    async with serving(answers(data, said(b"7"))) as peer:
        assert await ask(peer.instance) == broken("The container's answer is no HTTP.")
        assert peer.log.lines == ["ERROR The container's answer is no HTTP."]
        assert (await ask(peer.instance)).body == b"7"
        assert peer.told == []


@run
async def test_an_answer_without_end_is_cut_off(monkeypatch):
    monkeypatch.setattr(tcp_connection, "MAX_ANSWER", 1000)
    async with serving(answers(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000, said(b"7"))) as peer:
        assert await ask(peer.instance) == broken("The container's answer is too large.")
        assert (await ask(peer.instance)).body == b"7"


@pytest.mark.parametrize(
    ("head", "again"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 100),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n7\r\n0\r\n", b"X: y\r\n" * 100),
    ],
)
@run
async def test_headers_without_end_are_cut_off(head, again):
    sent = 0

    async def invoked(peer, writer):
        nonlocal sent
        if len(peer.requests) > 1:
            writer.write(said(b"7"))
            return
        writer.write(head)
        while not writer.is_closing() and sent < 2**23:
            writer.write(again)
            sent += len(again)
            await writer.drain()

    async with serving(invoked) as peer:
        assert (await ask(peer.instance)).status == 500
        assert sent < 2**23
        assert (await ask(peer.instance)).body == b"7"


@run
async def test_a_large_body_in_the_smallest_chunks_arrives_whole():
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n7\r\n" * 100_000 + b"0\r\n\r\n"
    async with serving(answers(data)) as peer:
        assert (await ask(peer.instance)).body == b"7" * 100_000


@run
async def test_a_second_answer_to_one_request_is_never_taken_for_that_to_the_next():
    async with serving(answers(said(b"1") + said(b"2"), said(b"3"))) as peer:
        assert (await ask(peer.instance)).body == b"1"
        assert (await ask(peer.instance)).body == b"3"


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n7"])
@run
async def test_a_request_that_was_read_is_lost_and_never_sent_again(data):
    async with serving(answers(data, close=True)) as peer:
        assert await ask(peer.instance) == broken("The container closed the connection before it answered.")
        assert len(peer.requests) == 1


@run
async def test_a_kept_connection_that_is_closed_as_the_request_is_sent_costs_nothing():
    async def main(_, writer):
        writer.write(said(b"7"))

    async with serving(main) as peer:
        await ask(peer.instance)
        peer.writers[0].get_extra_info("socket")._sock.shutdown(socket.SHUT_RDWR)  # before the loop can tell
        assert (await ask(peer.instance)).body == b"7"
        assert len(peer.requests) == 2


@run
async def test_a_request_that_nobody_read_is_sent_again_once():
    async def never_reads(reader, writer):
        peer.seen += 1
        await reader.readexactly(1)
        if peer.seen <= peer.resets:
            reset(writer)
        else:
            writer.write(said(b"7"))

    for resets, expected, seen in ((1, b"7", 2), (9, b"The container closed the connection before it answered.", 2)):
        async with serving(answers(said(b"7"))) as peer:
            peer.seen, peer.resets = 0, resets
            for each in peer.writers:
                each.close()
            await asyncio.sleep(0.01)
            peer.serve, port = never_reads, peer.instance.port
            peer.server.close()
            peer.server = await asyncio.start_server(never_reads, "127.0.0.1", port, limit=1)
            assert (await ask(peer.instance)).body == expected
            assert peer.seen == seen


@run
async def test_when_nothing_listens_any_more_requests_go_elsewhere_and_the_instance_is_replaced():
    async with serving(answers(said(b"7"), close=True)) as peer:
        peer.writers[0].close()
        peer.server.close()
        await asyncio.sleep(0.01)
        assert await ask(peer.instance) == "not begun"
        assert peer.told == [peer.instance]
        assert not peer.instance.ready
        assert await ask(peer.instance) == "not begun"
        assert peer.terminated == [(4711, tcp_instance.STOP_SECONDS)]


@run
async def test_a_program_that_ends_is_replaced_though_nothing_was_sent_to_it_any_more():
    async with serving(answers(said(b"7"))) as peer:
        assert (await peer.instance.ping()).status == 200
        peer.instance.ready = False  # as a fault on purpose does
        peer.instance._exited(-9)
        assert peer.told == [peer.instance]


@run
async def test_what_is_under_way_is_answered_though_the_instance_takes_no_more():
    go_on = asyncio.Event()

    async def slow(_, writer):
        await go_on.wait()
        writer.write(said(b"7"))

    async with serving(slow) as peer:
        first = asyncio.ensure_future(ask(peer.instance))
        await asyncio.sleep(0.02)
        peer.server.close()
        assert await ask(peer.instance) == "not begun"
        assert peer.terminated == []
        go_on.set()
        assert (await first).body == b"7"
        assert peer.terminated == [(4711, tcp_instance.STOP_SECONDS)]


@run
async def test_no_more_than_so_many_at_once_and_the_rest_in_their_turn():
    now = most = 0

    async def counting(_, writer):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        writer.write(said(b"7"))

    async with serving(counting) as peer:
        got = await asyncio.gather(*(ask(peer.instance) for _ in range(3 * MAX_CONNECTIONS)))
        assert {each.body for each in got} == {b"7"}
        assert most == MAX_CONNECTIONS
        await peer.instance.drained()


@run
async def test_a_program_that_handles_one_connection_at_a_time_comes_to_all_of_them():
    alone = asyncio.Lock()

    async def invoked(_, writer):
        writer.write(said(b"7"))

    async with serving(invoked) as peer:
        inner = peer.serve

        async def one_at_a_time(reader, writer):
            async with alone:
                await inner(reader, writer)

        peer.server.close()
        for each in peer.writers:
            each.close()
        await asyncio.sleep(0.01)
        peer.server = await asyncio.start_server(one_at_a_time, "127.0.0.1", peer.instance.port)
        got = await asyncio.gather(*(ask(peer.instance) for _ in range(10)))
        assert {each.body for each in got} == {b"7"}


@run
async def test_it_is_asked_until_it_is_well_and_what_is_wrong_is_known_meanwhile(monkeypatch):
    monkeypatch.setattr(tcp_instance, "PING_SECONDS", 0.1)
    peer, log = Peer(answers(said(b"7"))), Log()
    instance = TcpInstance("i-1", "A", lambda _: None, Path("/nowhere"))

    async def later(**given):
        peer.environment = given["environment"]
        os.close(given.pop("log"))
        return 4711

    real, peer.run = peer.run, later
    await instance.launch(peer, Program("/bin/model", Path("/"), {"SAGEMAKER_BIND_TO_PORT": "8080"}, log))
    well = asyncio.ensure_future(instance.ping())
    await asyncio.sleep(0.05)
    assert not well.done()
    await until(lambda: instance.trouble.startswith(f"nothing listens on port {instance.port} yet"))
    peer.well = said(b"", status=503)
    await real(command=Path("/bin/model"), environment=peer.environment, log=log.open_pipe(), ended=None)
    await until(lambda: instance.trouble == "GET /ping was answered with 503")
    peer.well = b"rubbish\r\n\r\n"
    await until(lambda: instance.trouble == "the connection was closed before GET /ping was answered")
    peer.well = b""
    await until(lambda: instance.trouble == "GET /ping was not answered in 0.1 s")
    assert not well.done()
    peer.well = WELL
    assert (await well).status == 200
    instance.close()
    peer.close()


@run
async def test_a_program_that_ends_before_it_is_well_is_told_at_once():
    peer, log, ended = Peer(None), Log(), []
    instance = TcpInstance("i-1", "A", ended.append, Path("/nowhere"))
    await instance.launch(peer, Program("/bin/model", Path("/"), {}, log))
    peer.server.close()
    ping = asyncio.ensure_future(instance.ping())
    await asyncio.sleep(0)
    peer.ended(3)
    assert await ping is None
    assert log.lines == ["ERROR the container's process ended with status 3"]
    assert ended == []  # it never served: who waits for its health knows


@run
async def test_one_that_fails_its_health_checks_is_replaced(monkeypatch):
    monkeypatch.setattr(tcp_instance, "CHECK_SECONDS", 0.01)
    async with serving(answers(said(b"7"))) as peer:
        peer.well = said(b"ill", status=500)
        await until(lambda: peer.told)
        why = "GET /ping was answered with 500"
        assert peer.log.lines == [f"ERROR the container failed 3 health checks in a row: {why}"]
        assert peer.terminated == [(4711, tcp_instance.STOP_SECONDS)]


@run
async def test_one_that_is_busy_is_not_ill(monkeypatch):
    monkeypatch.setattr(tcp_instance, "CHECK_SECONDS", 0.01)
    go_on = asyncio.Event()

    async def slow(_, writer):
        await go_on.wait()
        writer.write(said(b"7"))

    async with serving(slow) as peer:
        peer.well = b""
        first = asyncio.ensure_future(ask(peer.instance))
        await asyncio.sleep(0.2)
        assert peer.told == []
        peer.well = WELL
        go_on.set()
        assert (await first).body == b"7"


@run
async def test_a_request_whose_time_is_over_frees_its_connection(monkeypatch):
    monkeypatch.setattr(tcp_instance, "CHECK_SECONDS", 0.01)

    async def never(_, _writer):
        await asyncio.sleep(60)

    async with serving(never) as peer:
        waiters = [Waiter() for _ in range(MAX_CONNECTIONS + 5)]
        for each in waiters:
            peer.instance.send(REQUEST, each)
        await asyncio.sleep(0.1)
        for each in waiters:
            each.over = True
        await peer.instance.drained()
        assert peer.instance.outstanding == 0


@given(st.binary(max_size=80), st.booleans())
@settings(max_examples=40, deadline=None)
@run
async def test_whatever_a_program_writes_everybody_gets_one_end_and_the_next_request_is_served(data, close):
    async def invoked(peer, writer):
        if len(peer.requests) == 1:
            writer.write(data)
            if close:
                writer.close()
            else:
                reset(writer)
        else:
            writer.write(said(b"7"))

    async with serving(invoked) as peer:
        await ask(peer.instance)
        assert (await ask(peer.instance)).body == b"7"
        assert peer.instance.outstanding == 0

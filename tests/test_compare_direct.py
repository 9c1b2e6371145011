"""The HTTP client against servers that write what a test says, byte by byte."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_magics.compare.direct import Direct
from sm_magics.compare.invocation import Unanswered

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Who: A\r\n\r\n1.5"


def exchanged(*answers, sends=1, timeout=5.0, headers=None, close_after=None):
    """Send so many requests, each answered by the next of `answers`: pieces, and seconds between them.

    Returns what came of each, and what the server read on each of its connections.
    """

    async def run():
        turns, read = iter(answers), []

        async def serve(reader, writer):
            mine = []
            read.append(mine)
            try:
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
                    length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
                    mine.append((head, await reader.readexactly(length)))
                    pieces = next(turns)
                    for piece in pieces:
                        if isinstance(piece, float):
                            await asyncio.sleep(piece)
                            continue
                        writer.write(piece)
                        await writer.drain()
                        await asyncio.sleep(0)
                    if close_after == len(mine):
                        writer.close()
                        return
            except asyncio.IncompleteReadError:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        config = SimpleNamespace(connect_timeout=5.0, read_timeout=timeout)
        client = SimpleNamespace(meta=SimpleNamespace(config=config))
        url = f"http://127.0.0.1:{port}/endpoints/boston/invocations"
        direct = Direct(SimpleNamespace(url=url, constant={"Host": "h", "User-Agent": "u"}, client=client), None)
        outcomes = []
        for number in range(sends):
            try:
                outcomes.append(await direct.send(str(number).encode(), headers or {"X-Own": "v"}, lambda: None))
            except Unanswered as error:
                outcomes.append(error.error)
            await asyncio.sleep(0.005)  # for the server to close, where it does
        direct.close()
        server.close()
        return outcomes, read

    return asyncio.run(run())


def test_a_request_is_its_constant_and_its_own_headers_and_its_body():
    outcomes, ((asked,),) = exchanged([OK])
    head, body = asked
    assert head.split("\r\n") == [
        "POST /endpoints/boston/invocations HTTP/1.1",
        *("Host: h", "User-Agent: u", "X-Own: v", "Content-Length: 1"),
        *("", ""),
    ]
    assert body == b"0"
    assert outcomes == [(200, {"content-length": "3", "x-who": "A"}, b"1.5")]


def test_a_connection_is_used_again():
    outcomes, read = exchanged([OK], [OK], [OK], sends=3)
    assert [body for _, _, body in outcomes] == [b"1.5"] * 3
    assert [[body for _, body in mine] for mine in read] == [[b"0", b"1", b"2"]]


@pytest.mark.parametrize("last", [OK, OK.replace(b"X-Who: A", b"Connection: close")])
def test_one_that_the_server_closes_is_replaced(last):
    outcomes, read = exchanged([last], [OK], sends=2, close_after=1)
    assert [body for _, _, body in outcomes] == [b"1.5"] * 2
    assert len(read) == 2


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200, b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 424 X\r\nContent-Length: 0\r\n\r\n", 424, b""),
    ],
)
def test_every_way_to_tell_an_answer_s_length_is_understood(answer, status, body):
    (outcome,), _ = exchanged([answer])
    assert (outcome[0], outcome[2]) == (status, body)


def test_an_answer_may_end_with_its_connection():
    (outcome,), _ = exchanged([b"HTTP/1.1 200 OK\r\n\r\nup to ", b"the end"], close_after=1)
    assert (outcome[0], outcome[2]) == (200, b"up to the end")


@given(st.lists(st.integers(1, len(OK) - 1), max_size=6))
@settings(max_examples=25, deadline=None)
def test_it_does_not_matter_in_which_pieces_an_answer_comes(cuts):
    places = [0, *sorted(set(cuts)), len(OK)]
    (outcome,), _ = exchanged([OK[a:b] for a, b in itertools.pairwise(places)])
    assert outcome == (200, {"content-length": "3", "x-who": "A"}, b"1.5")


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Len", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"no HTTP\r\n\r\n"],
)
def test_half_an_answer_is_none_and_its_connection_is_not_used_again(answer):
    (first, second), read = exchanged([answer], [OK], sends=2, close_after=1)
    assert type(first).__name__ == "ConnectionClosedError"
    assert second[2] == b"1.5"
    assert len(read) == 2


def test_silence_is_a_timeout():
    (silent,), _ = exchanged([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"], timeout=0.05)
    assert type(silent).__name__ == "ReadTimeoutError"


def test_an_answer_that_comes_slowly_is_none():
    (outcome,), _ = exchanged([OK[:5], 0.2, OK[5:20], 0.2, OK[20:40], 0.2, OK[40:]], timeout=0.4)
    assert outcome[2] == b"1.5"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb"])
def test_a_header_cannot_smuggle_in_another(value):
    (outcome,), read = exchanged([OK], headers={"X-Own": value})
    assert type(outcome).__name__ == "HTTPClientError"
    assert read == []

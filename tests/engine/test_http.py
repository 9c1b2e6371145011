from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.local.http import MAX_BODY, MAX_HEADERS, MAX_WAITING, REQUEST_SECONDS, Connection, message

OK = message(200, {}, b"ok")


class Transport:
    def __init__(self):
        self.written, self.closed, self.reading = b"", False, True

    def write(self, data):
        assert not self.closed
        self.written += data

    def close(self):
        self.closed = True

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True


class Client:
    """One connection, without a network; `seen` has every exchange that the engine was handed."""

    def __init__(self, handle=lambda exchange: exchange.answer(OK)):
        self.seen, self.transport, self.open = [], Transport(), set()

        def note(exchange):
            self.seen.append(exchange)
            handle(exchange)

        self.connection = Connection(note, self.open)
        self.connection.connection_made(self.transport)

    def send(self, *chunks):
        for each in chunks:
            self.connection.data_received(each)
        return self.transport.written

    @property
    def requests(self):
        return [(each.method, each.target, each.headers, each.body) for each in self.seen]


async def _call(test):
    return test()


def run(test):
    return asyncio.run(_call(test))


TOKENS = st.text("abcXYZ-", min_size=1, max_size=8).map(lambda text: "x-" + text)
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["GET", "POST"]),
        st.dictionaries(TOKENS, st.text("ab c;=,", max_size=8).map(str.strip), max_size=4),
        st.binary(max_size=30),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


def written(method, headers, body, chunked):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if chunked:
        lines += "transfer-encoding: chunked\r\n"
        body = b"%x\r\n%b\r\n" % (len(body), body) * bool(body) + b"0\r\n\r\n"
    else:
        lines += f"content-length: {len(body)}\r\n"
    return f"{method} /a HTTP/1.1\r\n{lines}\r\n".encode() + body


@given(REQUESTS, st.lists(st.integers(0, 600), max_size=8))
def test_requests_are_the_same_however_their_bytes_are_cut(requests, cuts):
    data = b"".join(written(*each) for each in requests)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})

    def test():
        client = Client()
        client.send(*(data[start:end] for start, end in pairwise(places)))
        return client

    client = run(test)
    assert [(each.method.decode(), each.body) for each in client.seen] == [(each[0], each[2]) for each in requests]
    for exchange, (_, headers, _, _) in zip(client.seen, requests, strict=True):
        joined = {}
        for name, value in headers.items():
            joined.setdefault(name.lower(), []).append(value)
        for name, values in joined.items():
            assert exchange.headers[name.encode()].split(b",") == ",".join(values).encode().split(b",")
    assert client.transport.written == OK * len(requests)


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_no_bytes_raise_and_whatever_is_refused_is_refused_once(chunks):
    def test():
        client = Client()
        return client.send(b"POST / HTTP/1.1\r\n", *chunks, b"\r\n\r\n\0")

    assert run(test).count(b"HTTP/1.1 400") <= 1


@given(st.permutations(range(5)))
def test_answers_come_in_the_order_of_the_requests(order):
    def test():
        client = Client(handle=lambda _: None)
        client.send(b"GET / HTTP/1.1\r\n\r\n" * len(order))
        for place in order:
            client.seen[place].answer(b"<%d>" % place)
        return client.transport.written

    assert run(test) == b"<0><1><2><3><4>"


SMUGGLED = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "the same length twice": b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "a list of lengths": b"Content-Length: 1, 1\r\n\r\na",
    "a length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "another coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked but not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a signed length": b"Content-Length: +1\r\n\r\na",
    "a negative length": b"Content-Length: -1\r\n\r\na",
    "a length beyond all numbers": b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a folded header": b"X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a bare LF": b"X: y\nContent-Length: 0\r\n\r\n",
    "a bare CR": b"X: y\rContent-Length: 0\r\n\r\n",
    "a bare LF after a chunk's size": b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "NUL in a value": b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "NUL in a name": b"X\0: ab\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": b"Content-Length : 1\r\n\r\na",
    "no name": b": x\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("what", SMUGGLED)
def test_what_two_servers_could_read_differently_is_refused_and_nothing_after_it_is_read(what):
    def test():
        client = Client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + SMUGGLED[what], b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        return client

    client = run(test)
    assert client.requests == []
    assert client.transport.written.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close" in client.transport.written
    assert client.transport.written.count(b"HTTP/1.1") == 1


def test_what_comes_after_a_chunked_body_is_no_header():
    body = b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nOrigin: x\r\nHost: evil\r\n\r\n"

    def test():
        client = Client()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + body + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        return client.requests

    first, second = run(test)
    assert first == (b"POST", b"/", {b"host": b"a", b"transfer-encoding": b"chunked"}, b"a")
    assert second == (b"GET", b"/next", {b"host": b"a"}, b"")


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c", b"CONNECT a:80 HTTP/1.1"])
def test_a_connection_cannot_be_made_another(start):
    def test():
        client = Client(handle=lambda _: None)
        client.send(start + b"\r\nHost: a\r\n\r\n", b"anything")
        for each in client.seen:
            each.answer(OK)
        return client.transport.written

    assert run(test).endswith(b'{"message":"this server does not upgrade connections"}')


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"GET /" + b"a" * MAX_HEADERS + b" HTTP/1.1\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 3 * MAX_HEADERS, 400),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * (MAX_HEADERS // 2), 400),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (MAX_BODY + 1) + b"a" * (MAX_BODY + 1), 413),
    ],
)
def test_what_is_too_large_is_refused_before_it_is_held(start, status):
    def test():
        client = Client()
        client.send(*(start[place : place + 65536] for place in range(0, len(start), 65536)))
        return client

    client = run(test)
    assert client.transport.written.startswith(b"HTTP/1.1 %d " % status)
    assert client.requests == []


def test_the_largest_body_is_taken():
    def test():
        client = Client()
        client.send(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % MAX_BODY, b"a" * MAX_BODY)
        return len(client.seen[0].body)

    assert run(test) == MAX_BODY


def test_a_client_that_sends_too_slowly_is_dropped_and_one_that_is_silent_is_not():
    def test():
        client, silent = Client(), Client()
        client.send(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
        now = client.connection.began
        client.connection.expire(now + REQUEST_SECONDS)
        assert not client.transport.written
        client.send(b"d")  # a byte now and then buys no time
        client.connection.expire(now + REQUEST_SECONDS + 1)
        silent.connection.expire(now + 10 * REQUEST_SECONDS)
        assert not silent.transport.written
        return client.transport.written

    assert run(test).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_pipelines_without_end_is_not_read_until_it_is_answered():
    def test():
        client = Client(handle=lambda _: None)
        client.send(b"GET / HTTP/1.1\r\n\r\n" * MAX_WAITING)
        paused = not client.transport.reading
        client.seen[0].answer(OK)
        return paused, client.transport.reading

    assert run(test) == (True, True)


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked():
    def test():
        return Client().send(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")

    assert run(test) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_bug_of_ours_is_answered():
    def broken(_):
        raise KeyError

    def test():
        return Client(handle=broken).send(b"GET / HTTP/1.1\r\n\r\n")

    assert run(test).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")


def test_a_connection_that_is_to_end_answers_what_is_under_way_and_says_so_with_the_last():
    def test():
        client = Client(handle=lambda _: None)
        client.send(b"GET / HTTP/1.1\r\n\r\n" * 2)
        client.connection.finish()
        client.seen[0].answer(OK)
        assert not client.transport.closed
        client.seen[1].answer(OK)
        return client

    client = run(test)
    assert client.transport.written == OK + OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    assert client.transport.closed


@pytest.mark.parametrize("line", [b"GET / HTTP/1.0\r\n", b"GET / HTTP/1.1\r\nConnection: close\r\n"])
def test_a_client_that_wants_the_end_gets_it_after_its_answer(line):
    def test():
        client = Client()
        client.send(line + b"\r\n")
        return client.transport.written, client.transport.closed

    assert run(test) == (OK, True)


def test_a_client_that_left_is_forgotten_and_its_answer_dropped():
    def test():
        client = Client(handle=lambda _: None)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        client.connection.connection_lost(None)
        client.seen[0].answer(OK)
        return client.open, client.transport.written

    assert run(test) == (set(), b"")

"""A worker in this process, on a socket of its own: what it answers, and what it prints."""

from __future__ import annotations

import socket
import threading

import pytest

from sm_magics.local.containers.contract import LoadError, Response
from sm_magics.local.worker import MOST_KINDS, serve


class Container:
    """Answers with the status that a request's body names."""

    def ping(self):
        return Response(200, b"", "text/plain")

    def invoke(self, requests):
        return [Response(int(each.body), b"because\n of " + each.body, "text/plain") for each in requests]


def answers_of(bodies, load=Container, path=b"/invocations"):
    messages = (b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (path, len(each), each) for each in bodies)
    return answers_to(b"".join(messages), load)


def answers_to(data, load=Container):
    """Send requests at once and return what a worker answers; then its socket ends, and so does it."""
    ours, its = socket.socketpair()
    with ours, its:
        ours.sendall(data)
        thread = threading.Thread(target=serve, args=(its, load, memoryview(bytearray(8)).cast("q")))
        thread.start()
        answered = ours.recv(65536)  # one batch is answered by one call
        ours.shutdown(socket.SHUT_WR)
        thread.join()
    return answered


def test_a_model_that_is_loaded_is_said_so_and_answers_that_are_fine_are_not(capfd):
    assert answers_of([b"200", b"200"]).count(b"HTTP/1.1 200") == 2
    assert capfd.readouterr().out == "INFO the model is loaded\n"


def test_errors_are_printed_once_for_each_kind_of_a_batch(capfd):
    assert answers_of([b"400", b"200", b"400", b"503"]).count(b"because") == 4
    assert capfd.readouterr().out.split("\n")[1:-1] == [
        "ERROR an invocation was answered 400: because of 400 (2 of these)",
        "ERROR an invocation was answered 503: because of 503",
    ]


def test_answers_keep_their_order_where_not_all_are_invocations():
    get, post = b"GET %s HTTP/1.1\r\n\r\n", b"POST /invocations HTTP/1.1\r\nContent-Length: 3\r\n\r\n%d"
    answered = answers_to(post % 201 + get % b"/ping" + post % 202 + get % b"/nothing")
    assert [each[:3] for each in answered.split(b"HTTP/1.1 ")[1:]] == [b"201", b"200", b"202", b"404"]


def test_of_very_many_kinds_the_log_tells_some(capfd):
    answers_of([b"%d" % status for status in range(400, 440)])
    assert capfd.readouterr().out.count("ERROR") == MOST_KINDS


@pytest.mark.parametrize("path", [b"/ping", b"/invocations"])
def test_a_model_that_cannot_be_loaded_is_said_and_every_request_is_told(capfd, path):
    def load():
        raise LoadError("no such file")

    assert answers_of([b"1"], load, path).endswith(b"\r\n\r\nno such file")
    assert capfd.readouterr().out.startswith("ERROR the model cannot be loaded: no such file\n")

"""The process that is one instance: it loads the model and answers its container's HTTP contract on one socket.

The router pipelines requests into the socket. The worker reads whatever has arrived, has the container predict it
together, and writes the answers in order with one call; a lone request is never kept waiting for company. Before it
begins it tells how many requests it has begun with so far, so that what it never saw can be sent to another one should
it die. When the socket ends, the engine is gone or done with this instance, and the process ends too.
"""

from __future__ import annotations

import select
from collections import Counter
from typing import TYPE_CHECKING

import httptools

from sm_magics.local.containers.contract import LoadError, Request, Response

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Sequence

    from sm_magics.local.containers.contract import Container

__all__ = ["serve"]

READ_SIZE = 256 * 1024
BAD_REQUEST = 400
MOST_KINDS, MOST_SHOWN = 5, 1000  # of errors in one batch that the log tells apart, and bytes of each
MOST_TOGETHER = 256  # requests of one batch; what is beyond waits for the next


class Unloaded:
    """Stands in for a container that could not load its model: healthy enough to say so."""

    def __init__(self, reason: str) -> None:
        self._answer = Response(500, reason.encode(), "text/plain")

    def ping(self) -> Response:
        return self._answer

    def invoke(self, requests: Sequence[Request]) -> list[Response]:
        return [self._answer for _ in requests]


def serve(connection: socket.socket, load: Callable[[], Container], begun: memoryview[int]) -> None:
    """Load the model and answer requests on `connection` until it ends; count in `begun` those begun with."""
    container = _loaded(load)
    begun[0] = 0
    reader = _Reader()
    connection.settimeout(None)
    while True:
        data = connection.recv(READ_SIZE)
        if not data:
            return
        reader.feed(data)
        while len(reader.requests) < MOST_TOGETHER and _more_waits(connection):
            data = connection.recv(READ_SIZE)
            if not data:
                return
            reader.feed(data)
        if reader.requests:
            begun[0] += len(reader.requests)
            connection.sendall(_answers(container, reader.take()))


def _loaded(load: Callable[[], Container]) -> Container:
    try:
        container = load()
    except LoadError as error:
        _log(f"ERROR the model cannot be loaded: {error}")
        return Unloaded(str(error))
    _log("INFO the model is loaded")
    return container


def _log(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - stdout is the container's log


def _log_errors(responses: Iterable[Response]) -> None:
    """Print what was answered with an error: in each batch a line for each kind, with how many there were."""
    kinds = Counter((each.status, each.body) for each in responses if each.status >= BAD_REQUEST)
    for (status, body), count in kinds.most_common(MOST_KINDS):
        text = " ".join(body[:MOST_SHOWN].decode(errors="replace").split())
        _log(f"ERROR an invocation was answered {status}: {text}" + (f" ({count} of these)" if count > 1 else ""))


def _more_waits(connection: socket.socket) -> bool:
    return bool(select.select([connection], [], [], 0)[0])


def _answers(container: Container, arrived: list[tuple[str, Request]]) -> bytes:
    invocations = [request for path, request in arrived if path == "/invocations"]
    invoked = container.invoke(invocations) if invocations else []
    _log_errors(invoked)
    answers = iter(invoked)
    ordered = (next(answers) if path == "/invocations" else _other(container, path) for path, _ in arrived)
    return b"".join(map(_message, ordered))


def _other(container: Container, path: str) -> Response:
    return container.ping() if path == "/ping" else Response(404, b"{}", "application/json")


def _message(response: Response) -> bytes:
    extra = response.custom_attributes
    return b"HTTP/1.1 %d \r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n%s" % (
        response.status,
        response.content_type.encode("latin-1"),
        b"" if extra is None else b"X-Amzn-SageMaker-Custom-Attributes: %s\r\n" % extra.encode("latin-1"),
        len(response.body),
        response.body,
    )


class _Reader:
    """Gathers the requests of a stream of bytes."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Request]] = []
        self._parser = httptools.HttpRequestParser(self)
        self._headers: dict[bytes, str] = {}
        self._body: list[bytes] = []
        self._path = ""

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def take(self) -> list[tuple[str, Request]]:
        taken, self.requests = self.requests, []
        return taken

    # What httptools calls.

    def on_message_begin(self) -> None:
        self._headers = {}
        self._body = []

    def on_url(self, url: bytes) -> None:
        self._path = url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        get = self._headers.get
        request = Request(
            self._body[0] if len(self._body) == 1 else b"".join(self._body),
            get(b"content-type"),
            get(b"accept"),
            get(b"x-amzn-sagemaker-custom-attributes"),
        )
        self.requests.append((self._path, request))

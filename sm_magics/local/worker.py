"""The process that is one instance: it loads the model and answers its container's HTTP contract on one socket.

The router pipelines requests into the socket. The worker reads whatever has arrived, has the container predict it
together, and writes the answers in order with one call; a lone request is never kept waiting for company. Before it
begins it tells how many requests it has begun with so far, so that what it never saw can be sent to another one should
it die. When the socket ends, the engine is gone or done with this instance, and the process ends too.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from sm_magics.local.containers.contract import LoadError, Request, Response
from sm_magics.local.memory import settle
from sm_magics.local.messages import Messages

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sm_magics.local.containers.contract import Container

    _Head = tuple[bytes, str | None, str | None, str | None]

__all__ = ["serve"]

READ_SIZE = 256 * 1024  # more than a socket holds: one call reads all that has arrived
BAD_REQUEST = 400
MOST_KINDS, MOST_SHOWN = 5, 1000  # of errors in one batch that the log tells apart, and bytes of each
_INVOCATIONS = b"/invocations"
_HEARD = (b"content-type", b"accept", b"x-amzn-sagemaker-custom-attributes")


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
    settle()
    begun[0] = 0
    messages = Messages(_request_head)
    connection.settimeout(None)
    while data := connection.recv(READ_SIZE):
        arrived = messages.feed(data)
        if arrived:
            begun[0] += len(arrived)
            connection.sendall(_answers(container, arrived))


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


def _log_errors(errors: Iterable[Response]) -> None:
    """Print what was answered with an error: in each batch a line for each kind, with how many there were."""
    for (status, body), count in Counter((each.status, each.body) for each in errors).most_common(MOST_KINDS):
        text = " ".join(body[:MOST_SHOWN].decode(errors="replace").split())
        _log(f"ERROR an invocation was answered {status}: {text}" + (f" ({count} of these)" if count > 1 else ""))


def _answers(container: Container, arrived: Sequence[tuple[_Head, bytes]]) -> bytes:
    invocations = [Request(body, *about) for (path, *about), body in arrived if path == _INVOCATIONS]
    invoked = container.invoke(invocations) if invocations else []
    errors = [each for each in invoked if each.status >= BAD_REQUEST]
    if errors:
        _log_errors(errors)
    if len(invoked) == len(arrived):  # what nearly always is
        return b"".join(map(_message, invoked))
    answers = iter(invoked)
    ordered = (next(answers) if path == _INVOCATIONS else _other(container, path) for (path, *_), _ in arrived)
    return b"".join(map(_message, ordered))


def _other(container: Container, path: bytes) -> Response:
    return container.ping() if path == b"/ping" else Response(404, b"{}", "application/json")


def _message(response: Response) -> bytes:
    status, body, content_type, custom = response
    return b"%sContent-Length: %d\r\n\r\n%s" % (_head(status, content_type, custom), len(body), body)


@lru_cache(maxsize=256)
def _head(status: int, content_type: str, custom: str | None) -> bytes:
    """Return what an answer says before its length."""
    extra = "" if custom is None else f"X-Amzn-SageMaker-Custom-Attributes: {custom}\r\n"
    return f"HTTP/1.1 {status:d} \r\nContent-Type: {content_type}\r\n{extra}".encode("latin-1")


def _request_head(line: bytes, headers: Mapping[bytes, bytes]) -> _Head:
    """Read what comes before the body of a request: its path, and what it says of itself."""
    _, path, _ = line.split(b" ")
    content_type, accept, custom = (_text(headers.get(name)) for name in _HEARD)
    return path, content_type, accept, custom


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")

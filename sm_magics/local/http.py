"""The engine's HTTP/1.1 front: bytes in, `Exchange`s out, answers back in the order of the requests.

Parsing is httptools; what is here keeps each answer to one write (headers and body written apart cost 40 ms a call),
bounds what a client may make us hold, and puts pipelined answers in order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from email.utils import formatdate
from typing import TYPE_CHECKING, cast

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Connection", "Exchange", "message"]

_LOG = logging.getLogger(__name__)
MAX_HEADERS = 64 * 1024
MAX_BODY = 6 * 1024 * 1024  # InvokeEndpoint's limit, the largest of all calls
_DIGITS = len(str(MAX_BODY))
MAX_WAITING = 64  # requests that one connection may pipeline before it is no longer read
LINGER_SECONDS = 1.0
REQUEST_SECONDS = 60.0  # in which a request must arrive whole

_TOO_LONG = b"the request's headers are too long"
_REASONS = {
    200: b"OK",
    204: b"No Content",
    400: b"Bad Request",
    403: b"Forbidden",
    404: b"Not Found",
    408: b"Request Timeout",
    413: b"Request Entity Too Large",
    424: b"Failed Dependency",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}


def message(status: int, headers: Mapping[str, str], body: bytes, *, close: bool = False) -> bytes:
    """Return a whole HTTP response."""
    lines = [b"HTTP/1.1 %d %s" % (status, _REASONS.get(status, b"Status"))]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in headers.items()]
    lines.append(b"Content-Length: %d\r\nDate: %s" % (len(body), formatdate(usegmt=True).encode()))
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Exchange:
    """One request and the place of its answer.

    Header names are lower case; a header that came twice is joined by a comma. `came` is when, by a clock of its own.
    """

    __slots__ = ("_answer", "_connection", "body", "came", "headers", "keep_alive", "method", "target")

    def __init__(  # noqa: PLR0913 - a request is its parts
        self,
        connection: Connection,
        method: bytes,
        target: bytes,
        headers: dict[bytes, bytes],
        body: bytes,
        *,
        keep_alive: bool,
    ) -> None:
        self._connection = connection
        self._answer: bytes | None = None
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive
        self.came = time.perf_counter()

    def answer(self, response: bytes) -> None:
        """Send `response`, a whole HTTP message, as soon as those before it on the connection are sent."""
        self._answer = response
        self._connection.flush()

    def take(self) -> bytes | None:
        """Return the answer, None while there is none."""
        return self._answer


class Connection(asyncio.Protocol):
    """One client. `handle` gets each whole request and answers it whenever it can."""

    def __init__(self, handle: Callable[[Exchange], None], open_connections: set[Connection]) -> None:
        self._now = asyncio.get_running_loop().time
        self._handle = handle
        self._open = open_connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Exchange] = deque()
        self._paused = False
        self._finishing = False
        self._closing = False
        self.began: float | None = None  # when the request that is arriving in parts began, by the loop's clock
        self._arriving = False
        self._unfinished: dict[bytes, bytes] | None = None  # the headers that are arriving
        self._held = 0
        self._reset()

    def _reset(self) -> None:
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._request_headers = self._headers
        self._header_size = 0
        self._body: list[bytes] = []
        self._body_size = 0

    @property
    def idle(self) -> bool:
        """Whether no request is arriving or waiting for its answer."""
        return not self._arriving and not self._waiting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._open.discard(self)
        self._transport = None
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        unfinished = self._unfinished
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse_once(400, b"this server does not upgrade connections")
        except httptools.HttpParserError as error:
            self._refuse_once(400, str(error).encode())
        if self._arriving:
            if self.began is None:
                self.began = self._now()
            if unfinished is not None and unfinished is self._unfinished:
                self._grow(len(data))

    def _grow(self, size: int) -> None:
        """Count what httptools holds: it tells of a header once it is whole."""
        self._held += size
        if self._held > MAX_HEADERS:
            self._refuse_once(400, _TOO_LONG)

    # What httptools calls while it parses; an exception raised here comes out of feed_data as HttpParserError.

    def on_message_begin(self) -> None:
        self._arriving = True
        self._reset()
        self._unfinished = self._headers
        self._held = 0

    def on_url(self, url: bytes) -> None:
        self._header_size += len(url)
        if self._header_size > MAX_HEADERS:
            self._too_long()
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_size += len(name) + len(value)
        if self._header_size > MAX_HEADERS:
            self._too_long()
        name = name.lower()
        headers = self._headers
        headers[name] = headers[name] + b"," + value if name in headers else value

    def on_headers_complete(self) -> None:
        self._request_headers = self._headers
        self._unfinished = None
        if b"transfer-encoding" in self._headers:
            self._headers = {}  # what comes after a chunked body is no header of the request
        length = self._request_headers.get(b"content-length", b"0")
        if len(length) >= _DIGITS and length.isdigit() and int(length) > MAX_BODY:
            self._too_large()
        elif b"expect" in self._request_headers:
            self._continue()

    def _continue(self) -> None:
        if self._request_headers[b"expect"].lower() == b"100-continue" and self._transport and not self._waiting:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > MAX_BODY:
            self._too_large()
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._arriving = False
        self.began = None
        keep_alive = bool(self._parser.should_keep_alive())
        exchange = Exchange(
            self,
            self._parser.get_method(),
            self._target,
            self._request_headers,
            self._body[0] if len(self._body) == 1 else b"".join(self._body),
            keep_alive=keep_alive,
        )
        self._waiting.append(exchange)
        if len(self._waiting) >= MAX_WAITING and self._transport:
            self._paused = True
            self._transport.pause_reading()
        try:
            self._handle(exchange)
        except Exception:  # noqa: BLE001 - the client gets an answer whatever happens
            _LOG.exception("a request could not be handled")
            exchange.answer(message(500, {"Content-Type": "application/json"}, b'{"message":"InternalFailure"}'))

    def flush(self) -> None:
        """Write the answers that are ready and next in order."""
        waiting = self._waiting
        usual = not self._paused and not self._finishing
        if usual and len(waiting) == 1 and waiting[0].keep_alive and self._transport is not None:
            only = waiting[0].take()  # what nearly always is
            if only is not None:
                waiting.popleft()
                self._transport.write(only)
            return
        ready: list[bytes] = []
        close = False
        while self._waiting and not close and (answer := self._waiting[0].take()) is not None:
            ready.append(answer)
            close = not self._waiting.popleft().keep_alive
        if not ready or self._transport is None:
            return
        if self._finishing and not close and self.idle:
            ready[-1] = ready[-1].replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            close = True
        self._transport.write(ready[0] if len(ready) == 1 else b"".join(ready))
        if close:
            self.close()
        elif self._paused and len(self._waiting) < MAX_WAITING:
            self._paused = False
            self._transport.resume_reading()

    def finish(self) -> None:
        """Answer what is under way and what is on its way, and tell the client with the last answer to go."""
        self._finishing = True

    def close(self) -> None:
        """Close the connection once what was written is sent.

        A client that was refused may still be sending; hearing it out for a moment lets it read why.
        """
        if self._transport is None:
            return
        if self._closing:
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)
        else:
            self._closing = True
            self._transport.close()

    def expire(self, now: float) -> None:
        """Drop a client that has taken too long over one request."""
        if self.began is not None and now - self.began > REQUEST_SECONDS:
            self._refuse_once(408, b"the request did not arrive in time")

    def _too_long(self) -> None:
        self._refuse(400, _TOO_LONG)

    def _too_large(self) -> None:
        # The service's answer, which has no error type (aws/sagemaker-python-sdk#171).
        self._refuse(413, b"HTTP content length exceeded %d bytes." % MAX_BODY)

    def _refuse(self, status: int, text: bytes) -> None:
        self._refuse_once(status, text)
        raise ValueError(text)  # ends the parsing; data_received finds the connection closing

    def _refuse_once(self, status: int, text: bytes) -> None:
        if self._closing:
            return
        self._closing = True
        body = b'{"message":"%s"}' % text.replace(b"\\", b"").replace(b'"', b"'")
        refused = Exchange(self, b"", b"", {}, b"", keep_alive=False)
        self._waiting.append(refused)
        refused.answer(message(status, {"Content-Type": "application/json"}, body, close=True))

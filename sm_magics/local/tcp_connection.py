"""One HTTP/1.1 connection over TCP to a program that may answer as it likes: one request at a time, one end to each."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from typing import TYPE_CHECKING, Protocol, cast

import httptools

from sm_magics.local.instance import Answer

if TYPE_CHECKING:
    from sm_magics.local.instance import Waiter

__all__ = ["TcpConnection", "TcpRequest"]

MAX_ANSWER = 25 * 1024 * 1024  # bytes of an answer's body
MAX_AROUND = 64 * 1024  # bytes of an answer that are no body: headers, and what comes before or after
CHUNKED = 16  # times a body may grow by its framing: a chunk of one byte needs six
FIRST_FINAL = 200  # statuses below are only words in between, such as 100 Continue
_UNREAD = (errno.EPIPE, errno.ECONNRESET)


class Owner(Protocol):
    """Who is told of a connection."""

    def answered(self, connection: TcpConnection, request: TcpRequest, answer: Answer, *, keep: bool) -> None:
        """Take an answer; `keep` says whether the connection may carry another request."""

    def lost(self, connection: TcpConnection, request: TcpRequest | None, *, unread: bool) -> None:
        """Learn that it ended, with what it had not answered; `unread`: the program never read that as a whole."""


class TcpRequest:
    """A request under way, and whether it was sent again."""

    __slots__ = ("again", "message", "waiter")

    def __init__(self, message: bytes, waiter: Waiter) -> None:
        self.message = message
        self.waiter = waiter
        self.again = False


class TcpConnection(asyncio.Protocol):
    """One connection, with at most one request on it."""

    def __init__(self, owner: Owner) -> None:
        self.heard = False  # whether anything has ever come from it
        self.end = "The container closed the connection before it answered."
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._request: TcpRequest | None = None
        self._answering = False
        self._unread = False
        self._start()

    def _start(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._head: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = self._received = 0
        self._answer: Answer | None = None
        self._until_end = self._keep = False

    @property
    def open(self) -> bool:
        """Whether it can carry a request."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def late(self) -> bool:
        """Whether nobody wants its answer any more."""
        return self._request is not None and self._request.waiter.over

    def ask(self, request: TcpRequest, port: int) -> None:
        """Send a request."""
        transport = self._transport
        assert transport is not None  # noqa: S101 - a free connection is open
        self._request, self._answering = request, False
        self._start()
        line, _, rest = request.message.partition(b"\r\n")
        transport.write(b"%s\r\nHost: 127.0.0.1:%d\r\n%s" % (line, port, rest))

    def close(self) -> None:
        """End it; who waits for an answer has lost it."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.heard = self._answering = True
        if self._request is None:
            self.close()  # nobody has asked
            return
        sound = True
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            sound = False
        if self._answer is not None:
            self._finish(self._answer, keep=sound and self._keep)
        elif not sound or self._size > MAX_ANSWER or self._received > MAX_AROUND + CHUNKED * self._size:
            self.end = "The container's answer is too large." if sound else "The container's answer is no HTTP."
            self.close()

    def eof_received(self) -> None:
        if self._transport is not None:
            # The kernel tells whether what we sent met a closed socket: then it was not read, or not all of it.
            peer = cast("socket.socket", self._transport.get_extra_info("socket"))
            with contextlib.suppress(OSError):
                self._unread = peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in _UNREAD
        if self._until_end and self._request is not None:
            self._finish(self._made(), keep=False)
        elif self._request is None:
            self._owner.lost(self, None, unread=False)  # before anybody asks here

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        unread = self._unread or (isinstance(exc, OSError) and exc.errno in _UNREAD)
        request, self._request = self._request, None
        self._owner.lost(self, request, unread=unread and not self._answering)

    def _finish(self, answer: Answer, *, keep: bool) -> None:
        request, self._request = self._request, None
        assert request is not None  # noqa: S101 - it is only called for one
        whole = self._transport is not None and not self._transport.get_write_buffer_size()
        self._owner.answered(self, request, answer, keep=keep and whole)

    def _made(self) -> Answer:
        head = self._head
        custom = head.get(b"x-amzn-sagemaker-custom-attributes")
        return Answer(self._parser.get_status_code(), head.get(b"content-type", b""), custom, b"".join(self._body))

    # What httptools calls.

    def on_message_begin(self) -> None:
        if self._answer is not None:
            raise ValueError("a second answer to one request")
        self._head, self._body = {}, []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head[name.lower()] = value

    def on_headers_complete(self) -> None:
        framed = b"content-length" in self._head or b"transfer-encoding" in self._head
        self._until_end = not framed and self._parser.get_status_code() >= FIRST_FINAL

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size <= MAX_ANSWER:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= FIRST_FINAL:  # else it is only a word in between, such as 100 Continue
            self._answer = self._made()
            self._keep = self._parser.should_keep_alive()

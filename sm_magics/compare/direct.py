"""HTTP/1.1 to one URL and no more, for the load client: aiohttp takes longer than all else that a request needs.

Connections are kept and used again. What a server may do is understood (any length, chunks, an end by closing, interim
answers); what the load client never needs is not here.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sm_magics.compare.invocation import Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sm_magics.compare.invocation import Invocation

__all__ = ["Direct"]

_FINAL = 200  # answers below are interim


class Direct:
    """Sends requests to where an invocation leads, each over a connection of its own while it is under way.

    Parameters
    ----------
    invocation
        Where to, and how its client is set up.
    trust
        What decides whom to believe, None where TLS is not spoken.
    """

    def __init__(self, invocation: Invocation, trust: ssl.SSLContext | None) -> None:
        parts = urlsplit(invocation.url)
        self._url, self._trust = invocation.url, trust
        self._host, self._port = parts.hostname, parts.port or (443 if trust else 80)
        constant = "".join(f"{name}: {value}\r\n" for name, value in invocation.constant.items())
        self._head = f"POST {parts.path} HTTP/1.1\r\n{constant}"
        config = invocation.client.meta.config
        self._connect_timeout, self._read_timeout = config.connect_timeout, config.read_timeout
        self._idle: list[_Line] = []
        self._all: set[_Line] = set()

    async def send(
        self, body: bytes, headers: Mapping[str, str], connected: Callable[[], None]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send one request, and return status, headers by lower-case names, and body of its answer.

        Parameters
        ----------
        connected
            Called once there is a connection, just before the request is sent.

        Raises
        ------
        Unanswered
            When there is none.
        """
        own = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if own.count("\n") != len(headers) or own.count("\r") != len(headers):
            raise self._unanswered("HTTPClientError", ValueError("a header has more than one line"))
        head = f"{self._head}{own}Content-Length: {len(body)}\r\n\r\n".encode()
        line = self._line() or await self._connected()
        connected()
        try:
            answer = await line.ask(head, body)
        except TimeoutError as error:
            raise self._unanswered("ReadTimeoutError", error) from error
        except OSError as error:
            raise self._unanswered("ConnectionClosedError", error) from error
        finally:
            if line.usable:
                self._idle.append(line)
            else:
                line.close()
        return answer

    def close(self) -> None:
        """Close every connection."""
        for line in list(self._all):
            line.close()

    def _line(self) -> _Line | None:
        """Return a connection that is open and idle, None when there is none."""
        while self._idle:
            line = self._idle.pop()
            if line.usable:
                return line
        return None

    async def _connected(self) -> _Line:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, line = await loop.create_connection(
                    lambda: _Line(self._all, self._read_timeout), self._host, self._port, ssl=self._trust
                )
        except ssl.SSLError as error:
            raise self._unanswered("SSLError", error) from error
        except TimeoutError as error:
            raise self._unanswered("ConnectTimeoutError", error) from error
        except OSError as error:
            raise self._unanswered("EndpointConnectionError", error) from error
        return line

    def _unanswered(self, kind: str, error: Exception) -> Unanswered:
        from botocore import exceptions

        return Unanswered(getattr(exceptions, kind)(endpoint_url=self._url, error=error, request=None))


class _Line(asyncio.Protocol):
    """One connection, which has at most one request under way."""

    def __init__(self, every: set[_Line], timeout: float) -> None:
        self._every = every
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._parser: Any = None
        self._answer: asyncio.Future[tuple[int, Mapping[str, str], bytes]] | None = None
        self._heard = 0.0  # when the server was heard of last
        self._kept = True  # whether the server keeps the connection
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._headers_over = False

    @property
    def usable(self) -> bool:
        """Whether a request can be sent now."""
        return self._answer is None and self._kept and not self._transport.is_closing()

    async def ask(self, head: bytes, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request and return its answer.

        Raises
        ------
        OSError
            When the connection ends before; a TimeoutError when nothing comes in time.
        """
        import httptools

        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._body = {}, []
        self._headers_over = False
        answer = self._answer = self._loop.create_future()
        self._heard = self._loop.time()
        timer = self._loop.call_later(self._timeout, self._look)
        try:
            self._transport.writelines([head, body])
            result: tuple[int, Mapping[str, str], bytes] = await answer
            self._answer = None
            return result
        finally:
            timer.cancel()  # a later one finds that there is no request any more

    def close(self) -> None:
        self._answer = None
        self._transport.abort()

    def _look(self) -> None:
        """Give up when the server was silent for too long."""
        if self._answer is None or self._answer.done():
            return
        left = self._heard + self._timeout - self._loop.time()
        if left > 0.001:  # noqa: PLR2004 - timers are no finer
            self._loop.call_later(left, self._look)
        else:
            self._answer.set_exception(TimeoutError(f"nothing was read for {self._timeout:g} s"))

    # What the loop tells:

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._every.add(self)

    def data_received(self, data: bytes) -> None:
        import httptools

        self._heard = self._loop.time()
        if self._answer is None or self._answer.done():
            self._kept = False  # nothing was asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._kept = False
            if not self._answer.done():
                self._answer.set_exception(ConnectionError(f"the answer is not HTTP: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        self._every.discard(self)
        self._kept = False
        if self._answer is None or self._answer.done():
            return
        until_the_end = self._headers_over and not {"content-length", "transfer-encoding"} & set(self._headers)
        if until_the_end and error is None:
            self.on_message_complete()
        else:
            self._answer.set_exception(ConnectionError(str(error or "the server closed the connection")))

    # What the parser tells:

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._headers_over = self._parser.get_status_code() >= _FINAL

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < _FINAL:
            self._headers.clear()
        elif self._answer is not None and not self._answer.done():
            self._kept = self._kept and self._parser.should_keep_alive()
            self._answer.set_result((status, self._headers, b"".join(self._body)))

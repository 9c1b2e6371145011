"""The limit of one Python process: a bare uvloop and httptools server that answers every request with its body.

`python tests/bench/echo.py` prints its port and serves until it is stopped.
"""

from __future__ import annotations

import asyncio
import sys

import httptools
import uvloop


class Echo(asyncio.Protocol):
    """Parses a request, and writes one answer."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._parser.feed_data(data)

    def on_message_begin(self):
        self._body = b""

    def on_body(self, body):
        self._body += body

    def on_message_complete(self):
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(self._body), self._body))


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())

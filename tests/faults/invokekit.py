"""A server that answers like InvokeEndpoint, by a script; for tests of what calls it, and for measuring clients.

`python tests/faults/invokekit.py --latency 0.01` prints its port and serves until it is stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import ssl
import sys
import threading
from dataclasses import dataclass, field

import boto3
import httptools
import trustme
import uvloop

from sm_magics.connection import Connection

_ERROR = "http://internal.amazon.com/coral/com.amazon.sagemaker/"


@dataclass(frozen=True)
class Reply:
    """What the server answers, so many seconds later; `drop` closes the connection instead."""

    body: bytes = b"1.0"
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"x-Amzn-Invoked-Production-Variant": "A"})
    content_type: str = "text/csv; charset=utf-8"
    latency: float = 0.0
    drop: bool = False


def refusal(code, message, status, **fields):
    """Return the reply that tells of an error as the service does."""
    body = json.dumps({"Message": message, **fields}).encode()
    return Reply(body, status, {"x-amzn-ErrorType": f"{code}:{_ERROR}"}, "application/json")


@dataclass
class Asked:
    """A request that came."""

    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class _Exchange(asyncio.Protocol):
    def __init__(self, server):
        self._server = server

    def connection_made(self, transport):
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)
        self._server.opened += 1
        self._server.transports.add(transport)

    def connection_lost(self, _error):
        self._server.transports.discard(self._transport)

    def data_received(self, data):
        self._parser.feed_data(data)

    def on_message_begin(self):
        self._asked = Asked("")

    def on_url(self, url):
        self._asked.target += url.decode()

    def on_header(self, name, value):
        self._asked.headers[name.decode().lower()] = value.decode()

    def on_body(self, body):
        self._asked.body += body

    def on_message_complete(self):
        self._server.under_way += 1
        self._server.most_under_way = max(self._server.most_under_way, self._server.under_way)
        reply = self._server.reply(self._asked)
        if reply.latency:
            asyncio.get_running_loop().call_later(reply.latency, self._write, reply)
        else:
            self._write(reply)

    def _write(self, reply):
        self._server.under_way -= 1
        if reply.drop:
            self._transport.abort()
        if self._transport.is_closing():
            return
        lines = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
        told = f"HTTP/1.1 {reply.status} X\r\nContent-Type: {reply.content_type}\r\n{lines}"
        self._transport.write(f"{told}Content-Length: {len(reply.body)}\r\n\r\n".encode() + reply.body)


class Server:
    """Serves in a thread of its own.

    Parameters
    ----------
    reply
        Returns the `Reply` to what was `Asked`.
    context
        Of TLS, where it is to be spoken.
    """

    def __init__(self, reply, context=None):
        self.reply = reply
        self.opened = self.under_way = self.most_under_way = 0
        self.transports = set()
        self._context = context
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    @property
    def url(self):
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def _run(self):
        with contextlib.suppress(asyncio.CancelledError), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self.serve())

    async def serve(self, told=lambda _: None):
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        server = await self._loop.create_server(lambda: _Exchange(self), "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        told(self.port)
        self._ready.set()
        try:
            await server.serve_forever()
        finally:
            for transport in list(self.transports):
                transport.abort()


def connect(url, session=None):
    """Return a connection to such a server."""
    session = session or boto3.Session("AKID", "secret", region_name="eu-west-1")
    return Connection(session, "123456789012", "eu-west-1", "arn:aws:iam::123456789012:role/r", None, "test", url)


def tls(folder):
    """Return the TLS context of a server on 127.0.0.1, and the path of the certificate that clients are to trust."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return context, str(folder / "ca.pem")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    reply = Reply(latency=parser.parse_args().latency)

    def told(port):
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Server(lambda _: reply).serve(told))


if __name__ == "__main__":
    main()

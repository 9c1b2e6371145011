"""One instance as the router sees it: a connection that speaks the containers' HTTP contract, pipelined.

Whoever sends a request gets exactly one of two calls: `answered` with the container's answer, or `lost` when the
connection ends first. A worker counts the requests it has begun with in memory that it shares with the engine, so that
`lost` can tell who may safely be sent again.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
import sys
import tempfile
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from sm_magics.local.messages import Messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sm_magics.local.logs import LogStream

__all__ = ["PING", "Answer", "Instance", "Launcher", "PingWaiter", "Program", "Serving", "Waiter"]

ENOUGH = 8  # requests that are worth a write and a prediction of their own
PING = b"GET /ping HTTP/1.1\r\n\r\n"


class Answer(NamedTuple):
    """What a container answered."""

    status: int
    content_type: bytes
    custom_attributes: bytes | None
    body: bytes


class Waiter(Protocol):
    """Who waits for an answer."""

    @property
    def over(self) -> bool:
        """Whether no answer is wanted any more."""

    def answered(self, answer: Answer) -> None:
        """Take the container's answer."""

    def lost(self, *, started: bool) -> None:
        """Learn that the instance ended before it answered, and whether it may have begun with the request."""


@dataclass(frozen=True, slots=True)
class Program:
    """What an instance runs: an image on a model's directory, with an environment, and where it prints to."""

    image: str
    directory: Path
    environment: Mapping[str, str]
    log: LogStream


class Launcher(Protocol):
    """Starts and stops the processes of instances."""

    async def launch(  # noqa: PLR0913 - a process is its parts
        self,
        *,
        image: str,
        directory: Path,
        environment: Mapping[str, str],
        connection: socket.socket,
        log: int,
        shared: int,
    ) -> int:
        """Start a worker that serves on `connection`, prints to `log` and counts in `shared`; return its pid."""

    async def run(
        self, *, command: Path, environment: Mapping[str, str], log: int, ended: Callable[[int], None]
    ) -> int:
        """Start a program that prints to `log`; return its pid, and call `ended` with its status when it ends."""

    def kill(self, pid: int) -> None:
        """End a process at once."""

    def terminate(self, pid: int, seconds: float) -> None:
        """Ask a process to end, and make it after a while."""


class Serving(Protocol):
    """One instance to the router and to its fleet, whatever it is and however it is reached."""

    name: str
    variant: str
    ready: bool
    outstanding: int
    pid: int | None
    trouble: str  # why it is not healthy yet, as far as it is known

    async def launch(self, launcher: Launcher, program: Program) -> None:
        """Start its process."""

    def send(self, request: bytes, waiter: Waiter) -> None:
        """Send a whole HTTP request; `waiter` gets the answer."""

    async def ping(self) -> Answer | None:
        """Ask for the instance's health; None when it ended instead of answering."""

    async def drained(self) -> None:
        """Return when every request has been answered."""

    def close(self) -> None:
        """End it."""


class BegunCount:
    """How many requests a worker has begun with, in a page of memory that it and the engine share."""

    def __init__(self) -> None:
        self.descriptor = _shared_page()
        self._memory = mmap.mmap(self.descriptor, mmap.PAGESIZE)

    @property
    def value(self) -> int:
        """The number the worker wrote last."""
        return int.from_bytes(self._memory[:8], "little")

    def close(self) -> None:
        """Give the memory back."""
        if not self._memory.closed:
            self._memory.close()
            os.close(self.descriptor)


def _shared_page() -> int:
    """Return the descriptor of a page of zeros.

    On Linux it is memory and no file: writing to a page of a file on a full disk ends a process by SIGBUS.
    """
    if sys.platform == "linux":
        descriptor = os.memfd_create("begun")
    else:  # a file without a name
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.truncate(descriptor, mmap.PAGESIZE)
    return descriptor


class Instance(asyncio.Protocol):
    """The connection to one instance.

    `outstanding` counts the requests it has not answered, by which the router chooses; `ready` says whether it passed
    its health check and may be chosen.
    """

    def __init__(self, name: str, variant: str, ended: Callable[[Instance], None]) -> None:
        self.name = name
        self.variant = variant
        self.begun = BegunCount()
        self.ready = False
        self.outstanding = 0
        self.pid: int | None = None
        self.trouble = "GET /ping is not answered yet"
        self._ended = ended
        self._transport: asyncio.Transport | None = None
        self._sent = 0
        self._waiting: deque[Waiter] = deque()
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()
        self._unsent: list[bytes] = []
        self._messages = Messages(_answer_head)

    async def launch(self, launcher: Launcher, program: Program) -> None:
        """Start the worker at the other end of a new connection."""
        ours, theirs = socket.socketpair()
        with theirs:
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)
            self.pid = await launcher.launch(
                image=program.image,
                directory=program.directory,
                environment=program.environment,
                connection=theirs,
                log=program.log.open_pipe(),
                shared=self.begun.descriptor,
            )

    def send(self, request: bytes, waiter: Waiter) -> None:
        """Send a whole HTTP request; `waiter` gets the answer."""
        if self._transport is None:
            waiter.lost(started=False)
            return
        self.outstanding += 1
        self._sent += 1
        self._waiting.append(waiter)
        self._unsent.append(request)
        if len(self._unsent) == 1:
            asyncio.get_running_loop().call_soon(self._send_together)
        elif len(self._unsent) == ENOUGH:
            self._send_together()  # the worker predicts these while we read on

    def _send_together(self) -> None:
        """Write what came in one turn of the loop at once: the worker wakes once, and predicts it together."""
        unsent, self._unsent = self._unsent, []
        if unsent and self._transport is not None:
            self._transport.writelines(unsent)

    async def ping(self) -> Answer | None:
        """Ask for the instance's health; None when it ended instead of answering."""
        waiter = PingWaiter()
        self.send(PING, waiter)
        return await waiter.future

    async def drained(self) -> None:
        """Return when every request has been answered."""
        while self.outstanding:
            self._idle.clear()
            await self._idle.wait()

    def close(self) -> None:
        """End the connection, and with it the worker."""
        if self._transport:
            self._transport.close()
        else:
            self.begun.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            answers = self._messages.feed(data)
            if len(answers) > len(self._waiting):
                raise ValueError("an answer that nobody waits for")
        except ValueError:
            self.close()  # it no longer speaks as a worker does: connection_lost tells those who wait
            return
        for (status, content_type, custom_attributes), body in answers:
            waiter = self._waiting.popleft()
            self.outstanding -= 1
            if not self.outstanding:
                self._idle.set()
            waiter.answered(Answer(status, content_type, custom_attributes, body))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        self.ready = False
        waiting, self._waiting = self._waiting, deque()
        self.outstanding = 0
        self._idle.set()
        self._ended(self)
        begun = self.begun.value - (self._sent - len(waiting))  # of those that wait
        self.begun.close()
        for place, waiter in enumerate(waiting):
            waiter.lost(started=place < begun)


def _answer_head(line: bytes, headers: Mapping[bytes, bytes]) -> tuple[int, bytes, bytes | None]:
    """Read what comes before the body of a worker's answer."""
    version, _, rest = line.partition(b" ")
    status = rest[:3]
    if version != b"HTTP/1.1" or not status.isdigit() or status < b"200" or b"content-length" not in headers:
        raise ValueError(f"no answer begins with {line[:100]!r}")
    return int(status), headers.get(b"content-type", b""), headers.get(b"x-amzn-sagemaker-custom-attributes")


class PingWaiter:
    """Waits for the answer to a health check: a future of it, or of None when it is lost."""

    def __init__(self) -> None:
        self.over = False
        self.future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()

    def answered(self, answer: Answer) -> None:
        if not self.future.done():
            self.future.set_result(answer)

    def lost(self, *, started: bool) -> None:  # noqa: ARG002 - a health check is not sent again
        if not self.future.done():
            self.future.set_result(None)

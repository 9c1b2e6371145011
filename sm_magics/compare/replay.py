"""The load client: sends any number of requests to an endpoint, many at a time, and measures each.

One thread of its own runs an event loop, whatever loop the caller is in. The caller's thread reads the requests, no
further ahead than the connections need, and yields the outcomes: so memory does not grow with their number.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sm_magics.compare.exchange import Outcome
from sm_magics.compare.invocation import OPERATION, Invocation, Unanswered
from sm_magics.connection import refused, unreached

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from sm_magics.compare.exchange import Request, Target
    from sm_magics.connection import Connection

__all__ = ["replay"]

PATIENCE = 0.002  # seconds for which outcomes are collected: to wake another thread costs more than to send a request
LOOK = 0.05  # seconds between two looks at whether it is to end
AHEAD = 4  # requests for each connection that are read, under way, or answered and not yet taken
_OK = 300  # above all statuses of success


def replay(  # noqa: PLR0913 - what to send, where to, and how
    connection: Connection,
    target: Target,
    requests: Iterable[Request],
    *,
    concurrency: int = 32,
    rate: float | None = None,
    attempts: int | None = None,
    until: threading.Event | None = None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Iterator[Outcome]:
    """Send requests, and yield what became of each in the order in which they are answered.

    The requests are read as they are needed, in the thread that asks for the next outcome. With a concurrency of 1 they
    are answered in their order, and none is sent before the outcome of the one before was taken. Closing the generator
    or interrupting it gives up what is under way.

    Parameters
    ----------
    concurrency
        How many requests are under way at most.
    rate
        How many requests are sent a second, whether or not the ones before were answered: each is due at its time, and
        its latency counts from then. None to send whenever a connection is free.
    attempts
        How often each is sent at most, by botocore's rules for which errors and how long to wait; never more often
        than the connection's own client does. None for as often as that.
    until
        Ends it from another thread, as closing would.
    clock, sleep
        Measures time in seconds, and lets it pass.

    Raises
    ------
    ServiceError
        When botocore would not send anything: there are no credentials, or a name is none.
    """
    invocation = Invocation(connection, target, attempts)
    wanted = iter(requests)
    most = AHEAD * (concurrency - 1) + 1
    lowest = most - concurrency
    wave = _Wave(invocation, concurrency, rate, clock, sleep)
    ahead = 0  # read and not yet yielded
    try:
        while True:
            if ahead <= lowest:
                for request in itertools.islice(wanted, most - ahead):
                    ahead += 1
                    wave.put(request)
            if not ahead:
                return
            outcome = wave.take(until)
            if outcome is None:
                return
            ahead -= 1
            yield outcome
    finally:
        wave.close()


class _Wave:
    """The requests that are under way, and the thread in which they are."""

    def __init__(
        self,
        invocation: Invocation,
        concurrency: int,
        rate: float | None,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._invocation = invocation
        self._concurrency = concurrency
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._send: Any = None
        self._began: float | None = None  # when the first request was due
        self._due = 0  # requests that had their time so far
        self._wanted: deque[Request] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()  # connections without a request
        self._answered: list[Outcome] = []  # to be told of together
        self._telling: asyncio.TimerHandle | None = None
        self._told: queue.SimpleQueue[list[Outcome] | BaseException] = queue.SimpleQueue()
        self._taken: deque[Outcome] = deque()  # by the caller's thread
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sm_magics replay", daemon=True)
        self._thread.start()
        self._ready.wait()

    def put(self, request: Request) -> None:
        """Have a request sent."""
        self._wanted.append(request)
        if self._idle:
            with suppress(RuntimeError):  # the loop has ended, and why is the next that is taken
                self._loop.call_soon_threadsafe(self._wake)

    def take(self, until: threading.Event | None) -> Outcome | None:
        """Return the next outcome, once there is one; None when `until` is set before."""
        while not self._taken:
            try:
                told = self._told.get(timeout=None if until is None else LOOK)
            except queue.Empty:
                told = []
            if until is not None and until.is_set():
                return None
            if isinstance(told, BaseException):
                raise told
            self._taken.extend(told)
        return self._taken.popleft()

    def close(self) -> None:
        """Give up what is under way, and return once nothing is left of it."""
        with suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._task.cancel)
        if threading.current_thread() is not self._thread:  # where garbage happened to be collected
            self._thread.join()

    def _run(self) -> None:
        import uvloop

        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                self._loop = runner.get_loop()
                runner.run(self._work())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised in the thread that asks
            self._told.put(error)
        finally:
            self._ready.set()

    async def _work(self) -> None:
        from sm_magics.compare.transport import connected

        self._task: Any = asyncio.current_task()
        self._ready.set()
        async with connected(self._invocation, self._concurrency) as self._send:
            await asyncio.gather(*[self._one_after_another() for _ in range(self._concurrency)])

    async def _one_after_another(self) -> None:
        """Send what is wanted over one connection."""
        while True:
            request = await self._next()
            outcome = await self._exchange(request, await self._moment())
            self._answered.append(outcome)
            if len(self._answered) >= self._concurrency:
                self._tell()
            elif self._telling is None:
                self._telling = self._loop.call_later(PATIENCE, self._tell)

    def _tell(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        if self._answered:
            self._told.put(self._answered)
            self._answered = []

    async def _next(self) -> Request:
        while True:
            with suppress(IndexError):
                return self._wanted.popleft()
            waiting: asyncio.Future[None] = self._loop.create_future()
            self._idle.append(waiting)
            if self._wanted:  # put between the two lines above
                self._wake()
            await waiting

    def _wake(self) -> None:
        while self._idle:
            waiting = self._idle.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return

    async def _moment(self) -> float:
        """Return when the next request is due, once it is."""
        now = self._clock()
        if self._rate is None:
            return now
        if self._began is None:
            self._began = now
        due = self._began + self._due / self._rate
        self._due += 1
        if due <= now:
            return due
        await self._sleep(due - now)
        return self._clock()  # how late a timer wakes us is nothing of the service's

    async def _exchange(self, request: Request, due: float) -> Outcome:
        """Send one request, again where botocore would, and return what became of it."""
        from botocore.exceptions import BotoCoreError, ClientError

        invocation, clock = self._invocation, self._clock
        began = due

        def connected() -> None:
            nonlocal began
            began = clock()

        context: dict[str, Any] = {}
        for attempt in itertools.count(1):
            response: Any = None
            caught: Exception | None = None
            began = clock()
            try:
                if invocation.signer.stale():
                    await asyncio.to_thread(invocation.signer.refresh)  # what is under way goes on meanwhile
                response = await self._send(request.body, invocation.headers(request), connected)
            except Unanswered as failed:
                caught = failed.error
            except BotoCoreError as error:  # of the credentials
                return Outcome(request, "", 0, b"", "", 0.0, began - due, attempt - 1, unreached(OPERATION, error))
            except ClientError as error:  # of who gives them: a role that may no longer be assumed
                told = refused(OPERATION, error.response)
                return Outcome(request, "", 0, b"", "", 0.0, began - due, attempt - 1, told)
            ended = clock()
            if response is not None and response[0] < _OK:
                invocation.succeeded(context, *response[:2])
                refusal = None
                break
            delay = invocation.again(attempt, context, response, caught)
            if delay is None:
                refusal = unreached(OPERATION, caught) if caught else invocation.refusal(*response)
                break
            await self._sleep(delay)
        status, headers, body = response or (0, {}, b"")
        variant, kind = invocation.about(headers)
        return Outcome(request, variant, status, body, kind, ended - began, ended - due, attempt, refusal)

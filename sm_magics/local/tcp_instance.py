"""One instance that is any program with the containers' HTTP contract, reached over TCP on a port of its own.

Its requests go out on a few connections, one request at a time on each: the program may keep connections alive or
close them, answer in chunks or until the end, slowly, or rubbish. A request that the program never read as a whole
cannot have been begun with, and is sent again once; any other one that gets no answer is lost.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from sm_magics.local import containers
from sm_magics.local.instance import PING, Answer, PingWaiter
from sm_magics.local.tcp_connection import TcpConnection, TcpRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sm_magics.local.instance import Launcher, Program, Waiter

__all__ = ["TcpInstance"]

MAX_CONNECTIONS = 32  # how many requests the program is given at once; more wait for their turn
PING_SECONDS = 2.0  # the contract's time for a health check
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5  # seconds between health checks of a program that starts
CHECK_SECONDS = 5.0  # between health checks of one that serves; the service's own are not documented
MAX_FAILED_CHECKS = 3  # in a row, after which it is started anew
BUSY_SECONDS = 60.0  # in which a program with requests to answer need not answer health checks: it may have one thread
STOP_SECONDS = 30.0  # the contract's time from SIGTERM to SIGKILL
HEALTHY = 200
BROKEN = 500  # what an invocation comes to whose connection the program ends or spoils


class TcpInstance:
    """A program that serves on a port of 127.0.0.1; to the router it is like an `Instance`.

    Parameters
    ----------
    name, variant
        Of the instance and what it is one of.
    ended
        Called when it takes no more requests though nobody has closed it.
    base
        The folder that the program has in the place of /opt/ml; it is removed once the program has ended.
    """

    def __init__(self, name: str, variant: str, ended: Callable[[TcpInstance], None], base: Path) -> None:
        self.name = name
        self.variant = variant
        self.ready = False
        self.outstanding = 0
        self.port = 0
        self.pid: int | None = None
        self.trouble = self._unheard = "GET /ping is not answered yet"
        self._ended = ended
        self._base = base
        self._over = False
        self._launcher: Launcher | None = None
        self._say: Callable[[str], object] = str
        self._queue: deque[TcpRequest] = deque()
        self._free: list[TcpConnection] = []
        self._busy: set[TcpConnection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        self._answers = 0
        self._idle = asyncio.Event()

    async def launch(self, launcher: Launcher, program: Program) -> None:
        """Start the program on a free port."""
        self.port = _free_port()
        self._launcher, self._say = launcher, program.log.write
        command = containers.local_command(program.image)
        assert command is not None  # noqa: S101 - a fleet makes it of nothing else
        # SageMaker's toolkits for Python take SAGEMAKER_BASE_DIR in the place of /opt/ml, whoever sets it.
        environment = {
            "SAGEMAKER_BASE_DIR": str(self._base),
            **program.environment,
            "SAGEMAKER_BIND_TO_PORT": str(self.port),
        }
        try:
            self.pid = await launcher.run(
                command=command, environment=environment, log=program.log.open_pipe(), ended=self._exited
            )
        except BaseException:
            self._clean_up()
            raise

    async def ping(self) -> Answer | None:
        """Ask for its health until it is well; None when it ends before that."""
        pause = FIRST_PAUSE
        while not self._over:
            answer = await self._check()
            if answer is not None and answer.status == HEALTHY:
                self._watching = asyncio.get_running_loop().create_task(self._watch())
                return answer
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return None

    def send(self, request: bytes, waiter: Waiter) -> None:
        """Send a whole HTTP request; `waiter` gets the answer."""
        if self._over:
            waiter.lost(started=False)
            return
        self.outstanding += 1
        self._queue.append(TcpRequest(request, waiter))
        self._go_on()

    async def drained(self) -> None:
        """Return when every request has been answered."""
        while self.outstanding:
            self._idle.clear()
            await self._idle.wait()

    def close(self) -> None:
        """End the program: it is asked to, and after a while made to."""
        self._leave()
        for connection in [*self._busy]:
            connection.close()
        self._end_program()

    def _go_on(self) -> None:
        """Give what waits to connections that are free, and open others for the rest."""
        while self._queue and self._free:
            request = self._queue.popleft()
            if request.waiter.over:
                self._gone()
                continue
            connection = self._free.pop()
            self._busy.add(connection)
            connection.ask(request, self.port)
        room = MAX_CONNECTIONS - len(self._busy) - len(self._opening)
        for _ in range(min(room, len(self._queue) - len(self._opening))):
            task = asyncio.get_running_loop().create_task(self._open())
            self._opening.add(task)
            task.add_done_callback(self._opened)

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(BUSY_SECONDS):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: TcpConnection(self), "127.0.0.1", self.port
                )
        except ConnectionError:
            if self.ready:
                self._say(f"ERROR the container listens no longer on port {self.port}")
                self._leave()  # a server that does not listen any more is none
            else:
                self._unheard = f"nothing listens on port {self.port} yet, which SAGEMAKER_BIND_TO_PORT names"
                self._lose_first()
        except OSError as error:  # such as too many open files
            self._say(f"ERROR the container cannot be reached: {error}")
            self._lose_first()
        else:
            if connection.open:
                self._free.append(connection)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if self._over:
            self._let_go()
        else:
            self._go_on()

    def _lose_first(self) -> None:
        if self._queue:
            request = self._queue.popleft()
            self._gone()
            request.waiter.lost(started=False)

    def _gone(self) -> None:
        self.outstanding -= 1
        if not self.outstanding:
            self._idle.set()

    # What connections tell.

    def answered(self, connection: TcpConnection, request: TcpRequest, answer: Answer, *, keep: bool) -> None:
        """Hand on an answer; `keep` says whether the connection may carry another request."""
        self._busy.discard(connection)
        self._answers += 1
        # A program that handles one connection at a time never comes to the others while this one is open.
        if keep and not self._over and all(each.heard for each in self._busy):
            self._free.append(connection)
        else:
            connection.close()
        self._gone()
        request.waiter.answered(answer)
        self._go_on()

    def lost(self, connection: TcpConnection, request: TcpRequest | None, *, unread: bool) -> None:
        """Go on without a connection; `unread` says that the program never read the request as a whole."""
        if connection in self._free:
            self._free.remove(connection)
        self._busy.discard(connection)
        if request is not None:
            again = unread and not request.again
            if again and not self._over:
                request.again = True
                self._queue.appendleft(request)
            else:
                self._gone()
                if again or self._over or request.message == PING:
                    request.waiter.lost(started=not again)
                else:  # it need not have ended: it is answered for, as by a proxy
                    self._say(f"ERROR {connection.end}")
                    request.waiter.answered(Answer(BROKEN, b"text/plain", None, connection.end.encode()))
        if self._over:
            self._let_go()
        else:
            self._go_on()

    # Its health, and its end.

    async def _check(self) -> Answer | None:
        waiter = PingWaiter()
        self._unheard = "the connection was closed before GET /ping was answered"
        self.send(PING, waiter)
        try:
            async with asyncio.timeout(PING_SECONDS):
                answer = await waiter.future
        except TimeoutError:
            waiter.over = True
            self._forget_the_late()
            self.trouble = f"GET /ping was not answered in {PING_SECONDS:g} s"
            return None
        if answer is None:
            self.trouble = self._unheard
        elif answer.status != HEALTHY:
            self.trouble = f"GET /ping was answered with {answer.status}"
        return answer

    async def _watch(self) -> None:
        """Look after a program that serves, and end one that answers neither requests nor health checks."""
        loop = asyncio.get_running_loop()
        failed, answers, last = 0, 0, loop.time()
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self._forget_the_late()
            if self._over:
                continue
            if self._answers != answers:
                answers, last, failed = self._answers, loop.time(), 0
            if self.outstanding and loop.time() - last < BUSY_SECONDS:
                continue
            answer = await self._check()
            answers = self._answers  # that of the health check does not count
            failed = 0 if answer is not None and answer.status == HEALTHY else failed + 1
            if failed == MAX_FAILED_CHECKS and not self._over:
                self._say(f"ERROR the container failed {failed} health checks in a row: {self.trouble}")
                self._leave()
                self._end_program()

    def _forget_the_late(self) -> None:
        """Close the connections whose answers nobody wants any more, so that they do not use up all there may be."""
        for connection in [*self._busy]:
            if connection.late:
                connection.close()

    def _exited(self, status: int) -> None:
        """Learn that the program has ended."""
        self.pid = None
        self._clean_up()
        if not self._over:
            self._say(f"ERROR the container's process ended with status {status}")
            self._leave()

    def _clean_up(self) -> None:
        asyncio.get_running_loop().run_in_executor(None, partial(shutil.rmtree, self._base, ignore_errors=True))

    def _leave(self) -> None:
        """Take no more requests; those that the program has not been given go elsewhere."""
        if self._over:
            return
        self._over = True
        served = self.ready or self._watching is not None  # a fault may have taken it out before it ended
        self.ready = False
        for connection in [*self._free]:
            connection.close()
        for task in [*self._opening]:
            task.cancel()
        waiting, self._queue = self._queue, deque()
        if served:
            self._ended(self)
        for request in waiting:
            self._gone()
            request.waiter.lost(started=False)
        self._let_go()

    def _let_go(self) -> None:
        """End the program once it has nothing more to answer."""
        if self._over and not self._busy:
            self._end_program()

    def _end_program(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        if self.pid is not None and self._launcher is not None:
            pid, self.pid = self.pid, None
            self._launcher.terminate(pid, STOP_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

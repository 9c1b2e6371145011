"""The engine's side of the warm template: asks it for processes, and starts it again should it ever die."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Processes"]

_LOG = logging.getLogger(__name__)
STOP_SECONDS = 5.0  # in which a template ends; its workers end with it in any case
# What a template inherits of the user's environment: how to find Python and its libraries, never credentials.
_INHERITED = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")


class Processes:
    """Launches workers and programs through one template process; see `sm_magics.local.template` for what is said."""

    def __init__(self) -> None:
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ids = itertools.count()
        self._forked: dict[int, tuple[asyncio.Future[int], Callable[[int], None] | None]] = {}
        self._told_when_ended: dict[int, Callable[[int], None]] = {}  # programs, by their pid
        self._saying: set[asyncio.Task[None]] = set()
        self._buffer = b""
        self._speaking = asyncio.Lock()

    def start(self) -> None:
        """Start the template, so that it is warm when the first worker is wanted."""
        ours, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        with contextlib.ExitStack() as undo, theirs:
            undo.enter_context(ours)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "sm_magics.local.template"],
                stdin=theirs.fileno(),
                env=environment,
                close_fds=True,
            )
            undo.pop_all()
        ours.settimeout(0)
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self._hear, ours)

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
        """Have a worker forked that serves on `connection`, prints to `log` and counts in `shared`; return its pid.

        `log` is closed here.
        """
        order = {"image": image, "directory": str(directory), "environment": dict(environment)}
        return await self._start_one("fork", order, log, [connection.fileno(), log, shared], None)

    async def run(
        self, *, command: Path, environment: Mapping[str, str], log: int, ended: Callable[[int], None]
    ) -> int:
        """Have a program started that prints to `log`; return its pid, and call `ended` with its status when it ends.

        `log` is closed here.
        """
        order = {"command": str(command), "environment": dict(environment)}
        return await self._start_one("run", order, log, [log], ended)

    async def _start_one(
        self,
        what: str,
        order: Mapping[str, Any],
        log: int,
        descriptors: list[int],
        ended: Callable[[int], None] | None,
    ) -> int:
        if self._control is None:
            self.start()
        number = next(self._ids)
        forked: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._forked[number] = forked, ended
        try:
            await self._say({what: {**order, "id": number}}, descriptors)
        finally:
            os.close(log)
        return await forked

    def kill(self, pid: int) -> None:
        """End a process at once, and what it has started."""
        self._signal(pid, signal.SIGKILL)

    def terminate(self, pid: int, seconds: float) -> None:
        """Ask a process and what it has started to end, and make them after a while."""
        self._signal(pid, signal.SIGTERM)
        asyncio.get_running_loop().call_later(seconds, self._kill_again, pid, self._process)

    def _kill_again(self, pid: int, template: subprocess.Popen[bytes] | None) -> None:
        if template is self._process:  # else its processes are gone, and the pid may be another's
            self.kill(pid)

    def _signal(self, pid: int, number: int) -> None:
        task = asyncio.get_running_loop().create_task(self._say({"kill": pid, "signal": number}, []))
        self._saying.add(task)
        task.add_done_callback(self._saying.discard)

    def stop(self) -> None:
        """End the template and with it every worker."""
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:  # it had not even started, on a machine that is busy
                self._process.kill()
                self._process.wait()
            self._process = None

    async def _say(self, message: Mapping[str, Any], descriptors: list[int]) -> None:
        data = json.dumps(message).encode() + b"\n"
        async with self._speaking:
            while data and self._control is not None:
                try:
                    data = data[socket.send_fds(self._control, [data], descriptors) :]
                    descriptors = []
                except BlockingIOError:
                    await asyncio.sleep(0.001)

    def _hear(self, control: socket.socket) -> None:
        try:
            data = control.recv(64 * 1024)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._lost(control)
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "forked" in message:
                self._born(message["id"], message["forked"])
            else:
                _LOG.info("process %(ended)d ended with status %(status)d", message)
                self._told_when_ended.pop(message["ended"], _nobody)(message["status"])

    def _born(self, number: int, pid: int) -> None:
        waiting, ended = self._forked.pop(number, (None, None))
        if waiting is None or waiting.done():
            self.kill(pid)  # whoever asked for it has given up
            return
        if ended is not None:
            self._told_when_ended[pid] = ended
        waiting.set_result(pid)

    def _lost(self, control: socket.socket) -> None:
        """Let the next worker start a new template; all workers are gone with the old one."""
        _LOG.warning("the template process ended; the next worker starts a new one")
        asyncio.get_running_loop().remove_reader(control)
        control.close()
        self._control, self._buffer = None, b""
        waiting, self._forked = self._forked, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the template process ended"))
        programs, self._told_when_ended = self._told_when_ended, {}
        for pid, ended in programs.items():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)  # the kernel ended the program, but not what it has started
            ended(-signal.SIGKILL)


def _nobody(_status: int) -> None:
    """Nobody asked to be told."""

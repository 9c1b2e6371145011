"""The warm template: a small process that has imported what workers need, and forks one whenever it is asked to.

So heavy imports are paid once and workers share their memory. The template never serves, never starts a thread, and
lives no longer than the engine: when the engine's socket ends, it ends, and its workers with it.

Messages on the socket are JSON lines. The engine says `{"fork": {...}}` with the worker's socket, its log and the
memory that it shares with the engine attached, `{"run": {...}}` with a program's log attached, or
`{"kill": pid, "signal": ...}`; the template says `{"forked": pid, "id": ...}` and `{"ended": pid, "status": ...}`.

Each process leads a session of its own, and is signalled together with all that it has started.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sm_magics.local import containers, worker
from sm_magics.local.memory import settle

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["run"]

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl
MAX_MESSAGE = 256 * 1024
OUT_OF_MEMORY_SCORE = "500"  # of -1000 to 1000: as if it had half of all memory besides its own


class Template:
    """The fork server's own state: its socket, what it has preloaded, and its children."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._preloaded: set[str] = set()
        self._children: set[int] = set()
        self._buffer = b""
        self._attached: list[int] = []
        self._wake = (-1, -1)

    def run(self) -> None:
        """Serve until the engine's end of the socket is closed."""
        woken, wake = self._wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            ready, _, _ = select.select([self._control.fileno(), woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._hear():
                break
        for pid in self._children:
            _signal(pid, signal.SIGKILL)

    def _hear(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, MAX_MESSAGE, 16)
        except ConnectionResetError:
            return False  # the engine was killed before it had read all that was said to it
        self._attached += descriptors
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "fork" in message:
                self._fork(message["fork"])
            elif "run" in message:
                self._run(message["run"])
            elif message["kill"] in self._children:
                _signal(message["kill"], message["signal"])
        return bool(data)

    def _fork(self, order: Mapping[str, Any]) -> None:
        (connection, log, shared), self._attached = self._attached[:3], self._attached[3:]
        self._preload(order["image"])
        pid = os.fork()
        if pid == 0:
            self._become_worker(order, connection, log, shared)
        self._born(pid, order["id"], connection, log, shared)

    def _run(self, order: Mapping[str, Any]) -> None:
        log = self._attached.pop(0)
        pid = os.fork()
        if pid == 0:
            self._become_program(order, log)
        self._born(pid, order["id"], log)

    def _born(self, pid: int, number: int, *given: int) -> None:
        for each in given:
            os.close(each)
        self._children.add(pid)
        self._say({"forked": pid, "id": number})

    def _preload(self, image: str) -> None:
        kind = containers.find(image)
        if kind is not None and kind.name not in self._preloaded:
            self._preloaded.add(kind.name)
            kind.preload()
            settle()

    def _become_worker(self, order: Mapping[str, Any], connection: int, log: int, shared: int) -> NoReturn:
        status = 1
        try:
            self._leave(log)
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a text file, as Python starts it
            os.environ.clear()
            os.environ.update(order["environment"])
            os.chdir(order["directory"])
            kind = containers.find(order["image"])
            assert kind is not None  # noqa: S101 - the engine takes no model with another image
            directory, environment = Path(order["directory"]), order["environment"]
            with (
                socket.socket(fileno=connection) as stream,
                mmap.mmap(shared, 0) as memory,
                memoryview(memory) as seen,
                seen.cast("Q") as begun,
            ):
                worker.serve(stream, lambda: kind.load(directory, environment), begun)
            status = 0
        except (BrokenPipeError, ConnectionResetError):
            status = 0  # the engine is gone
        except BaseException:  # noqa: BLE001 - a forked child must never return into the template's loop
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _become_program(self, order: Mapping[str, Any], log: int) -> NoReturn:
        try:
            self._leave(log)
            for each in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                if signal.getsignal(each) == signal.SIG_IGN:  # by Python, or by who started us: nohup
                    signal.signal(each, signal.SIG_DFL)
            os.closerange(3, os.sysconf("SC_OPEN_MAX"))
            os.chdir(Path(order["command"]).parent)
            os.execve(order["command"], [order["command"], "serve"], order["environment"])  # noqa: S606 - no shell
        except BaseException as error:  # noqa: BLE001 - a forked child must never return into the template's loop
            os.write(2, f"ERROR {order['command']} cannot be started: {_reason(error, order['command'])}\n".encode())
        finally:
            os._exit(127)

    def _leave(self, log: int) -> None:
        """Leave the template behind in a forked child, and print to `log`."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._control.close()
        for each in self._wake:
            os.close(each)
        os.setsid()
        _die_with_parent()
        _die_before_others()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for given, place in ((nothing, 0), (log, 1)):
            os.dup2(given, place)
        os.close(nothing)
        os.dup2(log, 2)
        os.close(log)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self._children.discard(pid)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)  # what it had started and left behind
                self._say({"ended": pid, "status": os.waitstatus_to_exitcode(status)})

    def _say(self, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._control.sendall(json.dumps(message).encode() + b"\n")


def _signal(pid: int, number: int) -> None:
    """Signal a process and all that it has started."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # no such group: it has not made it yet, or all have ended
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _reason(error: BaseException, command: str) -> str:
    """Return why a program cannot be started, in words that help."""
    if isinstance(error, FileNotFoundError) and Path(command).is_file():
        with Path(command).open("rb") as file:
            line = file.readline(256).decode(errors="replace").strip()
        return f"there is no such interpreter as its first line names: {line}"
    if isinstance(error, OSError) and error.errno == errno.ENOEXEC:
        return "it is no program; let its first line name an interpreter, such as #!/usr/bin/env python3"
    return str(getattr(error, "strerror", None) or error)


def _die_with_parent() -> None:
    """Have the kernel kill this process when the template dies; elsewhere than on Linux its socket's end does that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _die_before_others() -> None:
    """Have Linux end this process first when memory runs out, rather than the engine, or the user's notebook."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OUT_OF_MEMORY_SCORE)


def run() -> None:
    """Serve on the socket that stands at standard input."""
    with socket.socket(fileno=os.dup(0)) as control:
        Template(control).run()


if __name__ == "__main__":
    run()

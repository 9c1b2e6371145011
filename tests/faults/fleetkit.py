"""Fleets without processes: what the tests of fleets and of shifts share.

Everything is real but the launcher: its workers are tasks of the test, at the other end of the very sockets that
processes would serve on, and they answer invocations only when they are told to.
"""

from __future__ import annotations

import asyncio
import itertools
import mmap
import os
import random
import re

from sm_magics.local.artifacts import Artifacts
from sm_magics.local.faults import Faults
from sm_magics.local.fleet import Fleet
from sm_magics.local.host import Host
from sm_magics.local.lifecycle import Variant
from sm_magics.local.logs import Logs
from sm_magics.local.metrics import Metrics

REQUEST = b"POST /invocations HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


class Worker:
    """One instance's process, played by the test: healthy, and silent until `answer` is called."""

    def __init__(self, launcher, pid, memory):
        self.pid, self.held, self.ended = pid, 0, asyncio.Event()
        self._launcher, self._memory = launcher, memory

    async def serve(self, connection):
        reader, self._writer = await asyncio.open_unix_connection(sock=connection)
        begun = 0
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
                begun += 1
                self._memory[:8] = begun.to_bytes(8, "little")
                if head.startswith(b"GET /ping"):
                    await self._launcher.may_ping.wait()
                    self._say(self._launcher.health)
                else:
                    self.held += 1
        except (asyncio.IncompleteReadError, ConnectionResetError):
            self.end()

    def answer(self, number=1, status=200):
        for _ in range(number):
            self.held -= 1
            self._say(status)

    def end(self):
        self._writer.close()
        self.ended.set()

    def _say(self, status):
        self._writer.write(b"HTTP/1.1 %d \r\nContent-Length: 1\r\n\r\n1" % status)


class HandLauncher:
    """A launcher that starts no process; `workers` are all that it was asked for, in order."""

    def __init__(self):
        self.workers, self.killed, self.fails = [], [], None
        self.health = 200
        self.may_ping = asyncio.Event()
        self.may_ping.set()
        self._tasks = []

    async def launch(self, *, image, directory, environment, connection, log, shared):
        os.close(log)
        if self.fails is not None:
            raise self.fails
        worker = Worker(self, 1000 + len(self.workers), mmap.mmap(shared, 0))
        worker.image, worker.directory, worker.environment = image, directory, environment
        self.workers.append(worker)
        self._tasks.append(asyncio.ensure_future(worker.serve(connection.dup())))
        return worker.pid

    async def run(self, *, command, environment, log, ended):
        raise NotImplementedError("programs are tested with processes")

    def kill(self, pid):
        self.killed.append(pid)
        self.workers[pid - 1000].end()

    def terminate(self, pid, seconds):
        raise NotImplementedError("programs are tested with processes")

    @property
    def alive(self):
        return [each for each in self.workers if not each.ended.is_set()]


class Waiter:
    """Who has sent a request, and what came of it: a status, or `lost`."""

    over = False

    def __init__(self):
        self.came = asyncio.get_running_loop().create_future()

    def answered(self, answer):
        self.came.set_result(answer.status)

    def lost(self, *, started):
        self.came.set_result(("lost", started))


class Hosted:
    """Makes fleets on one host below a directory."""

    def __init__(self, folder, launcher=None):
        self.launcher = launcher or HandLauncher()
        ids = itertools.count(1)
        self.logs = Logs(folder / "logs", str, lambda: 1.0)
        self.faults = Faults(self.launcher.kill)
        self.artifacts = Artifacts(folder, {})
        self.metrics = Metrics(lambda: 1.0)
        self.host = Host(
            self.launcher, self.artifacts, self.logs, self.faults, lambda: f"i-{next(ids)}", self.metrics.meter
        )

    def fleet(self, *variants, config="c1"):
        return Fleet("boston", config, variants or (variant(),), self.host, rng=random.Random(0))

    def log(self, instance, name="A"):
        return (self.logs._directory / "boston" / name / instance).read_text()


def variant(name="A", count=1, weight=1.0, **given):
    image = given.pop("image", "linear-learner:1")
    return Variant(name, "m", image, "ml.m5.large", desired_weight=weight, desired_count=count, **given)


def send(lane, number=1):
    """Send requests to a lane; return who waits for their answers."""
    waiters = [Waiter() for _ in range(number)]
    for each in waiters:
        assert lane.send(REQUEST, each)
    return waiters


async def until(condition):
    """Wait for what is about to happen."""
    for _ in range(4000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not happen")

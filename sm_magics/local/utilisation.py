"""Measures once a minute how busy the processes of the instances are, out of Linux's /proc.

As SageMaker has it: CPUUtilization is the sum over the cores that are used, so up to 100 % for each CPU of an instance;
MemoryUtilization is the part of an instance's memory. Here an instance is this machine, which it shares with others.
Where there is no /proc there are no such metrics.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["Utilisation"]

MINUTE = 60
PROC = Path("/proc")


class _Load(NamedTuple):
    """What a process uses, with all that it has started.

    `born` is in seconds since the machine was started, `cpu` in seconds. Memory is in bytes; what forked processes
    share counts for each of them, as it would on an instance of its own.
    """

    born: float
    cpu: float
    memory: int


class Utilisation:
    """Measures the instances.

    Parameters
    ----------
    running
        Returns endpoint, variant and process id of each.
    take
        Told endpoint, variant, the start of the minute, and the percentages of CPU and memory.
    now
        Returns the time in seconds since the epoch.
    proc
        Where the system tells of its processes.
    """

    def __init__(
        self,
        running: Callable[[], Iterable[tuple[str, str, int]]],
        take: Callable[[str, str, int, Sequence[float]], None],
        now: Callable[[], float],
        proc: Path = PROC,
    ) -> None:
        self._running = running
        self._take = take
        self._now = now
        self._proc = proc
        self._minute = int(now() // MINUTE)
        self._before: dict[tuple[int, float], tuple[float, float]] = {}  # by process: when, and its CPU seconds

    def tick(self) -> None:
        """Measure when a minute has ended; called about once a second."""
        minute = int(self._now() // MINUTE)
        if minute == self._minute:
            return
        self._minute = minute
        with contextlib.suppress(OSError):  # where there is no /proc, or it is not to be read
            self._measure((minute - 1) * MINUTE)

    def _measure(self, minute: int) -> None:
        now = float((self._proc / "uptime").read_text().split()[0])
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        before, self._before = self._before, {}
        for endpoint, variant, pid in self._running():
            load = self._load(pid)
            if load is None:
                continue
            since, spent = before.get((pid, load.born), (load.born, 0.0))  # a new one is measured from its birth
            self._before[pid, load.born] = now, load.cpu
            if now > since:
                cpu = max(0.0, load.cpu - spent) / (now - since)  # a child that ended takes its share along
                self._take(endpoint, variant, minute, (100 * cpu, 100 * load.memory / machine))

    def _load(self, pid: int) -> _Load | None:
        """Return what an instance uses; None once it has ended."""
        family = [*self._family(pid)]
        if not family:
            return None
        return _Load(family[0].born, sum(each.cpu for each in family), sum(each.memory for each in family))

    def _family(self, pid: int) -> Iterator[_Load]:
        """Yield what a process uses, then what each of those that it has started uses."""
        folder = self._proc / str(pid)
        try:
            # After the name in brackets come the fields from the third on: man proc_pid_stat.
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            children = [
                each for task in (folder / "task").iterdir() for each in (task / "children").read_text().split()
            ]
        except (FileNotFoundError, ProcessLookupError):
            return  # it has ended
        ticks = os.sysconf("SC_CLK_TCK")
        used = sum(map(int, fields[11:15]))  # its own, and that of children that have ended and were waited for
        yield _Load(int(fields[19]) / ticks, used / ticks, int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))
        for each in children:
            yield from self._family(int(each))

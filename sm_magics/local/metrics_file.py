"""Keeps the metrics beyond the end of the engine: one file of lines, to which every ten seconds' counts are added.

A kill costs the counts of the last ten seconds, of which nothing is written before they are over. Utilisation is not
kept. A thread writes, and only what is in memory anyway: so whatever goes wrong, the whole file is written anew later.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from array import array
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from sm_magics.local.metrics import Key
from sm_magics.local.tally import Spread, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sm_magics.local.metrics import Metrics

__all__ = ["MetricsFile"]

_LOG = logging.getLogger(__name__)
MAX_GROWTH = 1 << 20  # bytes added, after which what is too old is left out: the next start reads them all


class MetricsFile:
    """The file of an engine's metrics.

    Parameters
    ----------
    path
        Made when something was counted.
    metrics
        What is kept; it gets what the file has at once.
    """

    def __init__(self, path: Path, metrics: Metrics) -> None:
        self._path = path
        self._metrics = metrics
        self._fresh: list[tuple[Key, Tally]] = []
        self._anew = False  # whether all of it must be written next
        self._growth = 0
        self._failing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._writing: asyncio.Task[None] | None = None
        self._read()
        metrics.closed = self._take

    def tick(self) -> None:
        """Begin to write what is fresh; called about once a second."""
        if self._fresh and self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())
            self._writing.add_done_callback(self._written)

    async def close(self) -> None:
        """Write all that was counted."""
        self._metrics.close()
        while self._writing is not None:
            await asyncio.wait([self._writing])
        self.tick()
        if self._writing is not None:
            await self._writing
        self._thread.shutdown(wait=True)

    def _take(self, key: Key, tally: Tally) -> None:
        self._fresh.append((key, tally))

    def _written(self, _: asyncio.Task[None]) -> None:
        self._writing = None

    async def _write(self) -> None:
        anew = self._anew or self._growth > MAX_GROWTH
        rows = [*self._metrics.kept()] if anew else self._fresh
        self._fresh = []
        try:
            size = await asyncio.get_running_loop().run_in_executor(self._thread, self._put, rows, anew)
        except OSError as error:
            self._anew = True  # half a line may have been added
            if not self._failing:
                _LOG.warning("the metrics cannot be written to %s: %s", self._path, error)
            self._failing = True
        else:
            self._anew = self._failing = False
            self._growth = 0 if anew else self._growth + size

    def _put(self, rows: Iterable[tuple[Key, Tally]], anew: bool) -> int:  # noqa: FBT001 - for an executor
        lines = (_line(*each) for each in rows)
        if not anew:
            return _write(self._path, lines, os.O_APPEND)
        scratch = self._path.with_name(f".{self._path.name}.new")
        size = _write(scratch, lines, os.O_TRUNC)
        scratch.replace(self._path)
        return size

    def _read(self) -> None:
        """Give what the file has to the metrics; a line that a kill or a full disk left half is left out."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            _LOG.warning("the metrics in %s cannot be read: %s", self._path, error)
            return
        rows, bad = [], 0
        for line in data.splitlines():
            try:
                rows.append(_row(json.loads(line)))
            except (ValueError, TypeError, OverflowError):
                bad += 1
        if bad:
            _LOG.warning("%d lines of the metrics in %s cannot be read and are left out", bad, self._path)
        self._metrics.restore(rows)
        self._anew = bool(bad) or not data.endswith(b"\n")
        useless = len(rows) - sum(1 for _ in self._metrics.kept())  # too old, or in minutes by now
        self._growth = useless * len(data) // max(1, len(rows))


def _write(path: Path, lines: Iterable[bytes], how: int) -> int:
    """Write lines; return how many bytes they are."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o600), "wb") as file:
        return sum(map(file.write, lines))


def _line(key: Key, tally: Tally) -> bytes:
    counts = (tally.invocations, tally.client_errors, tally.server_errors, tally.model_errors)
    spreads = ([s.count, s.total, s.least, s.most, s.bins.tolist()] for s in (tally.model, tally.overhead))
    row = [*key, tally.start, *counts, tally.per_instance, *spreads]
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def _row(given: Any) -> tuple[Key, Tally]:
    """Return what `_line` wrote; raises ValueError or TypeError for anything else."""
    endpoint, variant, config, start, count, client, server, model, per_instance, *spreads = given
    latency, overhead = map(_spread, spreads)
    tally = Tally(int(start), count, client, server, model, per_instance, latency, overhead)
    return Key(endpoint, variant, config), tally


def _spread(given: Any) -> Spread:
    count, total, least, most, bins = given
    return Spread(count, total, least, most, array("I", bins))

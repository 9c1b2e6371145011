"""What the engine deletes of its own state directory: unpacked models, fetched archives and logs that are of no use.

All of it is a cache, or a record of what is over. A model that is wanted again is unpacked or fetched again; the
artifact store, what was captured and the state itself are the user's, and nothing here touches them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from sm_magics.local.lifecycle import Endpoint
from sm_magics.local.store import Model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sm_magics.local.artifacts import Artifacts
    from sm_magics.local.host import Host
    from sm_magics.local.logs import Logs
    from sm_magics.local.store import Store

__all__ = ["Housekeeping"]

_LOG = logging.getLogger(__name__)
LOOK_SECONDS = 60.0  # between looks; a program that was told to end has 30 s, so its model outlives it


class Housekeeping:
    """Looks for what is of no use now and then, beginning with the start of the engine.

    Parameters
    ----------
    store
        What there is, and so what is needed.
    host
        What instances run on.
    artifacts, logs
        What is kept tidy.
    """

    def __init__(self, store: Store, host: Host, artifacts: Artifacts, logs: Logs) -> None:
        self._store = store
        self._host = host
        self._artifacts = artifacts
        self._logs = logs
        self._due = 0.0
        self._task: asyncio.Task[None] | None = None

    def tick(self, now: float) -> None:
        """Look, if it is time to; called about once a second with the time of the event loop."""
        if now >= self._due and self._task is None:
            self._due = now + LOOK_SECONDS
            self._task = asyncio.get_running_loop().create_task(self._tidy())
            self._task.add_done_callback(self._tidied)

    async def stop(self) -> None:
        """Finish what has begun."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _tidy(self) -> None:
        endpoints = {each.name for each in self._store.all("endpoint")}
        await self._logs.tidy(endpoints)
        await self._artifacts.tidy(set(self._urls()), self._host.directories)

    def _tidied(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("the state directory cannot be kept tidy", exc_info=task.exception())

    def _urls(self) -> Iterator[str | None]:
        """Yield the URLs of the model data that models name, and that endpoints serve or are about to."""
        for each in (*self._store.all("model"), *self._store.all("endpoint")):
            if isinstance(each, Model):
                containers: list[dict[str, Any]] = each.request.get("Containers") or [each.request["PrimaryContainer"]]
                yield from (container.get("ModelDataUrl") for container in containers)
            elif isinstance(each, Endpoint):
                pending = each.pending.variants if each.pending else ()
                yield from (variant.model_data_url for variant in (*each.variants, *pending))
